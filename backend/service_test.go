package backend

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/upstream"
)

func TestGRPCTimeout(t *testing.T) {
	for _, test := range []struct {
		values []string
		want   time.Duration
	}{
		{nil, 0},
		{[]string{"1H"}, time.Hour},
		{[]string{"2M"}, 2 * time.Minute},
		{[]string{"3S"}, 3 * time.Second},
		{[]string{"4m"}, 4 * time.Millisecond},
		{[]string{"5u"}, 5 * time.Microsecond},
		{[]string{"6n"}, 6},
		{[]string{"99999999S"}, 99999999 * time.Second},
		{[]string{"99999999H"}, 1<<63 - 1}, // more than a Duration holds
		{[]string{"123456789S"}, 0},        // nine digits
		{[]string{"1"}, 0},
		{[]string{"S"}, 0},
		{[]string{""}, 0},
		{[]string{"1s"}, 0},
		{[]string{"-1S"}, 0},
		{[]string{"+1S"}, 0},
		{[]string{"1.5S"}, 0},
		{[]string{" 1S"}, 0},
		{[]string{"1S", "2S"}, 0}, // which of them?
	} {
		h := http.Header{}
		if test.values != nil {
			h["Grpc-Timeout"] = test.values
		}
		if got := grpcTimeout(h); got != test.want {
			t.Errorf("%q is %v, want %v", test.values, got, test.want)
		}
	}
}

// service is a backend before h.
func service(t *testing.T, h http.HandlerFunc, upgrades ...string) *Service {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	up := upstream.New(upstream.Spec{Name: "s", Endpoints: []upstream.EndpointSpec{{URL: u, Weight: 1}}, Upgrades: upgrades,
		Connections: upstream.Connections{ConnectTimeout: 10 * time.Second}}, nil)
	t.Cleanup(func() { up.Retire(nil) })
	return &Service{Upstream: up}
}

func asking(in *http.Request) *exchange.Exchange {
	x := new(exchange.Exchange)
	x.Reset()
	x.In = in
	x.Out = &http.Request{Method: "GET", URL: &url.URL{Opaque: "/p"}, Header: http.Header{"Te": {"trailers"}}, Host: "x.test",
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody}
	x.Inform = func(int, http.Header) {}
	return x
}

func upgrading(token string) *http.Request {
	return &http.Request{Method: "GET", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody,
		Header: http.Header{"Connection": {"keep-alive, Upgrade"}, "Upgrade": {token}}}
}

func TestServiceAnswers(t *testing.T) {
	b := service(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host+r.RequestURI) })
	x := asking(&http.Request{Method: "GET", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}})
	if err := b.Answer(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(x.Response.Body)
	x.Response.Body.Close()
	if err != nil || string(body) != "x.test/p" {
		t.Errorf("%q, %v", body, err)
	}
	if x.Service != "s" || len(x.Attempts) != 1 || !b.Forwards() {
		t.Errorf("service %q, %d attempts", x.Service, len(x.Attempts))
	}
}

func TestServiceThatFailsLeavesItsName(t *testing.T) {
	b := service(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	x := asking(&http.Request{Method: "GET", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}})
	if err := b.Answer(t.Context(), x); err == nil || x.Response != nil || x.Service != "s" || len(x.Attempts) == 0 {
		t.Errorf("%v, answer %v, service %q, %d attempts", err, x.Response, x.Service, len(x.Attempts))
	}
}

// Only the tokens that the service lists are asked for, websocket unless it says otherwise, and never h2c.
func TestServiceUpgrades(t *testing.T) {
	for _, test := range []struct {
		upgrades []string
		token    string
		asked    bool
	}{
		{nil, "websocket", true},
		{nil, "WebSocket", true},
		{nil, "tls/1.0", false},
		{[]string{"tls/1.0"}, "TLS/1.0", true},
		{[]string{"tls/1.0"}, "websocket", false},
		{[]string{"h2c"}, "h2c", false},
	} {
		asked := make(chan string, 1)
		b := service(t, func(w http.ResponseWriter, r *http.Request) {
			asked <- r.Header.Get("Upgrade")
			if r.Header.Get("Upgrade") == "" {
				return
			}
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", r.Header.Get("Upgrade"))
			w.WriteHeader(http.StatusSwitchingProtocols)
			c, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer c.Close()
			line, _ := rw.ReadString('\n')
			io.WriteString(c, "echo "+line)
		}, test.upgrades...)
		x := asking(upgrading(test.token))
		if err := b.Answer(t.Context(), x); err != nil {
			t.Fatal(err)
		}
		if got := <-asked; (got != "") != test.asked {
			t.Errorf("%v: of %q the service was asked for %q", test.upgrades, test.token, got)
		}
		if test.asked {
			tunnel, ok := x.Response.Body.(io.ReadWriteCloser)
			if x.Response.StatusCode != 101 || !ok {
				t.Errorf("%d with a body of %T", x.Response.StatusCode, x.Response.Body)
				continue
			}
			io.WriteString(tunnel, "hi\n")
			if line, err := bufio.NewReader(tunnel).ReadString('\n'); line != "echo hi\n" {
				t.Errorf("through the tunnel came %q, %v", line, err)
			}
		}
		x.Response.Body.Close()
	}
}
