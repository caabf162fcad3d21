package demo

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T) *Fleet {
	t.Helper()
	f, err := Start(false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return f
}

func (f *Fleet) url(t *testing.T, variable string) string {
	t.Helper()
	url, ok := f.LookupEnv(variable)
	if !ok {
		t.Fatalf("%s is not set", variable)
	}
	return url
}

func get(t *testing.T, url string, header http.Header) (int, string) {
	t.Helper()
	request, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestAnswersShowWhatArrived(t *testing.T) {
	f := start(t)
	header := http.Header{"X-Request-Id": {"r1"}, "X-Consumer-Name": {"ann"}, "X-Consumer-Groups": {"staff"},
		"X-Forwarded-For": {"192.0.2.1"}, "X-Attempt": {"2"}}
	want := answer{Method: "GET", Path: "/a%2Fb", Query: "c=d", RequestID: "r1", Consumer: "ann", Groups: "staff",
		Client: "192.0.2.1", Attempt: "2"}
	for variable, from := range map[string]answer{
		"USERS_URL": {Service: "users"}, "ORDERS_URL": {Service: "orders"}, "FLAKY_URL": {Service: "flaky"},
		"CATALOG_V1_URL": {Service: "catalog", Version: "v1"}, "CATALOG_V2_URL": {Service: "catalog", Version: "v2"},
	} {
		status, body := get(t, f.url(t, variable)+"/a%2Fb?c=d", header)
		var got answer
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != http.StatusOK {
			t.Fatalf("%s: %d %q: %v", variable, status, body, err)
		}
		want.Service, want.Version = from.Service, from.Version
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", variable, diff)
		}
	}
}

func TestData(t *testing.T) {
	f := start(t)
	for _, c := range []struct {
		variable, path string
		status         int
		want           string
	}{
		{"USERS_URL", "/users", 200, "Edsger"},
		{"USERS_URL", "/users/2", 200, "Grace"},
		{"USERS_URL", "/users/9", 404, "no such user"},
		{"ORDERS_URL", "/orders/7", 200, `"id":"7"`},
		{"CATALOG_V1_URL", "/catalog", 200, "gear with 12 teeth"},
		{"CATALOG_V2_URL", "/catalog", 200, `"stock":7`},
	} {
		status, body := get(t, f.url(t, c.variable)+c.path, nil)
		if status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %.200q, want %d with %q", c.path, status, body, c.status, c.want)
		}
	}
	if _, body := get(t, f.url(t, "CATALOG_V1_URL")+"/catalog", nil); strings.Contains(body, "stock") || len(body) < 2048 {
		t.Errorf("v1 knows no stock and is long enough to compress: %d bytes, %.100q", len(body), body)
	}
}

func TestOrderIsTakenUpToItsLimit(t *testing.T) {
	f := start(t)
	for _, c := range []struct{ bytes, status int }{{12, 200}, {maxOrder, 200}, {maxOrder + 1, 413}} {
		response, err := http.Post(f.url(t, "ORDERS_URL")+"/orders", "text/plain", strings.NewReader(strings.Repeat("x", c.bytes)))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != c.status {
			t.Errorf("%d bytes: %d, want %d", c.bytes, response.StatusCode, c.status)
		}
	}
}

func TestEventsEndByThemselves(t *testing.T) {
	f := start(t)
	_, body := get(t, f.url(t, "ORDERS_URL")+"/orders/events", nil)
	if n := strings.Count(body, "event: order\n"); n != 4 || !strings.Contains(body, "delivered") {
		t.Errorf("%d events: %q", n, body)
	}
}

func TestFlakyFailsByPlan(t *testing.T) {
	f := start(t)
	for _, c := range []struct {
		path, attempt string
		status        int
	}{
		{"/flaky/first", "", 503}, {"/flaky/first", "1", 503}, {"/flaky/first", "2", 200},
		{"/flaky/always", "2", 503}, {"/flaky/else", "", 200},
	} {
		header := http.Header{}
		if c.attempt != "" {
			header.Set("X-Attempt", c.attempt)
		}
		if status, _ := get(t, f.url(t, "FLAKY_URL")+c.path, header); status != c.status {
			t.Errorf("%s, attempt %q: %d, want %d", c.path, c.attempt, status, c.status)
		}
	}
	if response, err := http.Get(f.url(t, "FLAKY_URL") + "/flaky/reset"); err == nil {
		response.Body.Close()
		t.Errorf("reset answered %s", response.Status)
	}
}

// Close must not wait for what is slow, nor for what is open.
func TestCloseEndsSlowRequestsAndOpenSockets(t *testing.T) {
	f, err := Start(false)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	c, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(f.url(t, "ECHO_URL"), "http")+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	began := time.Now()
	slow := make(chan struct{})
	go func() {
		defer close(slow)
		if response, err := http.Get(f.url(t, "FLAKY_URL") + "/flaky/slow"); err == nil {
			response.Body.Close()
		}
	}()
	f.Close()
	<-slow
	if took := time.Since(began); took >= slowness {
		t.Errorf("Close took %v, as long as the slow request", took)
	}
	if _, _, err := c.Read(t.Context()); err == nil {
		t.Error("the WebSocket is open after Close")
	}
}

func TestFixedPortTaken(t *testing.T) {
	l := listenOn(t, microservices[0].port)
	if l == nil {
		t.Skip("port 7101 is somebody else's")
	}
	defer l.Close()
	if f, err := Start(true); err == nil {
		f.Close()
		t.Error("two programs listen on one port")
	} else if !strings.Contains(err.Error(), "users") {
		t.Errorf("%v does not name the service", err)
	}
}

func TestCallsReachTheMicroservices(t *testing.T) {
	f := start(t)
	var out strings.Builder
	if err := CallGRPC(t.Context(), &out, strings.TrimPrefix(f.url(t, "GREETER_URL"), "http://"), "Ada"); err != nil {
		t.Fatal(err)
	}
	if err := CallWebSocket(t.Context(), &out, strings.TrimPrefix(f.url(t, "ECHO_URL"), "http://"), "still here?"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"unary   hello, Ada\n", "hello, Ada, 3 of 3\n", "status OK\n", "status  101", "echo    still here?\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, &out)
		}
	}
}

func TestCallsSayWhereNobodyListens(t *testing.T) {
	l := listenOn(t, 0)
	address := l.Addr().String()
	l.Close()
	for _, call := range []func(context.Context, io.Writer, string, string) error{CallGRPC, CallWebSocket} {
		if err := call(t.Context(), io.Discard, address, "x"); err == nil || !strings.Contains(err.Error(), "--address") {
			t.Errorf("got %v, want a word about --address", err)
		}
	}
}
