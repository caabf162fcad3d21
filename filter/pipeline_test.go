package filter

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
)

// probe is a filter with every hook. It notes what ran.
type probe struct {
	name string
	log  *[]string
	on   func(x *exchange.Exchange) error // in OnRequest
	back error                            // of OnResponse
	out  error                            // of OnOut
}

func (p *probe) note(hook string) { *p.log = append(*p.log, hook+" "+p.name) }

func (p *probe) OnRequest(_ context.Context, x *exchange.Exchange) error {
	p.note("request")
	if p.on != nil {
		return p.on(x)
	}
	return nil
}

func (p *probe) OnOut(context.Context, *exchange.Exchange) error {
	p.note("out")
	return p.out
}

func (p *probe) OnResponse(context.Context, *exchange.Exchange) error {
	p.note("response")
	return p.back
}

func (p *probe) OnFinish(*exchange.Exchange) { p.note("finish") }

// rig places probes: "a Respond", "b Admit", and so on.
type rig struct {
	*Pipeline
	log    []string
	probes map[string]*probe
}

func newRig(t *testing.T, words ...string) *rig {
	t.Helper()
	r := &rig{probes: make(map[string]*probe)}
	var placed []Placed
	for _, word := range words {
		name, phase, _ := strings.Cut(word, " ")
		i := slices.Index(phaseNames[:], phase)
		if i < 0 {
			t.Fatalf("no phase %q", phase)
		}
		p := &probe{name: name, log: &r.log}
		r.probes[name] = p
		placed = append(placed, Placed{Name: name, Phase: Phase(i), Filter: p})
	}
	r.Pipeline = NewPipeline(placed)
	return r
}

func (r *rig) expect(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(r.log, want) {
		t.Errorf("ran %q, want %q", r.log, want)
	}
	r.log = nil
}

func answer(x *exchange.Exchange) error {
	x.Response = &http.Response{StatusCode: 200}
	return nil
}

func known(x *exchange.Exchange) error {
	x.Identity = &exchange.Identity{}
	return nil
}

func challenged(name string) func(*exchange.Exchange) error {
	return func(x *exchange.Exchange) error {
		x.Challenges = append(x.Challenges, name)
		return nil
	}
}

func TestOrder(t *testing.T) {
	r := newRig(t, "t Transform", "c2 Cache", "a1 Admit", "l Limit", "r Respond", "a2 Admit", "i Inspect", "z Authorize", "c1 Cache")
	ctx, x := context.Background(), &exchange.Exchange{}
	answered, err := r.Request(ctx, x)
	if answered != Everywhere || err != nil {
		t.Fatalf("answered at %d, %v", answered, err)
	}
	r.expect(t, "request r", "request a1", "request a2", "request z", "request l", "request i", "request c2", "request c1")
	if err := r.Out(ctx, x); err != nil {
		t.Fatal(err)
	}
	r.expect(t, "out r", "out a1", "out a2", "out z", "out l", "out i", "out c2", "out c1", "out t")
	if answered, err = r.Transform(ctx, x); answered != Everywhere || err != nil {
		t.Fatalf("answered at %d, %v", answered, err)
	}
	r.expect(t, "request t")
	if rest, err := r.Response(ctx, x, answered); rest != -1 || err != nil {
		t.Fatalf("%d, %v", rest, err)
	}
	r.expect(t, "response t", "response c1", "response c2", "response i", "response l", "response z", "response a2", "response a1", "response r")
	r.Finish(x)
	if len(r.log) != 9 {
		t.Errorf("finished %q", r.log)
	}
	var names []string
	for _, p := range r.Placed() {
		names = append(names, p.Name)
	}
	if strings.Join(names, " ") != "r a1 a2 z l i c2 c1 t" {
		t.Errorf("placed %q", names)
	}
}

func TestWhoAnswersIsSeenByThoseAtOrBeforeIt(t *testing.T) {
	for name, on := range map[string]func(*exchange.Exchange) error{
		"answers": answer,
		"refuses": func(*exchange.Exchange) error { return failure.Denied(403, "no") },
	} {
		r := newRig(t, "a Admit", "b Admit", "c Limit", "r Respond")
		r.probes["b"].on = on
		ctx, x := context.Background(), &exchange.Exchange{}
		answered, err := r.Request(ctx, x)
		if (err != nil) != (name == "refuses") {
			t.Errorf("%s: %v", name, err)
		}
		r.expect(t, "request r", "request a", "request b")
		if _, err := r.Response(ctx, x, answered); err != nil {
			t.Error(err)
		}
		r.expect(t, "response b", "response a", "response r")
	}
}

func TestTransformAnswers(t *testing.T) {
	r := newRig(t, "t1 Transform", "t2 Transform", "a Admit")
	r.probes["t1"].on = answer
	ctx, x := context.Background(), &exchange.Exchange{}
	answered, err := r.Transform(ctx, x)
	if err != nil {
		t.Fatal(err)
	}
	r.expect(t, "request t1")
	_, _ = r.Response(ctx, x, answered)
	r.expect(t, "response t1", "response a")
}

func TestOutRefuses(t *testing.T) {
	r := newRig(t, "a Admit", "b Limit", "c Cache")
	r.probes["b"].out = errors.New("no")
	if err := r.Out(context.Background(), &exchange.Exchange{}); err == nil {
		t.Error("the refusal is lost")
	}
	r.expect(t, "out a", "out b")
}

