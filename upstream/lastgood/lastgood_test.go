package lastgood

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

func request(change func(*http.Request)) *http.Request {
	r := &http.Request{Method: "GET", Host: "shop.test", URL: &url.URL{Opaque: "/p", RawQuery: "q=1"}, Header: http.Header{}}
	if change != nil {
		change(r)
	}
	return r
}

func with(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header[name] = values }
}

func response(body string, fields ...string) *http.Response {
	res := &http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body))}
	for i := 0; i < len(fields); i += 2 {
		res.Header.Add(fields[i], fields[i+1])
	}
	return res
}

// keep has an answer kept and reads it.
func keep(t *testing.T, c *Cache, key string, res *http.Response) {
	t.Helper()
	c.Keep(key, res)
	io.Copy(io.Discard, res.Body)
	res.Body.Close()
}

func get(c *Cache, key string) string {
	res, ok := c.Get(key, time.Hour)
	if !ok {
		return ""
	}
	body, _ := io.ReadAll(res.Body)
	return string(body)
}

func TestKey(t *testing.T) {
	keys := make(map[string]string)
	for name, change := range map[string]func(*http.Request){
		"plain":    nil,
		"host":     func(r *http.Request) { r.Host = "other.test" },
		"path":     func(r *http.Request) { r.URL.Opaque = "/q" },
		"query":    func(r *http.Request) { r.URL.RawQuery = "q=2" },
		"moved":    func(r *http.Request) { r.URL.Opaque, r.URL.RawQuery = "/pq=1", "" },
		"accept":   with("Accept", "text/html"),
		"two":      with("Accept", "text/html", "text/plain"),
		"joined":   with("Accept", "text/htmltext/plain"),
		"encoding": with("Accept-Encoding", "text/html"),
		"origin":   with("Origin", "http://a"),
	} {
		key := Key(request(change))
		if key == "" {
			t.Errorf("%s: no key", name)
		}
		if other, same := keys[key]; same {
			t.Errorf("%s and %s have the same key", name, other)
		}
		keys[key] = name
	}
	if Key(request(nil)) != Key(request(with("User-Agent", "x"))) {
		t.Error("a field that is not part of the key is")
	}
	for name, change := range map[string]func(*http.Request){
		"POST": func(r *http.Request) { r.Method = "POST" }, "HEAD": func(r *http.Request) { r.Method = "HEAD" },
		"body":          func(r *http.Request) { r.ContentLength = -1 },
		"authorization": with("Authorization", "Basic x"), "cookie": with("Cookie", "a=b"), "key": with("X-Api-Key", "a"),
		"consumer": with("X-Consumer-Name", "a"), "range": with("Range", "bytes=0-1"), "condition": with("If-None-Match", "*"),
	} {
		if Key(request(change)) != "" {
			t.Errorf("%s: may be kept", name)
		}
	}
}

// Whoever asks by another address gets no links that were made for this one.
func TestTheAddressAskedIsPartOfTheKey(t *testing.T) {
	plain := Key(request(func(*http.Request) {}))
	for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix"} {
		if k := Key(request(func(r *http.Request) { r.Header.Set(name, "evil.example") })); k == "" || k == plain {
			t.Errorf("%s makes no difference", name)
		}
	}
}

func TestWhatIsKept(t *testing.T) {
	for _, c := range []struct {
		name string
		*http.Response
		kept bool
	}{
		{"plain", response("hi"), true},
		{"public", response("hi", "Cache-Control", "public, max-age=60"), true},
		{"vary by what is keyed", response("hi", "Vary", "accept-encoding, Origin"), true},
		{"private", response("hi", "Cache-Control", "max-age=60, Private"), false},
		{"private fields", response("hi", "Cache-Control", `private="set-cookie"`), false},
		{"no-store", response("hi", "Cache-Control", "max-age=60", "Cache-Control", "no-store"), false},
		{"no-cache", response("hi", "Cache-Control", "no-cache"), false},
		{"must-revalidate", response("hi", "Cache-Control", "must-revalidate"), false},
		{"cookie", response("hi", "Set-Cookie", "a=b"), false},
		{"vary", response("hi", "Vary", "Accept, X-Tenant"), false},
		{"vary by all", response("hi", "Vary", "*"), false},
		{"error", func() *http.Response { r := response("hi"); r.StatusCode = 500; return r }(), false},
		{"part", func() *http.Response { r := response("hi"); r.StatusCode = 206; return r }(), false},
		{"large", response(strings.Repeat("x", maxAnswer+1)), false},
		{"trailer", func() *http.Response { r := response("hi"); r.Trailer = http.Header{"X": nil}; return r }(), false},
	} {
		cache := New()
		keep(t, cache, "key", c.Response)
		if got := get(cache, "key") != ""; got != c.kept {
			t.Errorf("%s: kept is %v", c.name, got)
		}
	}
}

