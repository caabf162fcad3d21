package desync

// The recording origin.

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
)

// mark ends every body that is meant, and stands nowhere else in one: a body cut at the wrong place shows.
const mark = '$'

// tabu must be in no head that reaches the origin; hostile messages put it where it must not get through.
const tabu = "evil"

// Request is one the origin has read to its end, or has answered early.
type Request struct {
	ID   string // the last segment of the path
	Conn int    // the connection it came on
	Head *head
	Body []byte
}

// Origin answers every request with its id, and keeps account. The first segment of the path may ask for more:
//
//	/early/ID   is answered before its body is read
//	/leave/ID   is answered before its body is read, and the connection closed
//	/bad/ID     is answered as Misbehave says
type Origin struct {
	listener net.Listener
	serving  sync.WaitGroup

	mu       sync.Mutex
	open     map[net.Conn]bool
	closed   bool
	accepted int
	requests []Request
	breaches []string
	bad      func(c net.Conn, id string) (goOn bool)
}

// NewOrigin listens on a free port of the loopback interface.
func NewOrigin() (*Origin, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o := &Origin{listener: l, open: make(map[net.Conn]bool)}
	o.serving.Go(o.accept)
	return o, nil
}

// Addr is where it listens.
func (o *Origin) Addr() string { return o.listener.Addr().String() }

// Close ends it and its connections.
func (o *Origin) Close() {
	o.listener.Close()
	o.mu.Lock()
	o.closed = true
	for c := range o.open {
		c.Close()
	}
	o.mu.Unlock()
	o.serving.Wait()
}

// Misbehave sets what becomes of the bad requests, until it is called again.
func (o *Origin) Misbehave(bad func(c net.Conn, id string) (goOn bool)) {
	o.mu.Lock()
	o.bad = bad
	o.mu.Unlock()
}

// Take returns what has come since the last call: the whole requests, in order, and whatever was not as it must be.
func (o *Origin) Take() (requests []Request, breaches []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	requests, breaches = o.requests, o.breaches
	o.requests, o.breaches = nil, nil
	return requests, breaches
}

// ids are those of some requests.
func ids(requests []Request) (ids []string) {
	for _, r := range requests {
		ids = append(ids, r.ID)
	}
	return ids
}

func (o *Origin) accept() {
	for {
		c, err := o.listener.Accept()
		if err != nil {
			return
		}
		o.mu.Lock()
		if o.closed {
			c.Close()
		}
		o.open[c] = true
		o.accepted++
		number := o.accepted
		o.mu.Unlock()
		o.serving.Go(func() {
			o.serve(c, number)
			c.Close()
			o.mu.Lock()
			delete(o.open, c)
			o.mu.Unlock()
		})
	}
}

func (o *Origin) serve(c net.Conn, number int) {
	r := bufio.NewReader(c)
	for {
		h, err := readHead(r)
		if err != nil {
			if err == io.ErrUnexpectedEOF || errors.As(err, new(malformed)) {
				o.breach("a head that is none: %v", err)
			}
			return
		}
		if !o.one(c, number, r, h) {
			return
		}
	}
}

// one reads a request behind its head and answers it; false: the connection is done with.
func (o *Origin) one(c net.Conn, number int, r *bufio.Reader, h *head) bool {
	kind, id := o.judge(h)
	early := kind == "early" || kind == "leave"
	if early {
		o.record(Request{id, number, h, nil})
		if o.answer(c, h, id) != nil || kind == "leave" {
			return false
		}
	}
	body, err := readBody(r, h, false)
	if errors.As(err, new(malformed)) {
		o.breach("%s: %v", id, err)
	}
	if err != nil {
		return false
	}
	if i := bytes.IndexByte(body, mark); len(body) > 0 && i != len(body)-1 {
		o.breach("%s: the body is cut at the wrong place: %.200q", id, body)
	}
	if early {
		return true
	}
	o.record(Request{id, number, h, body})
	if kind == "bad" {
		return o.misbehave(c, id)
	}
	return o.answer(c, h, id) == nil
}

func (o *Origin) misbehave(c net.Conn, id string) bool {
	o.mu.Lock()
	bad := o.bad
	o.mu.Unlock()
	return bad != nil && bad(c, id)
}

func (o *Origin) record(r Request) {
	o.mu.Lock()
	o.requests = append(o.requests, r)
	o.mu.Unlock()
}

var requestLine = regexp.MustCompile(`^([!#$%&'*+.^_|~0-9A-Za-z-]+) (/[!-~]*|\*) HTTP/1\.1$`)

// judge looks at what a head must and must not hold, and tells what to do and the id.
func (o *Origin) judge(h *head) (kind, id string) {
	m := requestLine.FindStringSubmatch(h.first)
	if m == nil {
		o.breach("request line %q", h.first)
		return "", ""
	}
	path, _, _ := strings.Cut(m[2], "?")
	id = path[strings.LastIndexByte(path, '/')+1:]
	kind, _, _ = strings.Cut(path[1:], "/")
	if strings.Contains(path, "//") || strings.Contains(path, "/../") || strings.ContainsAny(path, `\#`) {
		o.breach("%s: path %q", id, path)
	}
	if len(h.get("Host")) != 1 {
		o.breach("%s: Host %q", id, h.get("Host"))
	}
	if x := h.get("X-Id"); len(x) > 0 && (len(x) > 1 || x[0] != id) {
		o.breach("%s: X-Id %q of another request", id, x)
	}
	for _, f := range append(h.fields, field{"", h.first}) {
		if strings.Contains(strings.ToLower(f.name+f.value), tabu) {
			o.breach("%s: this came through: %q", id, f)
		}
	}
	return kind, id
}

func (o *Origin) answer(c net.Conn, h *head, id string) error {
	body := id + "\n"
	if strings.HasPrefix(h.first, "HEAD ") {
		body = ""
	}
	_, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nX-Id: %s\r\nContent-Length: %d\r\n\r\n%s", id, len(id)+1, body)
	return err
}

func (o *Origin) breach(format string, args ...any) {
	o.mu.Lock()
	o.breaches = append(o.breaches, fmt.Sprintf(format, args...))
	o.mu.Unlock()
}
