// Package lastgood keeps the last good answers of a service, to be given again while the service fails.
//
// What is kept must be right for anybody who asks the same. So only whole 2xx answers to a GET are kept, of a request
// without credentials, cookies, conditions and ranges; not if the answer sets a cookie, says private, no-store,
// no-cache or must-revalidate, or varies by anything but what is part of the key. The key is host, path, query and the
// request's Accept, Accept-Encoding, Accept-Language and Origin, and what X-Forwarded- fields say of the address that the
// client used: a service may make links of it, and Host may have been rewritten.
//
// A Cache holds no more than 1,000 answers of 64 KiB and 8 MiB together; the one used longest ago makes room.
package lastgood

import (
	"bytes"
	"container/list"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxAnswers = 1000
	maxBytes   = 8 << 20
	maxAnswer  = 64 << 10
)

// Cache has the last good answers of one service.
type Cache struct {
	mu      sync.Mutex
	answers map[string]*list.Element
	order   list.List // of *answer; the one used last is in front
	bytes   int
}

type answer struct {
	key    string
	status int
	header http.Header
	body   []byte
	at     time.Time
}

func (a *answer) size() int {
	n := len(a.key) + len(a.body)
	for name, values := range a.header {
		n += len(name)
		for _, v := range values {
			n += len(v)
		}
	}
	return n
}

// New makes an empty cache.
func New() *Cache { return &Cache{answers: make(map[string]*list.Element)} }

// keyed are the fields of a request that are part of the key.
var keyed = [...]string{
	"Accept", "Accept-Encoding", "Accept-Language", "Origin",
	"X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix",
}

// personal are the fields of a request that make its answer nobody else's, or only a part.
var personal = [...]string{
	"Authorization", "Proxy-Authorization", "Cookie", "Apikey", "Api-Key", "X-Api-Key", "X-Auth-Token", "X-Consumer-Name", "Range", "If-Match", "If-None-Match",
	"If-Modified-Since", "If-Unmodified-Since", "If-Range", "Upgrade",
}

// Key is what the answer to a request is kept under; empty if none may be. URL.Opaque is the path.
func Key(r *http.Request) string {
	if r.Method != http.MethodGet || r.ContentLength != 0 {
		return ""
	}
	for _, name := range personal {
		if len(r.Header[name]) > 0 {
			return ""
		}
	}
	var b strings.Builder
	for _, part := range [...]string{r.Host, r.URL.Opaque, r.URL.RawQuery} {
		b.WriteString(part)
		b.WriteByte(0) // which no part can hold
	}
	for _, name := range keyed {
		for _, value := range r.Header[name] {
			b.WriteString(value)
			b.WriteByte(1)
		}
		b.WriteByte(0)
	}
	return b.String()
}

// Keep has an answer kept once its body has been read to the end. The body is replaced if it is.
func (c *Cache) Keep(key string, res *http.Response) {
	if key == "" || !shareable(res) {
		return
	}
	kept := &answer{key: key, status: res.StatusCode, header: endToEnd(res.Header)}
	if res.ContentLength == 0 { // nobody may read it
		c.put(kept)
		return
	}
	res.Body = &body{ReadCloser: res.Body, cache: c, answer: kept, length: res.ContentLength}
}

// Get is the answer kept under a key, if it is no older than maxAge.
func (c *Cache) Get(key string, maxAge time.Duration) (*http.Response, bool) {
	if key == "" {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	place, ok := c.answers[key]
	if !ok {
		return nil, false
	}
	a := place.Value.(*answer)
	age := time.Since(a.at)
	if age > maxAge {
		c.remove(place)
		return nil, false
	}
	c.order.MoveToFront(place)
	return a.response(age), true
}

func (a *answer) response(age time.Duration) *http.Response {
	header := a.header.Clone()
	header["Age"] = []string{strconv.Itoa(int(age.Seconds()))}
	return &http.Response{
		Status: strconv.Itoa(a.status) + " " + http.StatusText(a.status), StatusCode: a.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, ContentLength: int64(len(a.body)), Body: io.NopCloser(bytes.NewReader(a.body)),
	}
}

func (c *Cache) put(a *answer) {
	a.at = time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if before, ok := c.answers[a.key]; ok {
		c.remove(before)
	}
	c.answers[a.key] = c.order.PushFront(a)
	c.bytes += a.size()
	for len(c.answers) > maxAnswers || c.bytes > maxBytes {
		c.remove(c.order.Back())
	}
}

func (c *Cache) remove(place *list.Element) {
	a := c.order.Remove(place).(*answer)
	delete(c.answers, a.key)
	c.bytes -= a.size()
}

// shareable reports whether anybody may be given the answer who asks the same.
func shareable(res *http.Response) bool {
	switch {
	case res.StatusCode < 200, res.StatusCode > 299, res.StatusCode == http.StatusPartialContent,
		res.ContentLength > maxAnswer, len(res.Trailer) > 0, len(res.Header["Set-Cookie"]) > 0:
		return false
	}
	for _, directive := range members(res.Header["Cache-Control"]) {
		name, _, _ := strings.Cut(directive, "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "private", "no-store", "no-cache", "must-revalidate", "proxy-revalidate":
			return false
		}
	}
	for _, field := range members(res.Header["Vary"]) {
		if !Keyed(field) {
			return false
		}
	}
	return true
}

// Keyed reports whether a field of a request is part of the key.
func Keyed(field string) bool {
	for _, name := range keyed {
		if strings.EqualFold(name, field) {
			return true
		}
	}
	return false
}

// members are the members of a comma-separated field. A comma in a quoted argument makes two of one, which can only
// forbid more.
func members(values []string) []string {
	var all []string
	for _, value := range values {
		for member := range strings.SplitSeq(value, ",") {
			if member = strings.TrimSpace(member); member != "" {
				all = append(all, member)
			}
		}
	}
	return all
}

// endToEnd is a copy of an answer's header without what was said for its connection only.
func endToEnd(h http.Header) http.Header {
	c := h.Clone()
	for _, name := range members(h["Connection"]) {
		c.Del(name)
	}
	for _, name := range [...]string{"Connection", "Keep-Alive", "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Proxy-Connection", "Content-Length"} {
		delete(c, name)
	}
	return c
}

// body copies what is read of an answer, and has it kept at the end.
type body struct {
	io.ReadCloser
	cache  *Cache
	answer *answer // nil: it is kept, or will not be
	length int64
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.answer == nil {
		return n, err
	}
	switch {
	case len(b.answer.body)+n > maxAnswer, err != nil && err != io.EOF:
		b.answer = nil
		return n, err
	}
	b.answer.body = append(b.answer.body, p[:n]...)
	whole := b.length == int64(len(b.answer.body)) // whoever knows the length may not ask for the end
	if whole || err == io.EOF && b.length < 0 {
		b.cache.put(b.answer)
		b.answer = nil
	}
	return n, err
}
