package transport

//lint:file-ignore SA1019 it takes its connections one by one

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/http1"
)

// server2 speaks h2c with prior knowledge.
func server2(t *testing.T, f http.HandlerFunc) string {
	t.Helper()
	return serverLimited(t, 0, f)
}

func serverLimited(t *testing.T, streams int, f http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(f)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams}
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// frames serves HTTP/2 by hand: each HEADERS frame is given to serve.
func frames(t *testing.T, settings []http2.Setting, serve func(fr *http2.Framer, stream uint32, c net.Conn)) string {
	return raw(t, func(c net.Conn) {
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(c, preface); err != nil {
			return
		}
		fr := http2.NewFramer(c, c)
		fr.WriteSettings(settings...)
		for {
			f, err := fr.ReadFrame()
			if err != nil {
				return
			}
			switch f := f.(type) {
			case *http2.SettingsFrame:
				if !f.IsAck() {
					fr.WriteSettingsAck()
				}
			case *http2.PingFrame:
				if !f.IsAck() {
					fr.WritePing(true, f.Data)
				}
			case *http2.HeadersFrame:
				serve(fr, f.StreamID, c)
			}
		}
	})
}

// answerFrame writes the head of an answer.
func answerFrame(fr *http2.Framer, stream uint32, end bool, fields ...string) {
	var block strings.Builder
	e := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	fr.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte(block.String()), EndHeaders: true, EndStream: end})
}

func TestHTTP2AnswersThatDoNotBegin(t *testing.T) {
	for _, c := range []struct {
		name  string
		serve func(*http2.Framer, uint32, net.Conn)
		kind  failure.Kind
		safe  bool
	}{
		{"refused stream", func(fr *http2.Framer, id uint32, _ net.Conn) { fr.WriteRSTStream(id, http2.ErrCodeRefusedStream) }, failure.ConnectionTerminated, true},
		{"reset stream", func(fr *http2.Framer, id uint32, _ net.Conn) { fr.WriteRSTStream(id, http2.ErrCodeInternal) }, failure.ConnectionTerminated, false},
		{"going away before it", func(fr *http2.Framer, id uint32, _ net.Conn) { fr.WriteGoAway(0, http2.ErrCodeNo, nil) }, failure.ConnectionTerminated, true},
		{"going away after it", func(fr *http2.Framer, id uint32, c net.Conn) { fr.WriteGoAway(id, http2.ErrCodeNo, nil); c.Close() }, failure.ConnectionTerminated, false},
		{"closed", func(_ *http2.Framer, _ uint32, c net.Conn) { c.Close() }, failure.ConnectionTerminated, false},
		{"reset connection", func(_ *http2.Framer, _ uint32, c net.Conn) { resets(c); c.Close() }, failure.ConnectionTerminated, false},
		{"1xx without end", func(fr *http2.Framer, id uint32, _ net.Conn) {
			for range maxInformed + 1 {
				answerFrame(fr, id, false, ":status", "103")
			}
		}, failure.HTTPProtocolError, false},
		{"no status", func(fr *http2.Framer, id uint32, _ net.Conn) { answerFrame(fr, id, true, "x", "y") }, failure.HTTPProtocolError, false},
		{"a head too large", func(fr *http2.Framer, id uint32, _ net.Conn) {
			fields := []string{":status", "200"}
			for range 30 { // on the wire little more than one of them
				fields = append(fields, "x", strings.Repeat("x", 3000))
			}
			answerFrame(fr, id, true, fields...)
		}, failure.HTTPResponseHeaderSize, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := newTransport(t, Options{Address: frames(t, nil, c.serve), HTTP2: true})
			_, err := tr.RoundTrip(t.Context(), get(t))
			wantFailure(t, err, c.kind, c.safe)
		})
	}
}

func TestHTTP2AnswersThatBreakOff(t *testing.T) {
	for name, end := range map[string]func(*http2.Framer, uint32, net.Conn){
		"reset":  func(fr *http2.Framer, id uint32, _ net.Conn) { fr.WriteRSTStream(id, http2.ErrCodeInternal) },
		"closed": func(_ *http2.Framer, _ uint32, c net.Conn) { c.Close() },
		"short":  func(fr *http2.Framer, id uint32, _ net.Conn) { fr.WriteData(id, true, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			address := frames(t, nil, func(fr *http2.Framer, id uint32, c net.Conn) {
				answerFrame(fr, id, false, ":status", "200", "content-length", "10")
				fr.WriteData(id, false, []byte("12345"))
				end(fr, id, c)
			})
			res := mustTrip(t, newTransport(t, Options{Address: address, HTTP2: true}), get(t))
			defer res.Body.Close()
			_, err := io.ReadAll(res.Body)
			wantFailure(t, err, failure.HTTPResponseIncomplete, false)
		})
	}
}

