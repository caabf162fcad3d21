package poll

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/upstream/discovery"
)

// registry answers with a text, and its length as ETag.
type registry struct {
	mu   sync.Mutex
	text string
	seen []string // statuses
}

func (g *registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	etag := fmt.Sprintf("%q", fmt.Sprint(len(g.text)))
	w.Header().Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		g.seen = append(g.seen, "304")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	g.seen = append(g.seen, "200")
	io.WriteString(w, g.text)
}

func (g *registry) says(text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.text = text
}

func serve(t *testing.T, h http.Handler) *Source {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	s := New(Config{URL: server.URL + "/orders?secret=x", Scheme: "http", Interval: 10 * time.Second, Timeout: 5 * time.Second})
	t.Cleanup(func() { s.Close() })
	return s
}

func TestAnAnswerThatHasNotChangedIsNotSentAgain(t *testing.T) {
	g := &registry{text: "endpoints: [a:1]"}
	s := serve(t, g)
	first, err := s.Find(t.Context())
	if err != nil || len(first.Endpoints) != 1 || first.After != 10*time.Second || first.Unchanged {
		t.Fatalf("%+v, %v", first, err)
	}
	if again, err := s.Find(t.Context()); err != nil || !again.Unchanged || again.After != 10*time.Second {
		t.Errorf("%+v, %v", again, err)
	}
	g.says("endpoints: [a:1, b:2]")
	if next, err := s.Find(t.Context()); err != nil || len(next.Endpoints) != 2 {
		t.Errorf("%+v, %v", next, err)
	}
	g.says("garbage")
	if _, err := s.Find(t.Context()); err == nil {
		t.Error("garbage was taken")
	}
	g.says("endpoints: [a:1, b:2]") // with the ETag of before, which no longer stands for what we have
	if next, err := s.Find(t.Context()); err != nil || len(next.Endpoints) != 2 {
		t.Errorf("after garbage %+v, %v", next, err)
	}
	if got := strings.Join(g.seen, " "); got != "200 304 200 200 200" {
		t.Errorf("the registry sent %s", got)
	}
}

func TestWhatIsNotAnAnswerIsAFailure(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("a redirect was followed, with Authorization %q", r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	for name, c := range map[string]struct {
		h   http.HandlerFunc
		why string
	}{
		"404":             {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "[]", 404) }, "status is 404"},
		"500":             {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "[]", 500) }, "status is 500"},
		"204":             {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "status is 204"},
		"304 out of turn": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) }, "status is 304"},
		"a redirect":      {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, "status is 302"},
		"a page":          {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html></html>") }, "no list of endpoints"},
		"nothing":         {func(w http.ResponseWriter, _ *http.Request) {}, "empty"},
		"half": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99")
			io.WriteString(w, "[")
		}, "no answer"},
		"a broken line":    {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "no answer"},
		"too much":         {func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, discovery.MaxDocument+1)) }, "more than 4 MiB"},
		"too large header": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }, "no answer"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, c.h)
			s.Token = "s3cret"
			got, err := s.Find(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.why) {
				t.Fatalf("%+v, %v; want a reason with %q", got, err, c.why)
			}
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "s3cret") || strings.Contains(s.String(), "secret") {
				t.Errorf("%s: %v shows what is secret", s, err)
			}
		})
	}
}

func TestSilenceIsAFailure(t *testing.T) {
	s := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	s.client.Timeout = 50 * time.Millisecond
	if _, err := s.Find(t.Context()); err == nil {
		t.Error("silence was taken for an answer")
	}
}

func TestTheTokenIsSent(t *testing.T) {
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer s3cret" || r.URL.RawQuery != "secret=x" {
			w.WriteHeader(401)
		}
		io.WriteString(w, "[]")
	}))
	s.Token = "s3cret"
	if _, err := s.Find(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTLSIsVerified(t *testing.T) {
	server := httptest.NewTLSServer(&registry{text: "[a:1]"})
	defer server.Close()
	server.Config.ErrorLog = nil
	c := Config{URL: server.URL, Scheme: "https", Timeout: 5 * time.Second}
	s := New(c)
	defer s.Close()
	if _, err := s.Find(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %v", err)
	}
	c.TLS = &tls.Config{RootCAs: x509.NewCertPool()}
	c.TLS.RootCAs.AddCert(server.Certificate())
	s = New(c)
	defer s.Close()
	if got, err := s.Find(t.Context()); err != nil || got.Endpoints[0].URL != "https://a:1" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestChangesAreFollowed(t *testing.T) {
	g := &registry{text: "[a:1]"}
	s := serve(t, g)
	s.Interval = time.Millisecond
	sets := make(chan []discovery.Endpoint, 10)
	w := discovery.New(discovery.Options{Source: s, Apply: func(set []discovery.Endpoint) { sets <- set }})
	w.Start()
	defer w.Stop()
	if set := <-sets; len(set) != 1 {
		t.Errorf("first %v", set)
	}
	g.says("[a:1, b:1]")
	if set := <-sets; len(set) != 2 {
		t.Errorf("then %v", set)
	}
}
