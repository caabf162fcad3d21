package ratelimit

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"reflect"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/filter"
	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/store/memory"
)

func selector(t testing.TB, text string) (s exchange.Selector) {
	t.Helper()
	if err := s.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return s
}

func build(t testing.TB, env filter.Env, c Config) *Filter {
	t.Helper()
	if env.Limiter == nil {
		env.Limiter = memory.New(0)
	}
	if env.Name == "" {
		env.Name = "rateLimit"
	}
	f, err := New(env, c)
	if err != nil {
		t.Fatal(err)
	}
	return f.(*Filter)
}

// ask sends one request through filters, in their order, and returns what the client gets.
func ask(x *exchange.Exchange, filters ...*Filter) (http.Header, *failure.Error) {
	ctx := context.Background()
	x.Response = &http.Response{StatusCode: 200, Header: http.Header{"X-Ratelimit-Limit": {"the service's"}}}
	for i, f := range filters {
		if err := f.OnRequest(ctx, x); err != nil {
			x.Failure = failure.From(err)
			filters = filters[:i+1]
			break
		}
	}
	for i := len(filters) - 1; i >= 0; i-- {
		_ = filters[i].OnResponse(ctx, x)
	}
	return x.Response.Header, x.Failure
}

func from(client string) *exchange.Exchange {
	return &exchange.Exchange{In: &http.Request{Header: http.Header{}}, Client: netip.MustParseAddr(client)}
}

func expect(t *testing.T, got http.Header, want http.Header) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, filter.Env{}, Config{Limit: 100, Window: time.Minute, Burst: 2})
		h, _ := ask(from("192.0.2.1"), f)
		expect(t, h, http.Header{
			"X-Ratelimit-Limit": {"100"}, "X-Ratelimit-Remaining": {"1"}, "X-Ratelimit-Reset": {"1"},
			"Ratelimit-Policy": {`"default";q=100;w=60`}, "Ratelimit": {`"default";r=1;t=1`},
		})
		ask(from("192.0.2.1"), f)
		h, refused := ask(from("192.0.2.1"), f)
		if refused.Code() != 429 || refused.Header.Get("Retry-After") != "1" {
			t.Errorf("%v with %v", refused, refused.Header)
		}
		expect(t, h, http.Header{
			"X-Ratelimit-Limit": {"100"}, "X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"2"},
			"Ratelimit-Policy": {`"default";q=100;w=60`}, "Ratelimit": {`"default";r=0;t=2`},
		})
		if _, refused := ask(from("192.0.2.2"), f); refused != nil {
			t.Errorf("another client: %v", refused)
		}
		time.Sleep(600 * time.Millisecond) // of synctest's clock
		if _, refused := ask(from("192.0.2.1"), f); refused != nil {
			t.Errorf("a window's hundredth later: %v", refused)
		}
	})
}

func TestRetryAfterIsLongEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := build(t, filter.Env{}, Config{Limit: 2, Window: 5 * time.Second, Burst: 1})
		ask(from("192.0.2.1"), f)
		_, refused := ask(from("192.0.2.1"), f)
		seconds, err := strconv.Atoi(refused.Header.Get("Retry-After"))
		if err != nil || seconds != 3 {
			t.Fatalf("Retry-After %d, %v; want 2.5 s rounded up", seconds, err)
		}
		time.Sleep(time.Duration(seconds) * time.Second) // of synctest's clock
		if _, refused := ask(from("192.0.2.1"), f); refused != nil {
			t.Errorf("after waiting as told: %v", refused)
		}
	})
}

func TestSeveralLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := memory.New(0)
		wide := build(t, filter.Env{Limiter: limiter}, Config{Limit: 10, Window: time.Hour})
		narrow := build(t, filter.Env{Limiter: limiter, Scope: "route/a"}, Config{Limit: 2, Window: time.Minute})
		h, _ := ask(from("192.0.2.1"), wide, narrow)
		expect(t, h, http.Header{
			"X-Ratelimit-Limit": {"2"}, "X-Ratelimit-Remaining": {"1"}, "X-Ratelimit-Reset": {"30"},
			"Ratelimit-Policy": {`"default";q=10;w=3600, "default-2";q=2;w=60`},
			"Ratelimit":        {`"default";r=9;t=360, "default-2";r=1;t=30`},
		})
		ask(from("192.0.2.1"), wide, narrow)
		h, refused := ask(from("192.0.2.1"), wide, narrow)
		if refused.Code() != 429 || h.Get("X-RateLimit-Limit") != "2" || h.Get("X-RateLimit-Remaining") != "0" {
			t.Errorf("%v with %v", refused, h)
		}
		h, refused = ask(from("192.0.2.1"), narrow, wide) // refused by the first: the other is not asked
		if refused.Code() != 429 || h.Get("RateLimit-Policy") != `"default";q=2;w=60` {
			t.Errorf("%v with %v", refused, h)
		}
	})
}