func TestEndpointsThatSpeakNoHTTP2(t *testing.T) {
	for name, c := range map[string]struct {
		serve func(net.Conn)
		kind  failure.Kind
	}{
		"HTTP/1.1":   {func(c net.Conn) { io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n"); silent(c) }, failure.HTTPProtocolError},
		"nothing":    {silent, failure.ConnectionTimeout},
		"closes":     {func(net.Conn) {}, failure.ConnectionTerminated},
		"no streams": {nil, failure.HTTPProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{HTTP2: true, ConnectTimeout: 100 * time.Millisecond}
			if c.serve != nil {
				o.Address = raw(t, c.serve)
			} else {
				o.Address = frames(t, []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 0}}, func(*http2.Framer, uint32, net.Conn) {})
			}
			_, err := newTransport(t, o).RoundTrip(t.Context(), get(t))
			wantFailure(t, err, c.kind, true)
		})
	}
}

func TestHTTP2SwitchesNoProtocols(t *testing.T) {
	_, err := newTransport(t, Options{Address: "127.0.0.1:1", HTTP2: true}).RoundTrip(t.Context(), upgrade(t))
	if f := failure.From(err); f.Kind != failure.HTTPUpgradeFailed || !f.RetrySafe {
		t.Error(err)
	}
}

func TestHTTP2OverTLS(t *testing.T) {
	a := newAuthority(t)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Proto, " ", r.Host, " ", r.URL.Path, " ", r.UserAgent(), r.Header["Connection"], r.Header["Te"])
	}))
	s.EnableHTTP2 = true
	s.TLS = a.server(t, "orders.test", time.Now().Add(time.Hour))
	s.StartTLS()
	t.Cleanup(s.Close)
	trip := get(t)
	trip.Request.Host = "shop.test"
	trip.Request.URL.Scheme = "https"
	trip.Request.Header = http.Header{"Connection": {"te"}, "Te": {"trailers"}}
	res := mustTrip(t, newTransport(t, Options{Address: s.Listener.Addr().String(), TLS: a.client(t, "orders.test"), HTTP2: true}), trip)
	if text := read(t, res); text != "HTTP/2.0 shop.test /path [] [trailers]" {
		t.Errorf("%q", text)
	}
}

// What stands beside the request is sent as if it were in it, and the request is left as it was.
func TestHTTP2BesideTheRequest(t *testing.T) {
	address := server2(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, r.Host, " ", r.RequestURI, " ", string(body), " ", r.Header["Via"], r.Header["X-Real-Ip"])
	})
	r := request(t, "POST", "")
	r.URL.Opaque, r.URL.RawQuery, r.ContentLength = "//a/b", "", 4
	before := r.Header.Clone()
	res := mustTrip(t, newTransport(t, Options{Address: address, HTTP2: true}), &Trip{
		Request: r, Call: http1.Call{Host: "instead.test", Body: io.NopCloser(strings.NewReader("body")), Lines: []byte("Via: 1.1 a\r\nX-Real-Ip: 192.0.2.1\r\n")},
	})
	if text := read(t, res); text != "instead.test /a/b body [1.1 a] [192.0.2.1]" {
		t.Errorf("%q", text)
	}
	if r.Host == "instead.test" || !maps.EqualFunc(r.Header, before, slices.Equal[[]string]) {
		t.Errorf("the request was changed: %v %v", r.Host, r.Header)
	}
}

func TestStreamsInBothDirections(t *testing.T) {
	address := server2(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		buf := make([]byte, 64)
		for {
			n, err := r.Body.Read(buf)
			w.Write(buf[:n])
			w.(http.Flusher).Flush()
			if err != nil {
				return
			}
		}
	})
	body, writer := io.Pipe()
	r := request(t, "POST", "x")
	r.Body, r.ContentLength = body, -1
	res := mustTrip(t, newTransport(t, Options{Address: address, HTTP2: true}), &Trip{Request: r})
	buf := make([]byte, 64)
	for _, word := range []string{"one", "two", "three"} {
		io.WriteString(writer, word)
		if n, err := io.ReadFull(res.Body, buf[:len(word)]); err != nil || string(buf[:n]) != word {
			t.Fatalf("%q %v", buf[:n], err)
		}
	}
	writer.Close()
	if rest := read(t, res); rest != "" {
		t.Errorf("%q", rest)
	}
}

