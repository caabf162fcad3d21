package aggregate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/document"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/template"
	"github.com/sluice-gateway/sluice/upstream"
)

// unit is the memory of one request to a service and its answer.
type unit struct {
	from     source
	request  http.Request
	url      url.URL
	header   http.Header
	lines    []byte
	body     bytes.Reader
	call     upstream.Call
	buffer   []byte // the answer
	late     alarm
	attempts []telemetry.Attempt
}

// What is kept for another request: a buffer and field lines no larger than these.
const (
	keptBuffer = 64 << 10
	keptLines  = 4 << 10
)

func (u *unit) release() {
	if cap(u.buffer) > keptBuffer {
		u.buffer = nil
	}
	if cap(u.lines) > keptLines {
		u.lines = nil
	}
	clear(u.header)
	clear(u.attempts)
	u.attempts = u.attempts[:0]
	u.late = alarm{}
	u.from, u.call, u.request, u.url = source{}, upstream.Call{}, http.Request{}, url.URL{}
	u.body.Reset(nil)
}

// call makes one request and reads its answer, which lies in the unit. item and index are those of a ForEach.
func (r *run) call(q *plan, u *unit, deadline time.Time, item document.Value, index int, caching *caching) (document.Value, *failure.Error) {
	if r.scope.Err() != nil {
		return nil, errCut
	}
	u.from = source{r, item, index}
	if err := q.compose(u); err != nil {
		return nil, err
	}
	var timeout time.Duration
	if !deadline.IsZero() {
		timeout = max(time.Until(deadline), 1)
	}
	c := &u.call
	c.Request, c.Lines, c.Reads, c.Attempts = &u.request, u.lines, q.reads, u.attempts[:0]
	c.HashKey, c.Policy, c.Timeout = r.x.HashKey, q.Policy, timeout
	c.Anonymous = r.calls[q.index].anonymous
	scope := upstream.NewScope(r.scope)
	defer scope.End()
	res, err := q.Service.Do(scope, c)
	u.attempts = c.Attempts
	switch {
	case err != nil && r.scope.Err() != nil:
		return nil, errCut
	case err != nil:
		return nil, failure.From(err)
	}
	u.late.at, u.late.scope = deadline, scope
	return r.read(q, u, res, caching)
}

// compose makes the request.
func (q *plan) compose(u *unit) *failure.Error {
	x := u.from.r.x
	if u.header == nil {
		u.header = make(http.Header, 16)
	}
	q.setFields(u)
	for _, h := range q.headers {
		value, err := h.text.String(&u.from)
		if err != nil {
			return unfilled(err)
		}
		u.header[h.name] = []string{value}
	}
	method, err := q.method.String(&u.from)
	if err != nil {
		return unfilled(err)
	}
	if !callable(method) {
		return failure.Request(http.StatusMethodNotAllowed, "The method cannot be passed on.")
	}
	if err := q.address(u); err != nil {
		return err
	}
	u.request = http.Request{
		Method: method, URL: &u.url, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: u.header, Host: x.Out.Host, Body: http.NoBody,
	}
	if q.body == nil {
		return nil
	}
	text, err := q.body.Append(nil, &u.from)
	if err != nil {
		return unfilled(err)
	}
	u.body.Reset(text)
	u.request.Body, u.request.ContentLength = io.NopCloser(&u.body), int64(len(text))
	return nil
}

// address makes the path and the query. Values from outside must not make the path lead elsewhere: it has to be canonical.
func (q *plan) address(u *unit) *failure.Error {
	target, err := q.target.String(&u.from)
	if err != nil {
		return unfilled(err)
	}
	path, query, _ := strings.Cut(target, "?")
	if !q.target.IsLiteral() {
		if canonical, err := exchange.CanonicalPath(path); err != nil || canonical != path {
			return q.astray()
		}
	}
	if len(q.query) > 0 {
		if query, err = q.parameters(query, &u.from); err != nil {
			return unfilled(err)
		}
	}
	u.url = url.URL{Opaque: path, RawQuery: query}
	return nil
}

var errPath = errors.New("an empty or a dot segment, or a broken escape, came from a reference")

func (q *plan) parameters(query string, from template.Source) (string, error) {
	b := []byte(query)
	for _, p := range q.query {
		if len(b) > 0 {
			b = append(b, '&')
		}
		var err error
		if b, err = p.text.Append(append(append(b, p.name...), '='), from); err != nil {
			return "", err
		}
	}
	return string(b), nil
}

func callable(method string) bool {
	if method == http.MethodGet {
		return true
	}
	for i := 0; i < len(method); i++ {
		if c := method[i]; !('A' <= c && c <= 'Z' || c == '-') {
			return false
		}
	}
	return method != "" && len(method) <= 32 && method != http.MethodConnect && method != http.MethodTrace
}

// read judges an answer by its head, and reads and checks its body.
func (r *run) read(q *plan, u *unit, res *http.Response, c *caching) (document.Value, *failure.Error) {
	if err := q.judge(res); err != nil {
		res.Body.Close()
		return nil, err
	}
	c.add(res.Header, q)
	text, err := r.take(u, res)
	if err != nil {
		return nil, err
	}
	if len(text) == 0 && (res.StatusCode != http.StatusOK || u.request.Method == http.MethodHead) {
		return null, nil
	}
	return q.parse(text, r.a.spec.Limits.Depth)
}