func TestOnlyWholeAnswersAreKept(t *testing.T) {
	chunked := func(r io.Reader) *http.Response {
		res := response("")
		res.ContentLength, res.Body = -1, io.NopCloser(r)
		return res
	}
	c := New()
	keep(t, c, "whole", chunked(strings.NewReader("whole")))
	keep(t, c, "byte by byte", chunked(iotest.OneByteReader(strings.NewReader("slow"))))
	keep(t, c, "broken", chunked(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(errors.New("broken")))))
	keep(t, c, "too large", chunked(strings.NewReader(strings.Repeat("x", maxAnswer+1))))
	half := response("half")
	c.Keep("not read", half)
	io.ReadFull(half.Body, make([]byte, 2))
	half.Body.Close()
	exact := response("exact")
	c.Keep("exact", exact) // read by somebody who knows the length and does not ask for the end
	io.ReadFull(exact.Body, make([]byte, 5))
	empty := response("")
	empty.StatusCode = 204
	c.Keep("empty", empty)
	for key, want := range map[string]string{
		"whole": "whole", "byte by byte": "slow", "exact": "exact", "broken": "", "too large": "", "not read": "",
	} {
		if got := get(c, key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	if res, ok := c.Get("empty", time.Hour); !ok || res.StatusCode != 204 {
		t.Error("an answer without a body is not kept")
	}
}

func TestWhatIsGivenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		keep(t, c, "key", response("first"))
		keep(t, c, "key", response("second", "Content-Type", "text/css", "Connection", "X-Hop", "X-Hop", "1", "Age", "7"))
		time.Sleep(90 * time.Second)
		res, ok := c.Get("key", time.Hour)
		if !ok {
			t.Fatal("it is gone")
		}
		body, _ := io.ReadAll(res.Body)
		if string(body) != "second" || res.ContentLength != 6 || res.Header.Get("Content-Type") != "text/css" ||
			res.Header.Get("Age") != "90" || res.Header.Get("X-Hop")+res.Header.Get("Connection") != "" {
			t.Errorf("%q %d %v", body, res.ContentLength, res.Header)
		}
		res.Header.Set("Content-Type", "changed")
		if res, _ := c.Get("key", time.Hour); res.Header.Get("Content-Type") != "text/css" {
			t.Error("who was given it changed what is kept")
		}
		if _, ok := c.Get("key", time.Minute); ok {
			t.Error("it is too old")
		}
		if c.bytes != 0 || len(c.answers) != 0 {
			t.Errorf("%d bytes of %d answers are left", c.bytes, len(c.answers))
		}
	})
}

func TestBounds(t *testing.T) {
	c := New()
	for i := range maxAnswers + 10 {
		keep(t, c, strconv.Itoa(i), response("x"))
		get(c, "0") // which is used all the time
	}
	if len(c.answers) != maxAnswers || c.order.Len() != maxAnswers {
		t.Errorf("%d answers are kept", len(c.answers))
	}
	if get(c, "0") == "" || get(c, "1") != "" {
		t.Error("not the one used longest ago made room")
	}
	for i := range 200 {
		keep(t, c, "large"+strconv.Itoa(i), response(strings.Repeat("x", maxAnswer)))
	}
	if c.bytes > maxBytes {
		t.Errorf("%d bytes are kept", c.bytes)
	}
}