// holding is a server whose answers end when told to. It says how many streams each connection has.
type holding struct {
	mu      sync.Mutex
	streams map[string]int
	most    int
	total   int
	release chan struct{}
}

func (h *holding) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.streams[r.RemoteAddr]++
	h.total++
	h.most = max(h.most, h.streams[r.RemoteAddr])
	h.mu.Unlock()
	w.(http.Flusher).Flush()
	<-h.release
	h.mu.Lock()
	h.streams[r.RemoteAddr]--
	h.mu.Unlock()
}

func (h *holding) served() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.total
}

func hold() *holding { return &holding{streams: make(map[string]int), release: make(chan struct{})} }

func TestMoreConnectionsWhenTheStreamsRunOut(t *testing.T) {
	h := hold()
	tr := newTransport(t, Options{Address: serverLimited(t, 3, h.ServeHTTP), HTTP2: true})
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			res, err := tr.RoundTrip(t.Context(), get(t))
			if err != nil {
				t.Error(err)
				return
			}
			read(t, res)
		})
	}
	eventually(t, "ten streams at once", func() bool { return h.served() == 10 })
	close(h.release)
	all.Wait()
	if h.most > 3 || len(h.streams) < 4 {
		t.Errorf("%d streams on a connection, %d connections", h.most, len(h.streams))
	}
}

func TestStreamsAreWaitedForAtTheConnectionLimit(t *testing.T) {
	h := hold()
	tr := newTransport(t, Options{Address: serverLimited(t, 2, h.ServeHTTP), HTTP2: true, Max: 2, Pending: 1})
	p := tr.(*http2Transport).pool
	var all sync.WaitGroup
	ask := func() {
		all.Go(func() {
			res, err := tr.RoundTrip(t.Context(), get(t))
			if err != nil {
				t.Error(err)
				return
			}
			read(t, res)
		})
	}
	for n := range 4 {
		ask()
		eventually(t, "the streams open", func() bool { return h.served() == n+1 })
	}
	waiting := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.waiting.Len()
	}
	for n := range 3 { // pending, and the two that one more connection would have carried
		ask()
		eventually(t, "it waits", func() bool { return waiting() == n+1 })
	}
	_, err := tr.RoundTrip(t.Context(), get(t))
	wantFailure(t, err, failure.ConnectionLimitReached, true)

	close(h.release)
	all.Wait()
	if h.total != 7 || len(h.streams) != 2 {
		t.Errorf("%d requests on %d connections", h.total, len(h.streams))
	}
}

func TestWhoGivesUpWaitingLeavesNothing(t *testing.T) {
	h := hold()
	tr := newTransport(t, Options{Address: serverLimited(t, 1, h.ServeHTTP), HTTP2: true, Max: 1})
	p := tr.(*http2Transport).pool
	res := mustTrip(t, tr, get(t))
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := tr.RoundTrip(ctx, get(t))
		failed <- err
	}()
	eventually(t, "it waits", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.waiting.Len() == 1 })
	cancel()
	wantFailure(t, <-failed, failure.ConnectionLimitReached, true)
	close(h.release)
	read(t, res)
	read(t, mustTrip(t, tr, get(t)))
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting.Len() != 0 || len(p.conns) != 1 || p.conns[0].busy != 0 {
		t.Errorf("%d waiting, %d connections, %d busy", p.waiting.Len(), len(p.conns), p.conns[0].busy)
	}
}

func TestARequestThatLeavesDoesNotTakeTheConnectionAlong(t *testing.T) {
	accepted, proceed := make(chan struct{}, 8), make(chan struct{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http2.Server{}
	serveRaw(t, l, func(c net.Conn) {
		accepted <- struct{}{}
		<-proceed
		server.ServeConn(c, &http2.ServeConnOpts{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})})
	})
	tr := newTransport(t, Options{Address: l.Addr().String(), HTTP2: true})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-accepted; cancel() }()
	_, err = tr.RoundTrip(ctx, get(t))
	wantFailure(t, err, failure.ConnectionTimeout, true)
	close(proceed)
	read(t, mustTrip(t, tr, get(t)))
	if len(accepted) != 0 {
		t.Error("a second connection was opened")
	}
}

