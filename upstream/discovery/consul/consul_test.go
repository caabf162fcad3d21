package consul

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/upstream/discovery"
)

// agent answers /v1/health/service/orders as Consul does: with an index, and when asked with one, once there is a newer
// one or the wait is over.
type agent struct {
	mu        sync.Mutex
	index     uint64
	instances []string // JSON
	changed   chan struct{}
	asked     []string // the queries
}

func newAgent(t *testing.T, instances ...string) (*agent, *Source) {
	t.Helper()
	a := &agent{index: 10, instances: instances, changed: make(chan struct{})}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	s := New(Config{Service: "orders", Address: server.URL, Scheme: "http", Wait: time.Minute, ZoneMeta: "zone"})
	t.Cleanup(func() { s.Close() })
	return a, s
}

// set replaces the instances, with an index that may be any.
func (a *agent) set(index uint64, instances ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.index, a.instances = index, instances
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	a.mu.Lock()
	a.asked = append(a.asked, r.URL.RawQuery)
	index, changed := a.index, a.changed
	a.mu.Unlock()
	if asked, err := strconv.ParseUint(q.Get("index"), 10, 64); err == nil && asked == index {
		wait, err := time.ParseDuration(q.Get("wait"))
		if err != nil {
			http.Error(w, "Invalid wait time", 400)
			return
		}
		select {
		case <-changed:
		case <-time.After(wait):
		case <-r.Context().Done():
			return
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("X-Consul-Index", strconv.FormatUint(a.index, 10))
	fmt.Fprintf(w, "[%s]", strings.Join(a.instances, ","))
}

func (a *agent) queries() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.asked)
}

// instance is one as Consul writes it, with much that nobody here reads.
func instance(host string, port int, more string) string {
	return fmt.Sprintf(`{"Node": {"ID": "1", "Node": "n1", "Address": "10.9.9.9", "Datacenter": "dc1", "Meta": {"a": "b"}},
		"Service": {"ID": "orders-1", "Service": "orders", "Tags": ["v1"], "Address": %q, "Port": %d, "EnableTagOverride": false%s},
		"Checks": [{"CheckID": "serfHealth", "Status": "passing", "Output": ""}]}`, host, port, more)
}

func TestInstances(t *testing.T) {
	_, s := newAgent(t,
		instance("10.0.0.1", 80, `, "Weights": {"Passing": 5, "Warning": 1}, "Meta": {"zone": "a"}`),
		instance("", 81, ""),
		instance("orders.example.com", 82, `, "Meta": null`),
		instance("2001:db8::1", 83, `, "Weights": {"Passing": 0}`),
		strings.Replace(instance("10.6.6.6", 84, ""), "passing", "critical", 1),
		strings.Replace(instance("10.6.6.6", 85, ""), "passing", "warning", 1),
		strings.Replace(instance("10.0.0.2", 86, ""), `{"CheckID": "serfHealth", "Status": "passing", "Output": ""}`, "", 1),
	)
	got, err := s.Find(t.Context())
	want := []discovery.Endpoint{
		{URL: "http://10.0.0.1:80", Weight: 5, Zone: "a"}, {URL: "http://10.9.9.9:81", Weight: 1}, {URL: "http://orders.example.com:82", Weight: 1},
		{URL: "http://[2001:db8::1]:83", Weight: 0}, {URL: "http://10.0.0.2:86", Weight: 1},
	}
	if err != nil || !slices.Equal(got.Endpoints, want) {
		t.Errorf("%v, %v", got, err)
	}
	if _, _, err := discovery.Sanitize(got.Endpoints); err != nil {
		t.Error(err)
	}
}

func TestQuestionsBlockUntilThereIsNews(t *testing.T) {
	a, s := newAgent(t, instance("10.0.0.1", 80, ""))
	sets := make(chan []discovery.Endpoint, 10)
	w := discovery.New(discovery.Options{Source: s, Apply: func(set []discovery.Endpoint) { sets <- set }})
	w.Start()
	defer w.Stop()
	if set := <-sets; len(set) != 1 {
		t.Fatalf("first %v", set)
	}
	a.set(11, instance("10.0.0.1", 80, ""), instance("10.0.0.2", 80, ""))
	if set := <-sets; len(set) != 2 {
		t.Fatalf("then %v", set)
	}
	asked := a.queries()
	if asked[0] != "passing=1" || !slices.Contains(asked, "index=10&passing=1&wait=60000ms") && !slices.Contains(asked, "index=11&passing=1&wait=60000ms") {
		t.Errorf("asked %q", asked)
	}
}

func TestAWaitThatEndsIsNoChange(t *testing.T) {
	a, s := newAgent(t, instance("10.0.0.1", 80, ""))
	s.Wait = time.Millisecond
	for i := range 3 {
		got, err := s.Find(t.Context())
		if err != nil || len(got.Endpoints) != 1 {
			t.Fatalf("%v, %v", got, err)
		}
		if waits := got.After == restless; waits != (i > 0) {
			t.Errorf("answer %d is followed by a pause of %v", i, got.After)
		}
	}
	if asked := a.queries(); asked[2] != "index=10&passing=1&wait=1ms" {
		t.Errorf("asked %q", asked)
	}
}

