package route

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"
)

// TestSegmentIndex asks for what is there and for what is nearly so: longer and shorter by a byte, of each length around the
// one that a node has room for.
func TestSegmentIndex(t *testing.T) {
	nodes := map[string]*node{"": newNode(), "a\x00": newNode()}
	for size := 1; size < 40; size++ {
		nodes[strings.Repeat("a", size)] = newNode()
	}
	for i := range 1000 {
		nodes[fmt.Sprint("team-", i)] = newNode()
	}
	x := newSegmentIndex(nodes)
	for segment, n := range nodes {
		if x.find(segment) != n {
			t.Errorf("%q is not found", segment)
		}
		for _, other := range []string{segment + "b", segment + "\x00", segment + segment} {
			if got := x.find(other); got != nodes[other] {
				t.Errorf("%q finds the node of another", other)
			}
		}
	}
}

// TestOneFetch holds what a look-up reads of a node and of a rule to one line of the processor's cache.
func TestOneFetch(t *testing.T) {
	if size := unsafe.Sizeof(node{}); size != 64 {
		t.Errorf("a node takes %d bytes", size)
	}
	if size := unsafe.Sizeof(rule{}); size != 64 {
		t.Errorf("a rule takes %d bytes", size)
	}
}
