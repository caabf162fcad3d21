package balance

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func candidates(weights ...int) []Candidate {
	list := make([]Candidate, len(weights))
	for i, w := range weights {
		list[i] = Candidate{Address: fmt.Sprintf("http://10.0.%d.%d:8080", i/250, i%250), Weight: w, Load: new(Load)}
	}
	return list
}

// of are the candidates' own weights.
func of(list []Candidate) []int64 {
	weights := make([]int64, len(list))
	for i, c := range list {
		weights[i] = max(0, int64(c.Weight))
	}
	return weights
}

// pickers is a set and one picker among it.
type pickers struct {
	*Set
	Picker
}

func newPickers(policy string, list []Candidate) pickers {
	s := NewSet(Options{Policy: policy, Service: "orders"}, list, new(Shared))
	return pickers{s, s.Picker(of(list))}
}

func (p pickers) among(weights ...int64) pickers { return pickers{p.Set, p.Set.Picker(weights)} }

// ask picks, and ends at once what that began.
func (p pickers) ask(key string, tried ...int) int {
	at := p.Pick(Ask{Key: key, Now: time.Now(), Tried: tried})
	if at >= 0 {
		p.Done(at)
	}
	return at
}

// letters plays n turns and writes them as a, b, c…; - is nobody.
func (p pickers) letters(n int, tried ...int) string {
	var b strings.Builder
	for range n {
		if at := p.ask("", tried...); at < 0 {
			b.WriteByte('-')
		} else {
			b.WriteByte(byte('a' + at))
		}
	}
	return b.String()
}

func TestRoundRobinOrder(t *testing.T) {
	for _, c := range []struct {
		weights []int
		turns   int
		want    string
	}{
		{[]int{5, 1, 1}, 14, "aabacaaaabacaa"},
		{[]int{1, 1, 1}, 7, "abcabca"},
		{[]int{10, 20}, 6, "babbab"},
		{[]int{500000, 1000000}, 6, "babbab"}, // reduced
		{[]int{0, 1, 0, 1}, 5, "bdbdb"},
		{[]int{-3, 2}, 2, "bb"},
		{[]int{7}, 3, "aaa"},
		{[]int{0, 0}, 2, "--"},
		{nil, 2, "--"},
	} {
		if got := newPickers("roundRobin", candidates(c.weights...)).letters(c.turns); got != c.want {
			t.Errorf("%v: %s, want %s", c.weights, got, c.want)
		}
	}
}

func TestRoundRobinLongRounds(t *testing.T) {
	r := newPickers("roundRobin", candidates(999_983, 1))
	if r.Picker.(*roundRobin).sequence != nil {
		t.Fatal("a round of a million turns was worked out in advance")
	}
	if got := r.letters(20); strings.Count(got, "a") < 19 {
		t.Errorf("%s", got)
	}
	if got := r.letters(3, 0); got != "bbb" {
		t.Errorf("with the first tried: %s", got)
	}
	if got := r.letters(1, 0, 1); got != "-" {
		t.Errorf("with all tried: %s", got)
	}
}

// Turns that are not worked out in advance are as fair at every moment, or nearly: nobody is ever more than a few turns
// ahead of or behind its share.
func TestTheGoldenRatioIsSmooth(t *testing.T) {
	weights := []int{999_983, 500_009, 123_457, 700_001, 7}
	total := 0
	for _, w := range weights {
		total += w
	}
	r := newPickers("roundRobin", candidates(weights...))
	counts := make([]float64, len(weights))
	for turn := 1; turn <= 100_000; turn++ {
		counts[r.ask("")]++
		for i, w := range weights {
			if off := counts[i] - float64(turn)*float64(w)/float64(total); math.Abs(off) > 4 {
				t.Fatalf("after %d turns candidate %d is off by %.1f", turn, i, off)
			}
		}
	}
}

func TestRoundRobinGoesOnAfterAChange(t *testing.T) {
	p := newPickers("roundRobin", candidates(1, 1, 1, 1))
	first := p.letters(2)
	out := p.among(1, 1, 1, 0)
	if got := first + out.letters(3) + p.letters(2); got != "ab"+"cab"+"bc" {
		t.Errorf("%s", got)
	}
}

