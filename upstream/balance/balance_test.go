package balance

import (
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func candidates(weights ...int) []Candidate {
	list := make([]Candidate, len(weights))
	for i, w := range weights {
		list[i] = Candidate{Weight: w, Load: new(Load)}
	}
	return list
}

// letters plays n turns and writes them as a, b, c…; - is nobody.
func letters(p Picker, n int, tried ...int) string {
	var b strings.Builder
	for range n {
		if at := p.Pick(tried); at < 0 {
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
		if got := letters(NewRoundRobin(candidates(c.weights...), new(Turn)), c.turns); got != c.want {
			t.Errorf("%v: %s, want %s", c.weights, got, c.want)
		}
	}
}

func TestRoundRobinWithoutASequenceKeepsTheOrder(t *testing.T) {
	// The same turns, once worked out in advance and once played.
	for _, weights := range [][]int{{5, 1, 1}, {3, 2, 7, 0, 1}, {1, 100}} {
		fast, slow := NewRoundRobin(candidates(weights...), new(Turn)), NewRoundRobin(nil, new(Turn))
		slow.slow, slow.spare = newCredits(candidates(weights...)), make([]bool, len(weights))
		if f, s := letters(fast, 300), letters(slow, 300); f != s {
			t.Errorf("%v: in advance %s, played %s", weights, f, s)
		}
	}
}

func TestRoundRobinLongRounds(t *testing.T) {
	r := NewRoundRobin(candidates(999_983, 1), new(Turn))
	if r.slow == nil {
		t.Fatal("a round of a million turns was worked out in advance")
	}
	if got := letters(r, 20); got != strings.Repeat("a", 20) {
		t.Errorf("%s", got)
	}
	if got := letters(r, 3, 0); got != "bbb" {
		t.Errorf("with the first tried: %s", got)
	}
	if got := letters(r, 1, 0, 1); got != "-" {
		t.Errorf("with all tried: %s", got)
	}
}

func TestTriedIsSkipped(t *testing.T) {
	for _, policy := range []string{"roundRobin", "leastRequest"} {
		p := New(policy, candidates(5, 1, 0, 1), new(Turn))
		for range 50 {
			if at := p.Pick([]int{0}); at != 1 && at != 3 {
				t.Fatalf("%s: chose %d", policy, at)
			}
			if at := p.Pick([]int{3, 0}); at != 1 {
				t.Fatalf("%s: chose %d, want 1", policy, at)
			}
			if at := p.Pick([]int{0, 1, 3}); at != -1 {
				t.Fatalf("%s: chose %d though all were tried", policy, at)
			}
		}
	}
}

func TestRoundRobinIsFairUnderConcurrency(t *testing.T) {
	for _, weights := range [][]int{{3, 1}, {999_983, 1_000_003}} {
		r := NewRoundRobin(candidates(weights...), new(Turn))
		var counts [2]atomic.Int64
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 1000 {
					counts[r.Pick(nil)].Add(1)
				}
			})
		}
		all.Wait()
		want := 8000 * float64(weights[0]) / float64(weights[0]+weights[1])
		if got := float64(counts[0].Load()); math.Abs(got-want) > 1 {
			t.Errorf("%v: the first got %v of 8000, want %v", weights, got, want)
		}
	}
}

func TestLeastRequestPrefersTheIdle(t *testing.T) {
	c := candidates(1, 1)
	c[0].Load.InFlight.Store(10)
	if got := letters(NewLeastRequest(c), 100); got != strings.Repeat("b", 100) {
		t.Errorf("%s", got)
	}
	c = candidates(4, 1)
	c[0].Load.InFlight.Store(3) // 3/4 is less than 1/1
	c[1].Load.InFlight.Store(1)
	if got := letters(NewLeastRequest(c), 100); got != strings.Repeat("a", 100) {
		t.Errorf("weighted: %s", got)
	}
}

func TestLeastRequestFollowsTheWeightsWhenIdle(t *testing.T) {
	const n = 40_000
	l := NewLeastRequest(candidates(3, 0, 1))
	counts := make([]int, 3)
	for range n {
		counts[l.Pick(nil)]++
	}
	if counts[1] != 0 {
		t.Errorf("a draining candidate was chosen %d times", counts[1])
	}
	// Binomial with p = 3/4: six standard deviations.
	if off := math.Abs(float64(counts[0]) - n*0.75); off > 6*math.Sqrt(n*0.75*0.25) {
		t.Errorf("%v of %d, want about 3 to 1", counts, n)
	}
}

func TestLeastRequestKeepsTheLoadEven(t *testing.T) {
	// Nothing ever ends, so what is in flight is what was dealt: two draws keep the spread small where one would not.
	c := candidates(1, 1, 1, 1, 1, 1, 1, 1)
	l := NewLeastRequest(c)
	for range 8000 {
		c[l.Pick(nil)].Load.InFlight.Add(1)
	}
	for i := range c {
		if n := c[i].Load.InFlight.Load(); n < 980 || n > 1020 {
			t.Errorf("candidate %d got %d, want about 1000", i, n)
		}
	}
}

func TestEmpty(t *testing.T) {
	for _, c := range [][]Candidate{nil, candidates(0, 0)} {
		for _, policy := range []string{"", "roundRobin", "leastRequest"} {
			if at := New(policy, c, new(Turn)).Pick(nil); at != -1 {
				t.Errorf("%s chose %d of nothing", policy, at)
			}
		}
	}
	if New("magic", nil, nil) != nil {
		t.Error("a policy that does not exist made a picker")
	}
}

func TestPickDoesNotAllocate(t *testing.T) {
	for _, policy := range []string{"roundRobin", "leastRequest"} {
		p := New(policy, candidates(5, 1, 1), new(Turn))
		tried := []int{0}
		if n := testing.AllocsPerRun(100, func() { p.Pick(nil); p.Pick(tried) }); n != 0 {
			t.Errorf("%s: %v allocations", policy, n)
		}
	}
}

func benchmark(b *testing.B, p Picker) {
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p.Pick(nil)
		}
	})
}

func BenchmarkRoundRobin(b *testing.B) { benchmark(b, NewRoundRobin(candidates(5, 1, 1), new(Turn))) }
func BenchmarkRoundRobinLong(b *testing.B) {
	benchmark(b, NewRoundRobin(candidates(999_983, 1, 1), new(Turn)))
}
func BenchmarkLeastRequest(b *testing.B) { benchmark(b, NewLeastRequest(candidates(5, 1, 1))) }
func BenchmarkLeastRequest100(b *testing.B) {
	weights := make([]int, 100)
	for i := range weights {
		weights[i] = 1 + i%3
	}
	benchmark(b, NewLeastRequest(candidates(weights...)))
}
