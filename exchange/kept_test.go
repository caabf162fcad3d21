package exchange

import "testing"

func TestKept(t *testing.T) {
	x := new(Exchange)
	x.Reset()
	a, b, c := new(int), new(int), new(int)
	if x.Kept(a) != nil {
		t.Error("there is something before anybody kept it")
	}
	x.Keep(a, "one")
	x.Keep(b, "two")
	x.Keep(a, "three")
	if x.Kept(a) != "three" || x.Kept(b) != "two" || x.Kept(c) != nil {
		t.Errorf("%v, %v, %v", x.Kept(a), x.Kept(b), x.Kept(c))
	}
	if x.Reset(); x.Kept(a) != nil {
		t.Error("the next exchange sees what the one before kept")
	}
}

func TestKeepingOneThingCostsNothing(t *testing.T) {
	x, by, what := new(Exchange), new(int), new(int)
	if n := testing.AllocsPerRun(100, func() {
		x.Reset()
		x.Keep(by, what)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