func TestTriedIsSkipped(t *testing.T) {
	for _, policy := range Policies {
		p := newPickers(policy, candidates(5, 1, 0, 1))
		for range 50 {
			for _, key := range []string{"", "a", "b", p.Token(0), p.Token(2)} {
				if at := p.ask(key, 0); at != 1 && at != 3 {
					t.Fatalf("%s: chose %d", policy, at)
				}
				if at := p.ask(key, 3, 0); at != 1 {
					t.Fatalf("%s: chose %d, want 1", policy, at)
				}
				if at := p.ask(key, 0, 1, 3); at != -1 {
					t.Fatalf("%s: chose %d though all were tried", policy, at)
				}
			}
		}
	}
}

// What takes no requests now is left out, by each policy and with any key, and the others share by weight.
func TestOnlyThoseWithAWeightAreChosen(t *testing.T) {
	for _, policy := range Policies {
		p := newPickers(policy, candidates(5, 1, 0, 1, 3)).among(0, 1, 0, 1, 0)
		counts := make([]int, 5)
		for i := range 2000 {
			counts[p.ask([]string{"", fmt.Sprint("key", i), p.Token(0)}[i%3])]++
		}
		if counts[0]+counts[2]+counts[4] != 0 || min(counts[1], counts[3]) < 850 {
			t.Errorf("%s: %v", policy, counts)
		}
		if at := p.among(0, 0, 0, 0, 0).ask("key"); at != -1 {
			t.Errorf("%s: chose %d of none", policy, at)
		}
	}
}

func TestWeightsAreHonoured(t *testing.T) {
	const n = 40_000
	for _, policy := range Policies {
		p := newPickers(policy, candidates(3, 0, 1))
		counts := make([]int, 3)
		for range n {
			counts[p.ask("")]++
		}
		if counts[1] != 0 {
			t.Errorf("%s: a draining candidate was chosen %d times", policy, counts[1])
		}
		if policy == "peakEwma" {
			continue // with latency known: TestPeakEwma
		}
		// Binomial with p = 3/4: six standard deviations.
		if off := math.Abs(float64(counts[0]) - n*0.75); off > 6*math.Sqrt(n*0.75*0.25) {
			t.Errorf("%s: %v of %d, want about 3 to 1", policy, counts, n)
		}
	}
}

func TestALineIsDrawnByWeight(t *testing.T) {
	const n = 200_000
	weights := []int64{1, 0, 1000, 20, 20, 1, 0, 400}
	l := newLine(candidates(make([]int, len(weights))...), weights)
	counts, seconds := make([]float64, len(weights)), make([]float64, len(weights))
	for range n {
		first, second := l.drawTwo()
		if first == second {
			t.Fatal("the same twice")
		}
		counts[first]++
		seconds[second]++
	}
	for i, w := range weights {
		p := float64(w) / float64(l.total())
		if off := math.Abs(counts[i] - n*p); off > 6*math.Sqrt(n*p*(1-p)) {
			t.Errorf("candidate %d of weight %d: first %v times, want about %.0f", i, w, counts[i], n*p)
		}
		q := 0.0 // second: of what the first leaves
		for j, other := range weights {
			if j != i {
				q += float64(other) / float64(l.total()) * float64(w) / float64(l.total()-other)
			}
		}
		if off := math.Abs(seconds[i] - n*q); off > 6*math.Sqrt(n*q*(1-q)) {
			t.Errorf("candidate %d of weight %d: second %v times, want about %.0f", i, w, seconds[i], n*q)
		}
	}
}

func TestRoundRobinIsFairUnderConcurrency(t *testing.T) {
	for _, weights := range [][]int{{3, 1}, {999_983, 1_000_003}} {
		r := newPickers("roundRobin", candidates(weights...))
		var counts [2]atomic.Int64
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 1000 {
					counts[r.Pick(Ask{})].Add(1)
				}
			})
		}
		all.Wait()
		want := 8000 * float64(weights[0]) / float64(weights[0]+weights[1])
		if got := float64(counts[0].Load()); math.Abs(got-want) > 4 {
			t.Errorf("%v: the first got %v of 8000, want %v", weights, got, want)
		}
	}
}