var null = document.Value("null")

// judge fails what is no whole answer of the right type. 206 is none: nobody asked for a part.
func (q *plan) judge(res *http.Response) *failure.Error {
	if code := res.StatusCode; code < 200 || code > 299 || code == http.StatusPartialContent {
		return answered(res)
	}
	if coding := res.Header["Content-Encoding"]; len(coding) > 0 && coding[0] != "identity" {
		return &failure.Error{Source: failure.Upstream, Kind: failure.HTTPResponseCoding, Detail: "The answer is in a coding that was not asked for."}
	}
	said := res.Header["Content-Type"]
	if len(said) == 0 || q.fits(said[0]) || res.ContentLength == 0 {
		return nil
	}
	return &failure.Error{Source: failure.Upstream, Kind: failure.HTTPProtocolError, Detail: "The answer is not of the type " + string(q.Format) + ".",
		Err: errors.New("it is said to be " + strconv.Quote(said[0]))}
}

// fits reports whether a Content-Type is of the call's format.
func (q *plan) fits(said string) bool {
	if said == "application/json" {
		return q.Format == JSON
	}
	media, parameters, err := mime.ParseMediaType(said)
	if err != nil {
		return false
	}
	if charset := strings.ToLower(parameters["charset"]); charset != "" && charset != "utf-8" && charset != "us-ascii" {
		return false
	}
	switch q.Format {
	case XML:
		return document.IsXML(media)
	case Text:
		return strings.HasPrefix(media, "text/")
	}
	return document.IsJSON(media)
}

// peeker is a body that shows what is in hand.
type peeker interface{ Peek() []byte }

// take reads the body into the unit's buffer and closes it. It fails if it is over a limit, breaks off, or has not come by
// the deadline. A body that is in hand already needs no timer, and that is what most are.
func (r *run) take(u *unit, res *http.Response) ([]byte, *failure.Error) {
	limit := r.a.spec.Limits.AnswerBytes
	length := res.ContentLength
	if length > limit {
		res.Body.Close()
		return nil, tooLong
	}
	if u.request.Method == http.MethodHead || res.Body == http.NoBody {
		res.Body.Close()
		return nil, nil
	}
	if p, ok := res.Body.(peeker); !ok || length < 0 || int64(len(p.Peek())) < length {
		u.late.set()
	}
	text, err := r.readAll(u, res.Body, max(length, 0), limit)
	res.Body.Close()
	if u.late.stop() && err != nil {
		return nil, errLate
	}
	return text, err
}

func (r *run) readAll(u *unit, body io.Reader, length, limit int64) ([]byte, *failure.Error) {
	b := u.buffer[:0]
	if int64(cap(b)) <= length {
		b = make([]byte, 0, length+1)
	}
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if int64(len(b)) > limit || r.bytes.Add(int64(n)) > r.a.spec.Limits.TotalBytes {
			return nil, tooLong
		}
		if err == io.EOF {
			u.buffer = b
			return b, nil
		}
		if err != nil {
			return nil, failure.From(err)
		}
	}
}

var tooLong = &failure.Error{Source: failure.Upstream, Kind: failure.HTTPResponseBodySize, Detail: "The answer is too long."}

var errLate = &failure.Error{Source: failure.Upstream, Kind: failure.HTTPResponseTimeout, Detail: "The answer did not end in time."}

// alarm gives a call up at its deadline. It does so by the call's context: to close a body is for its reader alone.
type alarm struct {
	at    time.Time // zero: never
	scope *upstream.Scope
	timer *time.Timer
	rang  *atomic.Bool // of this timer: one that was too late to stop rings into the void
}

func (a *alarm) set() {
	if a.at.IsZero() {
		return
	}
	scope, rang := a.scope, new(atomic.Bool)
	a.rang = rang
	a.timer = time.AfterFunc(time.Until(a.at), func() {
		rang.Store(true)
		scope.Cancel()
	})
}

// stop reports whether the alarm rang, and forgets it.
func (a *alarm) stop() bool {
	rang := a.timer != nil && !a.timer.Stop() && a.rang.Load()
	*a = alarm{}
	return rang
}

// parse makes a value of an answer.
func (q *plan) parse(text []byte, depth int) (v document.Value, _ *failure.Error) {
	var err error
	switch q.Format {
	case XML:
		v, err = document.FromXML(text, depth)
	case Text:
		if !utf8.Valid(text) {
			err = errors.New("the text is not UTF-8")
			break
		}
		v = document.AppendQuoted(nil, string(text))
	default:
		v, err = document.Parse(text, depth)
	}
	if err != nil {
		return nil, &failure.Error{Source: failure.Upstream, Kind: failure.HTTPProtocolError, Detail: "The answer is no valid " + string(q.Format) + ".", Err: err}
	}
	return v, nil
}

// until is ctx for work that is not a call's, with the deadline of the whole.
func (r *run) until(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.deadline.IsZero() {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, r.deadline)
}

func itoa(n int) string { return strconv.Itoa(n) }