func TestTheMostRestrictive(t *testing.T) {
	base := exchange.Limit{Remaining: 5, Reset: time.Minute}
	for _, c := range []struct {
		a    exchange.Limit
		more bool
	}{
		{exchange.Limit{Remaining: 4}, true},
		{exchange.Limit{Remaining: 6, Reset: time.Hour}, false},
		{exchange.Limit{Remaining: 5, Reset: time.Hour}, true},
		{exchange.Limit{Remaining: 5, Reset: time.Second}, false},
		{exchange.Limit{Remaining: 9, Refused: true}, true},
	} {
		if moreRestrictive(c.a, base) != c.more {
			t.Errorf("%+v against %+v", c.a, base)
		}
	}
}

func TestKeys(t *testing.T) {
	limiter := memory.New(0)
	f := build(t, filter.Env{Limiter: limiter}, Config{Limit: 1, Window: time.Hour, Key: selector(t, "header:x-user")})
	if f.Phase() != filter.Limit {
		t.Errorf("phase %v", f.Phase())
	}
	user := func(client, name string) *exchange.Exchange {
		x := from(client)
		if name != "" {
			x.In.Header.Set("x-user", name)
		}
		return x
	}
	for i, c := range []struct {
		x       *exchange.Exchange
		refused bool
	}{
		{user("192.0.2.1", "ann"), false},
		{user("192.0.2.2", "ann"), true},
		{user("192.0.2.1", "bob"), false},
		{user("192.0.2.1", ""), false}, // by address from here
		{user("192.0.2.1", ""), true},
		{user("192.0.2.2", ""), false},
		{user("192.0.2.9", "192.0.2.1"), false}, // who calls himself like an address is not counted as it
		{&exchange.Exchange{In: &http.Request{}}, false},
		{&exchange.Exchange{In: &http.Request{}}, true}, // no address either
	} {
		if _, refused := ask(c.x, f); (refused != nil) != c.refused {
			t.Errorf("request %d: %v", i, refused)
		}
	}
	if p := build(t, filter.Env{}, Config{Limit: 1, Window: time.Hour}).Phase(); p != filter.Admit {
		t.Errorf("by address: phase %v", p)
	}
}

func TestRulesAreApart(t *testing.T) {
	limiter := memory.New(0)
	c := Config{Limit: 1, Window: time.Hour}
	ask(from("192.0.2.1"), build(t, filter.Env{Limiter: limiter, Scope: "route/a"}, c))
	for _, env := range []filter.Env{{Scope: "route/b"}, {Scope: ""}, {Scope: "route/a", Name: "rateLimit#2"}} {
		env.Limiter = limiter
		if _, refused := ask(from("192.0.2.1"), build(t, env, c)); refused != nil {
			t.Errorf("%+v shares a counter with another rule", env)
		}
	}
	if _, refused := ask(from("192.0.2.1"), build(t, filter.Env{Limiter: limiter, Scope: "route/a"}, c)); refused == nil {
		t.Error("a reload refilled the limit")
	}
}

func TestShadow(t *testing.T) {
	f := build(t, filter.Env{}, Config{Limit: 1, Window: time.Hour, Shadow: true})
	for range 3 {
		h, refused := ask(from("192.0.2.1"), f)
		if refused != nil || h.Get("RateLimit") != "" || h.Get("X-RateLimit-Limit") != "the service's" {
			t.Errorf("%v with %v", refused, h)
		}
	}
}

type broken struct{}

func (broken) Take(context.Context, store.Key, store.Rate) (store.Decision, error) {
	return store.Decision{}, errors.New("away")
}

func TestALimiterThatIsAway(t *testing.T) {
	h, refused := ask(from("192.0.2.1"), build(t, filter.Env{Limiter: broken{}}, Config{Limit: 1, Window: time.Hour}))
	if refused != nil || h.Get("RateLimit") != "" {
		t.Errorf("%v with %v", refused, h)
	}
}

func TestType(t *testing.T) {
	if typ := Type(); typ.Name != "rateLimit" || !typ.Repeat || typ.Phase != filter.Limit {
		t.Errorf("%+v", typ)
	}
}

func BenchmarkFilter(b *testing.B) {
	for _, key := range []string{"client.ip", "consumer"} {
		b.Run(key, func(b *testing.B) {
			f := build(b, filter.Env{}, Config{Limit: 1e9, Window: time.Minute, Key: selector(b, key)})
			x := from("192.0.2.1")
			x.Identity = &exchange.Identity{Consumer: &exchange.Consumer{Name: "mobile-app"}}
			x.Response = &http.Response{Header: make(http.Header, 16)}
			room := make([]exchange.Limit, 0, 2)
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				x.Limits = room
				if f.OnRequest(ctx, x) != nil || f.OnResponse(ctx, x) != nil {
					b.Fatal("refused")
				}
			}
		})
	}
}