func TestLeastRequestPrefersTheIdle(t *testing.T) {
	c := candidates(1, 1)
	c[0].Load.InFlight.Store(10)
	if got := newPickers("leastRequest", c).letters(100); got != strings.Repeat("b", 100) {
		t.Errorf("%s", got)
	}
	c = candidates(4, 1)
	c[0].Load.InFlight.Store(3) // 3/4 is less than 1/1
	c[1].Load.InFlight.Store(1)
	if got := newPickers("leastRequest", c).letters(100); got != strings.Repeat("a", 100) {
		t.Errorf("weighted: %s", got)
	}
}

func TestLeastRequestKeepsTheLoadEven(t *testing.T) {
	// Nothing ever ends, so what is in flight is what was dealt: two draws keep the spread small where one would not.
	c := candidates(1, 1, 1, 1, 1, 1, 1, 1)
	p := newPickers("leastRequest", c)
	for range 8000 {
		p.Pick(Ask{})
	}
	for i := range c {
		if n := c[i].Load.InFlight.Load(); n < 980 || n > 1020 {
			t.Errorf("candidate %d got %d, want about 1000", i, n)
		}
	}
}

func TestPeakEwma(t *testing.T) {
	now := time.Now()
	c := candidates(1, 1)
	p := newPickers("peakEwma", c)
	first := p.Pick(Ask{Now: now})
	if at := p.Pick(Ask{Now: now}); at == first {
		t.Error("asked one that has not answered yet, though there is another")
	}
	p.Done(0)
	p.Done(1)
	c[0].Load.Learn(100*time.Millisecond, now)
	c[1].Load.Learn(time.Millisecond, now)
	c[1].Load.InFlight.Store(50)
	if got := p.letters(50); got != strings.Repeat("b", 50) {
		t.Errorf("the slow one was asked: %s", got)
	}
	c[1].Load.InFlight.Store(200)
	if got := p.letters(50); got != strings.Repeat("a", 50) {
		t.Errorf("the fast one was asked beyond what it can do: %s", got)
	}
	c[1].Load.InFlight.Store(50)
	later := now.Add(3 * time.Minute)
	c[1].Load.Learn(time.Millisecond, later)
	if at := p.Pick(Ask{Now: later}); at != 0 {
		t.Error("the slow one is never asked again")
	}

	c = candidates(4, 1)
	for i := range c {
		c[i].Load.Learn(time.Millisecond, now)
	}
	c[0].Load.InFlight.Store(2)
	if got := newPickers("peakEwma", c).letters(20); got != strings.Repeat("a", 20) {
		t.Errorf("weights do not count: %s", got)
	}
}

func TestLoadLearns(t *testing.T) {
	now := time.Now()
	l := new(Load)
	if l.Latency() != 0 {
		t.Error("knows something from the start")
	}
	near := func(got, want time.Duration) bool { return math.Abs(float64(got-want)) < float64(want)/100 }
	l.Learn(10*time.Millisecond, now)
	if !near(l.Latency(), 10*time.Millisecond) {
		t.Errorf("the first: %v", l.Latency())
	}
	l.Learn(time.Second, now)
	if !near(l.Latency(), time.Second) {
		t.Errorf("a slow one: %v", l.Latency())
	}
	l.Learn(10*time.Millisecond, now.Add(time.Microsecond))
	if !near(l.Latency(), time.Second) {
		t.Errorf("within the same millisecond: %v", l.Latency())
	}
	l.Learn(10*time.Millisecond, now.Add(Memory))
	if want := time.Duration(math.Round(1e9/math.E + 10e6*(1-1/math.E))); !near(l.Latency(), want) {
		t.Errorf("after %v: %v, want %v", Memory, l.Latency(), want)
	}
	l.Learn(time.Millisecond, now) // the clock of another goroutine, a little behind
	if l.Latency() < 300*time.Millisecond {
		t.Errorf("an old one: %v", l.Latency())
	}
}

