package balance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// The example of the paper, table 1.
func TestPopulateAsInThePaper(t *testing.T) {
	orders := []order{{3, 4}, {0, 2}, {3, 1}}
	if got := fmt.Sprint(populate(7, slices.Clone(orders), []int64{1, 1, 1})); got != "[1 0 1 0 2 2 0]" {
		t.Errorf("%s, want B1 B0 B1 B0 B2 B2 B0", got)
	}
	if got := fmt.Sprint(populate(7, []order{orders[0], orders[2]}, []int64{1, 1})); got != "[0 0 0 0 1 1 1]" {
		t.Errorf("without B1: %s", got)
	}
}

func TestEqualWeightsAreDealtAsByTurns(t *testing.T) {
	turns := newTurns([]int64{3, 3, 3})
	for i := range 9 {
		if got := turns.next(); got != i%3 {
			t.Fatalf("turn %d is %d's", i, got)
		}
	}
	turns = newTurns([]int64{4, 1, 2})
	got := ""
	for range 14 {
		got += string(rune('a' + turns.next()))
	}
	if got != "abcaacaabcaaca" {
		t.Errorf("%s", got)
	}
}

func TestPartsFollowTheWeights(t *testing.T) {
	for _, weights := range [][]int{{1, 1, 1, 1, 1}, {5, 1, 1}, {0, 2, 3}, {1_000_000, 1}} {
		table := newTable(candidates(weights...))
		total := 0
		for _, w := range weights {
			total += w
		}
		counts := make([]int, len(weights))
		for _, at := range table {
			counts[at]++
		}
		for i, w := range weights {
			want := float64(len(table)) * float64(w) / float64(total)
			if math.Abs(float64(counts[i])-want) > 1+want/100 || w > 0 && counts[i] == 0 {
				t.Errorf("%v: %v slots of %d", weights, counts, len(table))
				break
			}
		}
	}
}

// The table is the same whatever the order of the configuration, and in every process: these figures must never change.
func TestTheTableDependsOnAddressesAndWeightsOnly(t *testing.T) {
	list := candidates(1, 2, 3, 1)
	turned := slices.Clone(list)
	slices.Reverse(turned)
	one, other := newTable(list), newTable(turned)
	sum := uint64(0)
	for slot := range one {
		if list[one[slot]].Address != turned[other[slot]].Address {
			t.Fatalf("slot %d: %s and %s", slot, list[one[slot]].Address, turned[other[slot]].Address)
		}
		sum = scramble(sum ^ uint64(one[slot]))
	}
	if len(one) != 65537 || sum != tableSum {
		t.Errorf("%d slots, sum %#x", len(one), sum)
	}
}

const tableSum = 0x6e851bec19c7e588

func TestRemovingOneMovesItsPart(t *testing.T) {
	const keys = 50_000
	for _, n := range []int{3, 10, 100} {
		list := candidates(slices.Repeat([]int{1}, n)...)
		before := newPickers("consistentHash", list)
		gone := n / 2
		left := slices.Delete(slices.Clone(list), gone, gone+1)
		after := newPickers("consistentHash", left)
		out := of(list)
		out[gone] = 0
		ejected := before.among(out...)
		moved, away := 0, 0
		for i := range keys {
			key := fmt.Sprint("customer-", i)
			was := before.ask(key)
			if list[was].Address != left[after.ask(key)].Address {
				moved++
			}
			if was != ejected.ask(key) {
				away++
			}
		}
		want := float64(keys) / float64(n)
		t.Logf("%d endpoints: removing one moved %d of %d keys, ejecting it %d; 1/n is %.0f", n, moved, keys, away, want)
		if float64(moved) < 0.9*want || float64(moved) > 1.1*want+0.03*keys {
			t.Errorf("%d endpoints: removing one moved %d of %d keys, want about %.0f", n, moved, keys, want)
		}
		if math.Abs(float64(away)-want) > 0.1*want {
			t.Errorf("%d endpoints: ejecting one moved %d of %d keys, want about %.0f", n, away, keys, want)
		}
	}
}

// bound is what a candidate may have in flight of all, this one included.
func bound(all int64, weight, total int64) int64 {
	return int64(math.Ceil(1.25 * float64(all) * float64(weight) / float64(total)))
}

// However skewed the keys, nobody is given more than its bound at that moment.
func TestBoundedLoadIsNeverExceeded(t *testing.T) {
	weights := []int{1, 1, 2, 1, 3, 1, 1, 2, 1, 1}
	list := candidates(weights...)
	p := newPickers("consistentHash", list)
	now := of(list)
	now[3] = 0 // out
	p = p.among(now...)
	total := int64(0)
	for _, w := range now {
		total += w
	}
	random := rand.New(rand.NewPCG(1, 2))
	var begun []int
	for i := range 100_000 {
		if len(begun) > 0 && (len(begun) > 400 || random.IntN(100) < 48) {
			j := random.IntN(len(begun))
			p.Done(begun[j])
			begun[j] = begun[len(begun)-1]
			begun = begun[:len(begun)-1]
			continue
		}
		key := "everybody's"
		if i%2 == 0 {
			key = fmt.Sprint(random.IntN(20))
		}
		at := p.Pick(Ask{Key: key})
		begun = append(begun, at)
		if in, most := list[at].Load.InFlight.Load(), bound(int64(len(begun)), now[at], total); in > most {
			t.Fatalf("request %d: candidate %d has %d of %d in flight, more than %d", i, at, in, len(begun), most)
		}
	}
}

func TestBoundedLoadUnderConcurrency(t *testing.T) {
	list := candidates(slices.Repeat([]int{1}, 10)...)
	p := newPickers("consistentHash", list)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				p.Pick(Ask{Key: "everybody's"}) // and never ends
			}
		})
	}
	all.Wait()
	for i := range list {
		if in := list[i].Load.InFlight.Load(); in > bound(8000, 1, 10) {
			t.Errorf("candidate %d has %d of 8000 in flight", i, in)
		}
	}
}

func TestEqualKeysStay(t *testing.T) {
	p := newPickers("consistentHash", candidates(slices.Repeat([]int{1}, 10)...))
	for i := range 100 {
		key := fmt.Sprint(i)
		at := p.ask(key)
		for range 10 {
			if p.ask(key) != at {
				t.Fatalf("key %s moved", key)
			}
		}
		if second := p.ask(key, at); second == at || second != p.ask(key, at) {
			t.Errorf("key %s has no second place of its own", key)
		}
	}
}

// When nearly all are out, the few that are left are found, and by all.
func TestFewAreLeft(t *testing.T) {
	list := candidates(slices.Repeat([]int{1}, 1000)...)
	now := make([]int64, len(list))
	now[17], now[900] = 1, 1
	p := newPickers("consistentHash", list).among(now...)
	counts := map[int]int{}
	for i := range 2000 {
		counts[p.ask(fmt.Sprint(i))]++
	}
	if len(counts) != 2 || min(counts[17], counts[900]) < 800 {
		t.Errorf("%v", counts)
	}
}

func TestTenThousandEndpoints(t *testing.T) {
	weights := make([]int, 10_000)
	for i := range weights {
		weights[i] = 1 + i*100%1_000_000
	}
	for _, policy := range Policies {
		p := newPickers(policy, candidates(weights...))
		for i := range 1000 {
			if at := p.ask(fmt.Sprint(i)); at < 0 || at >= len(weights) {
				t.Fatalf("%s: %d", policy, at)
			}
		}
	}
}