// Consul that was restored from a backup counts anew; who went on with the old index would wait for years.
func TestAnIndexThatGoesBackwards(t *testing.T) {
	a, s := newAgent(t, instance("10.0.0.1", 80, ""))
	s.Find(t.Context())
	a.set(3, instance("10.0.0.2", 80, ""))
	for range 3 {
		if got, err := s.Find(t.Context()); err != nil || got.Endpoints[0].URL != "http://10.0.0.2:80" {
			t.Fatalf("%v, %v", got, err)
		}
		if asked := a.queries(); len(asked) == 3 {
			if asked[2] != "passing=1" {
				t.Errorf("asked %q", asked)
			}
			s.Wait = time.Millisecond
		}
	}
	if asked := a.queries(); asked[3] != "index=3&passing=1&wait=1ms" {
		t.Errorf("asked %q", asked)
	}
}

func TestNextIndex(t *testing.T) {
	for _, c := range []struct {
		asked    uint64
		answered string
		want     uint64
	}{
		{0, "1", 1}, {5, "5", 5}, {5, "6", 6}, {5, "4", 0}, {5, "0", 0}, {5, "", 0}, {5, "x", 0}, {5, "-1", 0}, {0, "18446744073709551615", 1<<64 - 1},
		{5, "18446744073709551616", 0},
	} {
		if got := next(c.asked, c.answered); got != c.want {
			t.Errorf("asked %d, answered %q: %d, want %d", c.asked, c.answered, got, c.want)
		}
	}
}

func TestWhatIsAskedFor(t *testing.T) {
	var path, query, token string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, query, token = r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Get("X-Consul-Token")
		io.WriteString(w, "[]")
	}))
	defer server.Close()
	s := New(Config{Service: "a/../b", Address: server.URL + "/", Datacenter: "dc2", Namespace: "team", Tags: []string{"v1", "blue"}, Token: "s3cret", Scheme: "http"})
	defer s.Close()
	if _, err := s.Find(t.Context()); err != nil {
		t.Fatal(err)
	}
	if path != "/v1/health/service/a%2F..%2Fb" || query != "dc=dc2&ns=team&passing=1&tag=v1&tag=blue" || token != "s3cret" {
		t.Errorf("asked %s?%s with the token %s", path, query, token)
	}
	if strings.Contains(s.String(), "s3cret") {
		t.Errorf("%s shows the token", s)
	}
}

func TestWhatIsNotAnAnswerIsAFailure(t *testing.T) {
	for name, c := range map[string]struct {
		h   http.HandlerFunc
		why string
	}{
		"forbidden": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "Permission denied", http.StatusForbidden) }, "the token needs service:read"},
		"no leader": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "No cluster leader", 500) }, "status is 500"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
		}, "status is 302"},
		"a page":     {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html></html>") }, "not Consul's"},
		"an object":  {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"a": 1}`) }, "not Consul's"},
		"null":       {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "null") }, "no list"},
		"no port":    {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "[%s]", instance("10.0.0.1", 0, "")) }, "instance 1 of 1: the port 0"},
		"no address": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `[{"Service": {"Port": 80}}]`) }, "neither the instance nor"},
		"too many": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, "[{}%s]", strings.Repeat(",{}", discovery.MaxEndpoints))
		}, "10001 instances"},
		"too much":    {func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, maxAnswer+1)) }, "more than 16 MiB"},
		"half a list": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "[{}") }, "not Consul's"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(c.h)
			defer server.Close()
			s := New(Config{Service: "orders", Address: server.URL, Token: "s3cret", Scheme: "http"})
			defer s.Close()
			got, err := s.Find(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.why) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%+v, %v; want a reason with %q", got, err, c.why)
			}
		})
	}
}

func TestAFailureIsFollowedByAQuestionThatDoesNotBlock(t *testing.T) {
	a, s := newAgent(t, instance("10.0.0.1", 80, ""))
	s.Find(t.Context())
	a.set(11, "garbage")
	if _, err := s.Find(t.Context()); err == nil {
		t.Fatal("garbage was taken")
	}
	a.set(11, instance("10.0.0.1", 80, ""))
	if _, err := s.Find(t.Context()); err != nil {
		t.Fatal(err)
	}
	if asked := a.queries(); asked[2] != "passing=1" {
		t.Errorf("asked %q", asked)
	}
}

func TestABlockedQuestionEndsWithItsContext(t *testing.T) {
	_, s := newAgent(t, instance("10.0.0.1", 80, ""))
	s.Find(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := s.Find(ctx); err == nil {
		t.Error("nothing changed, and yet there is an answer")
	}
}

func FuzzParse(f *testing.F) {
	s := New(Config{Scheme: "http", ZoneMeta: "zone"})
	f.Add([]byte("[" + instance("10.0.0.1", 80, `, "Weights": {"Passing": 5}, "Meta": {"zone": "a"}`) + "]"))
	f.Add([]byte(`[{"Service": {"Address": "a b/c@d", "Port": 65536}}]`))
	f.Add([]byte(`[null, {"Checks": null}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		endpoints, err := s.parse(data)
		if err != nil {
			return
		}
		if !json.Valid(data) || len(endpoints) > discovery.MaxEndpoints {
			t.Errorf("%d endpoints of %q", len(endpoints), data)
		}
		discovery.Sanitize(endpoints)
	})
}