func TestSticky(t *testing.T) {
	list := candidates(1, 1, 0, 1)
	p := newPickers("sticky", list)
	for i := range list {
		token := p.Token(i)
		if strings.Contains(token, "10.0") || len(token) < 20 {
			t.Errorf("%q tells too much, or is easily guessed", token)
		}
		if list[i].Weight == 0 {
			continue
		}
		for range 20 {
			if at := p.ask(token); at != i {
				t.Fatalf("the token of %d led to %d", i, at)
			}
		}
	}
	// Another process, another order, an endpoint less: the same tokens.
	turned := slices.Clone(list)
	slices.Reverse(turned)
	again := newPickers("sticky", turned[:3])
	if again.Token(0) != p.Token(3) || again.ask(p.Token(3)) != 0 {
		t.Error("a token depends on more than the address")
	}
	if at := again.ask(p.Token(0)); again.Token(at) == p.Token(0) {
		t.Error("the token of an endpoint that is gone led to it")
	}
	if at := p.among(1, 0, 0, 1).ask(p.Token(1)); at == 1 {
		t.Error("the token of an endpoint that takes no requests led to it")
	}
	for _, o := range []Options{{Policy: "sticky", Service: "other"}, {Policy: "sticky", Service: "orders", Secret: "s"}} {
		if NewSet(o, list, new(Shared)).Token(0) == p.Token(0) {
			t.Errorf("%+v gives the same token", o)
		}
	}
	if newPickers("random", list).Token(0) != "" {
		t.Error("another policy has tokens")
	}
}

func TestEmpty(t *testing.T) {
	for _, c := range [][]Candidate{nil, candidates(0, 0)} {
		for _, policy := range append([]string{""}, Policies...) {
			if at := newPickers(policy, c).ask("key"); at != -1 {
				t.Errorf("%s chose %d of nothing", policy, at)
			}
		}
	}
	if NewSet(Options{Policy: "magic"}, nil, nil) != nil {
		t.Error("a policy that does not exist made a set")
	}
}

func TestPickDoesNotAllocate(t *testing.T) {
	tried := []int{0}
	for _, policy := range Policies {
		for _, last := range []int{1, 999_983} {
			p := newPickers(policy, candidates(5, 1, last))
			key := "key"
			if n := testing.AllocsPerRun(100, func() {
				p.Done(p.Pick(Ask{Key: key}))
				p.Done(p.Pick(Ask{Key: key, Tried: tried}))
			}); n != 0 {
				t.Errorf("%s: %v allocations", policy, n)
			}
		}
	}
}

// BenchmarkPick is a pick and its end with 100 endpoints: all of them, with every tenth out, and with weights that make a
// round too long to be worked out.
func BenchmarkPick(b *testing.B) {
	const n = 100
	for _, policy := range Policies {
		for _, c := range []struct {
			name string
			out  bool
			odd  bool
		}{{"all", false, false}, {"tenth out", true, false}, {"odd weights", false, true}} {
			b.Run(policy+"/"+c.name, func(b *testing.B) {
				weights := make([]int, n)
				for i := range weights {
					if weights[i] = 1 + i%3; c.odd {
						weights[i] = 1000 + 37*i
					}
				}
				list := candidates(weights...)
				p := newPickers(policy, list)
				now := of(list)
				for i := range now {
					if c.out && i%10 == 0 {
						now[i] = 0
					}
				}
				p = p.among(now...)
				for i := range list {
					list[i].Load.Learn(time.Millisecond, time.Now())
				}
				ask := Ask{Now: time.Now()}
				keys := make([]string, 1024)
				for i := range keys {
					if keys[i] = fmt.Sprint("customer-", i*7919); policy == "sticky" {
						keys[i] = p.Token(i % n)
					}
				}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					ask.Key = keys[i%len(keys)]
					p.Done(p.Pick(ask))
				}
			})
		}
	}
}
