// Package load drives a whole gateway hard: reloads under load, ten thousand routes, clients that vanish. Every answer
// carries the id of its request, and is held against it.
//
//	go test ./test/load                     some 20 s
//	SLUICE_SOAK=60s go test -v ./test/load  the full length, with its figures
//	go run ./test/load/swap                 what a swap of 10,000 routes costs those who are being served
package load

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/coder/websocket"
)

// maxEcho is how much of a body the origin sends back.
const maxEcho = 1 << 20

// Origin is the service behind the gateway. What it does depends on the first segment of the path:
//
//	/think     never answers
//	/endless   answers without end
//	/events    sends one event, and then nothing
//	/ws        echoes WebSocket messages
//	others     sends the body back, with the request's X-Id and X-Route
type Origin struct {
	URL string

	listener net.Listener
	server   *http.Server
	active   atomic.Int64
	expected sync.Map // id → chan struct{}
}

// NewOrigin listens on a free port of the loopback interface.
func NewOrigin() (*Origin, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o := &Origin{URL: "http://" + l.Addr().String(), listener: l}
	o.server = &http.Server{Handler: o}
	go func() { _ = o.server.Serve(l) }() // returns when Close is called
	return o, nil
}

// Close ends the origin and every connection to it.
func (o *Origin) Close() { o.server.Close() }

// Active is how many requests are being served.
func (o *Origin) Active() int64 { return o.active.Load() }

// Expect returns what is closed when a request arrives whose path ends in id.
func (o *Origin) Expect(id string) <-chan struct{} {
	arrived := make(chan struct{})
	o.expected.Store(id, arrived)
	return arrived
}

// Forget takes back what Expect asked for.
func (o *Origin) Forget(id string) { o.expected.Delete(id) }

func (o *Origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.active.Add(1)
	defer o.active.Add(-1)
	if arrived, ok := o.expected.LoadAndDelete(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]); ok {
		close(arrived.(chan struct{}))
	}
	kind, _, _ := strings.Cut(r.URL.Path[1:], "/")
	switch kind {
	case "think":
		think(r)
	case "endless":
		endless(w)
	case "events":
		events(w, r)
	case "ws":
		echoMessages(w, r)
	default:
		echo(w, r)
	}
}

// think reads the body, because net/http does not notice before that the other side has gone.
func think(r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err == nil {
		<-r.Context().Done()
	}
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxEcho))
	if err != nil {
		panic(http.ErrAbortHandler) // half a body is not to be answered
	}
	w.Header().Set("X-Id", r.Header.Get("X-Id"))
	w.Header().Set("X-Route", r.Header.Get("X-Route"))
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(body)
}

func endless(w http.ResponseWriter) {
	var some [16 << 10]byte
	for {
		if _, err := w.Write(some[:]); err != nil {
			return
		}
	}
}

func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, "data: first\n\n")
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

func echoMessages(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	for {
		kind, message, err := conn.Read(context.Background())
		if err != nil || conn.Write(context.Background(), kind, message) != nil {
			return
		}
	}
}
