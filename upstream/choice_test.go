package upstream

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/upstream/balance"
)

// zoned is a service whose endpoints are called by their zones: "aab" has two in a and one in b.
func zoned(zones string, policy string) Spec {
	s := Spec{Name: "orders", Zone: "a", Panic: true, Balance: Balance{Policy: policy}}
	for i, zone := range zones {
		u := &url.URL{Scheme: "http", Host: fmt.Sprintf("%c%d", zone, i)}
		s.Endpoints = append(s.Endpoints, EndpointSpec{URL: u, Weight: 1, Zone: string(zone)})
	}
	return s
}

func TestTheOwnZoneIsPreferred(t *testing.T) {
	const n = 1000
	for _, c := range []struct {
		zones string
		out   []int
		want  float64 // share of zone a
	}{
		{"aabb", nil, 1},
		{"bbcc", nil, 0},                // none in the own
		{"aab", []int{2}, 1},            // none in the others
		{"aabb", []int{0, 1}, 0},        // none fit in the own
		{"aaaabbbb", []int{0}, 1},       // three of four bear it: 1.4 x 3/4 > 1
		{"aaaabbbb", []int{0, 1}, 0.7},  // two of four: 1.4 x 2/4
		{"aaaabb", []int{0, 1, 2}, .35}, // one of four
		{"aabb", []int{0, 1, 2, 3}, 1},  // panic
	} {
		for _, policy := range []string{"roundRobin", "random", "leastRequest", "peakEwma"} {
			svc := New(zoned(c.zones, policy), nil)
			for _, i := range c.out {
				svc.Endpoints()[i].TakeOut(Unhealthy)
			}
			m := svc.membership.Load()
			near := 0
			for range n {
				at := m.pick(balance.Ask{Now: time.Now()})
				if m.members[at].zone == "a" {
					near++
				}
				m.done(at)
			}
			if policy == "peakEwma" && c.want != 0 && c.want != 1 {
				continue // with nothing known of latency it has no shares
			}
			if share := float64(near) / n; share < c.want-.1 || share > c.want+.1 || (c.want == 0 || c.want == 1) && share != c.want {
				t.Errorf("%s of %s without %v: %.2f in the own zone, want %.2f", policy, c.zones, c.out, share, c.want)
			}
		}
	}
}

func TestARetryLeavesTheZone(t *testing.T) {
	m := New(zoned("ab", "roundRobin"), nil).membership.Load()
	if at := m.pick(balance.Ask{}); at != 0 {
		t.Errorf("%d before the own zone", at)
	}
	if at := m.pick(balance.Ask{Tried: []int{0}}); at != 1 {
		t.Errorf("%d after the own zone was tried", at)
	}
}

func TestAnEndpointStartsSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := spec(t, "http://a", "http://b")
		s.SlowStart = 20 * time.Second
		svc := New(s, nil)
		svc.Start()
		share := func(of string) float64 { return float64(strings.Count(asked(svc, 2100), of)) / 2100 }
		if got := share("a"); got != .5 {
			t.Errorf("who is there from the start is not new: %.3f", got)
		}
		time.Sleep(time.Second)
		if err := svc.SetEndpoints(endpointsOf(t, "http://a", "http://b", "http://c")); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			after time.Duration
			steps float64
		}{{0, 1}, {time.Second / 2, 1}, {time.Second / 2, 2}, {9 * time.Second, 11}, {9500 * time.Millisecond, 20}, {time.Second, 20}} {
			time.Sleep(c.after)
			if got, want := share("c"), c.steps/(40+c.steps); got < want-.005 || got > want+.005 {
				t.Errorf("%v later: %.3f, want %.3f", c.after, got, want)
			}
		}
		if c := svc.membership.Load().choice(time.Now()); !c.until.IsZero() {
			t.Error("all have their share, and the choice is made again and again")
		}
		e := svc.Endpoints()[0]
		e.TakeOut(Unhealthy)
		e.PutBack(Unhealthy)
		if got := share("a"); got < .01 || got > .04 {
			t.Errorf("who came back got %.3f at once", got)
		}
		svc.Retire(nil)
	})
}

// Zones and slow starts are nothing that a key may depend on.
func TestKeysStayWhateverTheZone(t *testing.T) {
	here := zoned("abab", "consistentHash")
	there := here
	there.Zone, there.SlowStart = "b", time.Minute
	one, other := New(here, nil).membership.Load(), New(there, nil)
	other.Start()
	defer other.Retire(nil)
	other.Endpoints()[0].TakeOut(Ejected)
	other.Endpoints()[0].PutBack(Ejected)
	for i := range 100 {
		ask := balance.Ask{Key: fmt.Sprint(i), Now: time.Now()}
		a, b := one.pick(ask), other.membership.Load().pick(ask)
		one.done(a)
		other.membership.Load().done(b)
		if a != b {
			t.Fatalf("key %d: %d and %d", i, a, b)
		}
	}
}

func TestTokensOfCalls(t *testing.T) {
	a, b := newScript(t, "200"), newScript(t, "200")
	s := spec(t, a.url, b.url)
	s.Balance.Policy = "sticky"
	svc := start(t, s, nil)
	call := get()
	read(t, mustDo(t, svc, call))
	token := call.Token
	if token == "" {
		t.Fatal("no token with the first answer")
	}
	for range 10 {
		again := get()
		again.HashKey = token
		read(t, mustDo(t, svc, again))
		if again.Token != "" || again.Attempts[0].Endpoint != call.Attempts[0].Endpoint {
			t.Fatalf("%+v, token %q", again.Attempts, again.Token)
		}
	}
}

// A retry elsewhere answers the request, and the client stays where it was.
func TestARetryDoesNotMoveTheClient(t *testing.T) {
	a, b := newScript(t, resetStep, "200"), newScript(t, "200")
	s := spec(t, a.url, b.url)
	s.Balance.Policy = "sticky"
	svc := start(t, s, nil)
	call := &Call{Request: out("GET", nil, 0), Policy: policy(2), HashKey: svc.membership.Load().set.Token(0)}
	read(t, mustDo(t, svc, call))
	if len(call.Attempts) != 2 || call.Token != "" {
		t.Errorf("%+v, token %q", call.Attempts, call.Token)
	}
}

func TestManyEndpoints(t *testing.T) {
	s := Spec{Name: "orders", SlowStart: time.Minute, Zone: "a"}
	for i := range maxEndpoints {
		u := &url.URL{Scheme: "http", Host: fmt.Sprintf("10.1.%d.%d:80", i/250, i%250)}
		s.Endpoints = append(s.Endpoints, EndpointSpec{URL: u, Weight: 1 + i%7, Zone: string("abc"[i%3])})
	}
	for _, p := range balance.Policies {
		s.Balance.Policy = p
		svc := New(s, nil)
		for i := range 20 {
			svc.Endpoints()[i].TakeOut(Unhealthy)
			m := svc.membership.Load()
			at := m.pick(balance.Ask{Key: fmt.Sprint(i), Now: time.Now()})
			if at < 0 || m.members[at].Reasons() != 0 {
				t.Errorf("%s: %d", p, at)
			}
		}
	}
}
