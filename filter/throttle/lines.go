package throttle

import (
	"container/list"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/store"
)

// lines are the requests that wait, one line for each key. Keys lie in shards of one mutex each. While nobody waits at
// all, a request pays one atomic load.
type lines struct {
	queue, total int
	interval     time.Duration // between two of a line
	waiting      atomic.Int64  // in all lines
	seed         maphash.Seed
	shards       [16]shard
}

type shard struct {
	mu    sync.Mutex
	byKey map[store.Key]*line
	_     [48]byte // two mutexes are not to share a cache line
}

// line is in its shard's map while somebody stands in it.
type line struct {
	all     *lines
	shard   *shard
	key     store.Key
	waiting list.List // of *waiter, the first in front
	turn    time.Time // of the first, as far as is known
}

// waiter is one request in a line. first is closed when nobody is ahead of it any more.
type waiter struct {
	line  *line
	at    *list.Element
	first chan struct{}
}

func (l *lines) init(queue, total int, interval time.Duration) {
	l.queue, l.total, l.interval, l.seed = queue, total, interval, maphash.MakeSeed()
	for i := range l.shards {
		l.shards[i].byKey = make(map[store.Key]*line)
	}
}

func (l *lines) shard(key store.Key) *shard {
	return &l.shards[maphash.String(l.seed, key.Value)%uint64(len(l.shards))]
}

// empty reports whether nobody of key waits.
func (l *lines) empty(key store.Key) bool {
	if l.waiting.Load() == 0 {
		return true
	}
	s := l.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byKey[key] == nil
}

// join puts a request at the end of its line, or returns nil and how long it would have had to wait. turn is when it may
// pass if it is the first; zero: it has not asked.
func (l *lines) join(key store.Key, turn time.Time, maxWait time.Duration) (*waiter, time.Duration) {
	if l.waiting.Add(1) > int64(l.total) {
		l.waiting.Add(-1)
		return nil, maxWait
	}
	s := l.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.byKey[key]
	if at == nil {
		at = &line{all: l, shard: s, key: key, turn: turn}
	}
	ahead := at.waiting.Len()
	wait := max(0, time.Until(at.turn)) + time.Duration(ahead)*l.interval
	if ahead >= l.queue || wait > maxWait {
		l.waiting.Add(-1)
		return nil, wait
	}
	s.byKey[key] = at
	w := &waiter{line: at, first: make(chan struct{})}
	w.at = at.waiting.PushBack(w)
	if ahead == 0 {
		close(w.first)
	}
	return w, wait
}

// expect notes when the first of a line may pass.
func (w *waiter) expect(turn time.Time) {
	w.line.shard.mu.Lock()
	defer w.line.shard.mu.Unlock()
	w.line.turn = turn
}

// leave takes w out of its line, whether it passed or gave up. If it was the first, the next one is now.
func (w *waiter) leave() {
	at := w.line
	at.all.waiting.Add(-1)
	at.shard.mu.Lock()
	defer at.shard.mu.Unlock()
	wasFirst := at.waiting.Front() == w.at
	at.waiting.Remove(w.at)
	next := at.waiting.Front()
	switch {
	case next == nil:
		delete(at.shard.byKey, at.key)
	case wasFirst:
		close(next.Value.(*waiter).first)
	}
}