func TestAFailingResponseHookIsSeenByThoseBeforeIt(t *testing.T) {
	r := newRig(t, "a Admit", "b Limit", "c Cache")
	r.probes["b"].back = errors.New("no")
	ctx, x := context.Background(), &exchange.Exchange{}
	rest, err := r.Response(ctx, x, Everywhere)
	if err == nil {
		t.Fatal("the failure is lost")
	}
	r.expect(t, "response c", "response b")
	if rest, err = r.Response(ctx, x, rest); rest != -1 || err != nil {
		t.Fatalf("%d, %v", rest, err)
	}
	r.expect(t, "response a")
}

func TestOutermost(t *testing.T) {
	r := newRig(t, "a Admit", "r1 Respond", "r2 Respond")
	_, _ = r.Response(context.Background(), &exchange.Exchange{}, r.Outermost())
	r.expect(t, "response r2", "response r1")
	if n := newRig(t, "a Admit").Outermost(); n != -1 {
		t.Errorf("without a filter of phase Respond: %d, want -1", n)
	}
	if n := new(Pipeline).Outermost(); n != -1 {
		t.Errorf("of the empty pipeline: %d, want -1", n)
	}
}

func TestOneChallengeForAllSchemes(t *testing.T) {
	for _, last := range []bool{false, true} { // with and without a filter after the phase
		words := []string{"k1 Authenticate", "a Admit", "k2 Authenticate"}
		if !last {
			words = append(words, "l Limit")
		}
		r := newRig(t, words...)
		r.probes["k1"].on, r.probes["k2"].on = challenged("Key"), challenged("Bearer")
		ctx, x := context.Background(), &exchange.Exchange{}
		answered, err := r.Request(ctx, x)
		f := failure.From(err)
		if f.Code() != 401 || !slices.Equal(f.Header["Www-Authenticate"], []string{"Key", "Bearer"}) {
			t.Errorf("%v with %v", f, f.Header)
		}
		r.expect(t, "request a", "request k1", "request k2")
		_, _ = r.Response(ctx, x, answered)
		r.expect(t, "response k2", "response k1", "response a")
	}
}

func TestAnySchemeWillDo(t *testing.T) {
	r := newRig(t, "k1 Authenticate", "k2 Authenticate", "l Limit")
	r.probes["k1"].on, r.probes["k2"].on = challenged("Key"), known
	if _, err := r.Request(context.Background(), &exchange.Exchange{}); err != nil {
		t.Error(err)
	}
	r.expect(t, "request k1", "request k2", "request l")
}

func TestAWrongCredentialRefusesAtOnce(t *testing.T) {
	r := newRig(t, "k1 Authenticate", "k2 Authenticate")
	wrong := errors.New("wrong")
	r.probes["k1"].on = func(*exchange.Exchange) error { return wrong }
	if _, err := r.Request(context.Background(), &exchange.Exchange{}); !errors.Is(err, wrong) {
		t.Error(err)
	}
	r.expect(t, "request k1")
}

func TestHooksAreOptional(t *testing.T) {
	p := NewPipeline([]Placed{{Filter: struct{}{}, Phase: Authenticate}, {Filter: struct{}{}, Phase: Transform}})
	x := &exchange.Exchange{}
	if answered, err := p.Request(context.Background(), x); answered != Everywhere || err != nil {
		t.Errorf("%d, %v", answered, err)
	}
	p.Finish(x)
	if s := Admit.String() + Phase(99).String(); s != "AdmitPhase(99)" {
		t.Error(s)
	}
}

// What filters hold for an exchange is given back even if one of them panics over it, and the panic is not swallowed.
func TestEveryFilterFinishes(t *testing.T) {
	var finished []string
	var placed []Placed
	for _, name := range []string{"a", "panics", "b", "panics too", "c"} {
		placed = append(placed, Placed{Filter: ending(func() {
			if finished = append(finished, name); strings.HasPrefix(name, "panics") {
				panic(name)
			}
		})})
	}
	defer func() {
		if p := recover(); p == nil {
			t.Error("the panic is gone")
		}
		if want := []string{"a", "panics", "b", "panics too", "c"}; !slices.Equal(finished, want) {
			t.Errorf("finished %q, want %q", finished, want)
		}
	}()
	NewPipeline(placed).Finish(&exchange.Exchange{})
}

type ending func()

func (f ending) OnFinish(*exchange.Exchange) { f() }

func BenchmarkPipeline(b *testing.B) {
	var log []string
	var placed []Placed
	for i := range 6 {
		placed = append(placed, Placed{Phase: Phase(i), Filter: quiet{&probe{log: &log}}})
	}
	p, ctx, x := NewPipeline(placed), context.Background(), &exchange.Exchange{Identity: &exchange.Identity{}}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = p.Request(ctx, x)
		_, _ = p.Response(ctx, x, Everywhere)
		p.Finish(x)
	}
}

type quiet struct{ *probe }

func (quiet) OnRequest(context.Context, *exchange.Exchange) error  { return nil }
func (quiet) OnResponse(context.Context, *exchange.Exchange) error { return nil }
func (quiet) OnFinish(*exchange.Exchange)                          {}

// changer names the fields it changes; probe, which has every hook too, does not.
type changer struct{ probe }

func (changer) ResponseFields() []string { return []string{"X-A"} }

func TestReads(t *testing.T) {
	named, silent := &changer{}, &probe{}
	for _, test := range []struct {
		filters []Placed
		want    []string
	}{
		{nil, []string{"Grpc-Status", "X-Request-Id"}},
		{[]Placed{{Filter: named}}, []string{"Grpc-Status", "X-Request-Id", "X-A"}},
		{[]Placed{{Filter: named}, {Filter: silent}}, nil},
	} {
		if got := NewPipeline(test.filters).Reads(); !slices.Equal(got, test.want) || (got == nil) != (test.want == nil) {
			t.Errorf("got %v, want %v", got, test.want)
		}
	}
}
