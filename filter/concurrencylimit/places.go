package concurrencylimit

import (
	"container/list"
	"hash/maphash"
	"sync"

	"github.com/sluice-gateway/sluice/store"
)

// places counts the places taken of each key. Keys lie in shards of one mutex each, so that callers do not wait for each
// other; a key without a place taken is forgotten.
type places struct {
	limit, queue int
	seed         maphash.Seed
	shards       [16]shard
}

type shard struct {
	mu       sync.Mutex
	counters map[store.Key]*counter
	_        [48]byte // two mutexes are not to share a cache line
}

// counter is one key. While it is in its shard's map, taken is above 0; it is full while somebody waits.
type counter struct {
	shard   *shard
	key     store.Key
	taken   int
	waiting list.List // of *waiter, the longest first
}

// waiter is a request in the queue. granted is closed when it is given a place.
type waiter struct {
	granted chan struct{}
	at      *list.Element // nil: not in the queue any more
}

func (p *places) init(limit, queue int) {
	p.limit, p.queue, p.seed = limit, queue, maphash.MakeSeed()
	for i := range p.shards {
		p.shards[i].counters = make(map[store.Key]*counter)
	}
}

// take takes a place of key. With a waiter there is none yet, and the caller is in the queue; without a counter the
// queue is full too.
func (p *places) take(key store.Key) (*counter, *waiter) {
	s := &p.shards[maphash.String(p.seed, key.Value)%uint64(len(p.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counters[key]
	if c == nil {
		c = &counter{shard: s, key: key}
		s.counters[key] = c
	}
	switch {
	case c.taken < p.limit:
		c.taken++
		return c, nil
	case c.waiting.Len() < p.queue:
		w := &waiter{granted: make(chan struct{})}
		w.at = c.waiting.PushBack(w)
		return c, w
	}
	return nil, nil
}

// giveBack hands the place to whoever has waited longest, or frees it.
func (c *counter) giveBack() {
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	if first := c.waiting.Front(); first != nil {
		w := c.waiting.Remove(first).(*waiter)
		w.at = nil
		close(w.granted)
		return
	}
	if c.taken--; c.taken == 0 {
		delete(c.shard.counters, c.key)
	}
}

// leave takes w out of the queue. false: it has been given a place already.
func (c *counter) leave(w *waiter) bool {
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	if w.at == nil {
		return false
	}
	c.waiting.Remove(w.at)
	w.at = nil
	return true
}

// keys is how many keys are remembered.
func (p *places) keys() int {
	n := 0
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock()
		n += len(s.counters)
		s.mu.Unlock()
	}
	return n
}