func TestAConnectionThatIsGoingAwayIsReplaced(t *testing.T) {
	address := frames(t, nil, func(fr *http2.Framer, id uint32, _ net.Conn) {
		fr.WriteGoAway(id, http2.ErrCodeNo, nil)
		answerFrame(fr, id, true, ":status", "204")
	})
	tr := newTransport(t, Options{Address: address, HTTP2: true})
	for range 5 {
		if res := mustTrip(t, tr, get(t)); res.StatusCode != 204 {
			t.Errorf("%d", res.StatusCode)
		} else {
			res.Body.Close()
		}
	}
	p := tr.(*http2Transport).pool
	eventually(t, "the old connections are forgotten", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.conns) <= 1 })
}

func TestACrowdedConnectionGetsCompany(t *testing.T) {
	h := hold()
	tr := newTransport(t, Options{Address: server2(t, h.ServeHTTP), HTTP2: true})
	p := tr.(*http2Transport).pool
	var answers []*http.Response
	for range crowded + 1 {
		answers = append(answers, mustTrip(t, tr, get(t)))
	}
	eventually(t, "a second connection", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.conns) == 2 })
	answers = append(answers, mustTrip(t, tr, get(t)))
	close(h.release)
	for _, res := range answers {
		read(t, res)
	}
	if h.most > crowded+1 || len(h.streams) != 2 {
		t.Errorf("%d streams on a connection, %d connections", h.most, len(h.streams))
	}
}

func TestIdleHTTP2ConnectionsAreBounded(t *testing.T) {
	h := hold()
	tr := newTransport(t, Options{Address: serverLimited(t, 1, h.ServeHTTP), HTTP2: true, MaxIdle: 1})
	p := tr.(*http2Transport).pool
	var answers []*http.Response
	for range 3 {
		answers = append(answers, mustTrip(t, tr, get(t)))
	}
	close(h.release)
	for _, res := range answers {
		read(t, res)
	}
	eventually(t, "one is kept", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.conns) == 1 })
}

// Whatever way requests end, nothing of them stays behind.
// A connection that is being closed is given to nobody, or the closing would break off who has just begun.
func TestAConnectionThatIsClosedTakesNobodyAlong(t *testing.T) {
	tr := New(Options{Network: "tcp", Address: server2(t, func(http.ResponseWriter, *http.Request) {}), HTTP2: true, ConnectTimeout: patience})
	tr.CloseIdle()
	for i := range 200 {
		res, err := tr.RoundTrip(t.Context(), &Trip{Request: request(t, "GET", "")})
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		res.Body.Close()
	}
}

func TestChurnLeavesNothing(t *testing.T) {
	answer := func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		switch rand.IntN(4) {
		case 0:
			panic(http.ErrAbortHandler)
		case 1:
			<-r.Context().Done()
		default:
			io.Copy(w, r.Body)
		}
	}
	for _, overHTTP2 := range []bool{false, true} {
		address := server1(t, answer)
		if overHTTP2 {
			address = serverLimited(t, 3, answer)
		}
		tr := newTransport(t, Options{Address: address, HTTP2: overHTTP2, Max: 2, Pending: 4})
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 60 {
					churn(t, tr)
				}
			})
		}
		all.Wait()
		switch tr := tr.(type) {
		case *http1Transport:
			if open, idle := tr.pool.Conns(); open != idle || open > 2 || tr.pool.Waiting() != 0 {
				t.Errorf("%d connections, %d idle, %d requests waiting", open, idle, tr.pool.Waiting())
			}
		case *http2Transport:
			p := tr.pool
			eventually(t, "no dial is on its way", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.dialing == 0 })
			p.mu.Lock()
			for _, c := range p.conns {
				if c.busy != 0 {
					t.Errorf("%d streams in use", c.busy)
				}
			}
			if p.waiting.Len() != 0 || len(p.conns) > 2 {
				t.Errorf("%d waiting, %d connections", p.waiting.Len(), len(p.conns))
			}
			p.mu.Unlock()
		}
	}
}

func churn(t *testing.T, tr Transport) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(3000))*time.Microsecond)
	defer cancel()
	res, err := tr.RoundTrip(ctx, &Trip{Request: request(t, "POST", "body")})
	if err != nil {
		if f := failure.From(err); f.Source != failure.Upstream {
			t.Error(err)
		}
		return
	}
	if rand.IntN(2) == 0 {
		io.Copy(io.Discard, res.Body)
	}
	res.Body.Close()
}
