// Package memory keeps rate limits in this process: GCRA (ITU-T I.371), one number a key.
//
// For each key stands its theoretical arrival time, TAT: when the bucket will be full again. With T = window/limit the
// time one request is worth, and burst × T what a full bucket holds, a request at now is allowed if
//
//	max(TAT, now) + T − now ≤ burst × T
//
// and then moves TAT on by T. A refused request moves nothing. All is in integer nanoseconds of the monotonic clock; T is
// rounded up, so that a limit is never exceeded, at worst fallen short of by a nanosecond a request.
//
// Keys lie in shards of one mutex each. A shard holds its entries in one slice, linked from the most to the least recently
// used. Each Take looks at one more entry in passing and frees it if its bucket is full, so what is idle goes without a
// goroutine. A shard full of keys still in use gives up the one unused for longest: memory never refuses a request. Only a
// 128-bit keyed hash of a key is kept: an entry is as small for a long key as for a short one, and nobody outside
// can know which keys would meet.
package memory

import (
	"context"
	"errors"
	"hash/maphash"
	"math"
	"math/bits"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/store"
)

const (
	defaultKeys = 1 << 20 // about 100 MiB when all are in use
	maxShards   = 64
	minShard    = 256 // keys; a smaller limiter has fewer shards
)

var errRate = errors.New("a rate needs a limit, a window and a burst above 0")

// Limiter is a store.Limiter. It is safe for concurrent use.
type Limiter struct {
	seeds  [3]maphash.Seed
	shards []shard // a power of two
	start  time.Time
	clock  func() int64 // nanoseconds since start; nil: the monotonic clock
}

type hash struct{ hi, lo uint64 }

// New makes a limiter of at most maxKeys keys; 0 stands for 1,048,576.
func New(maxKeys int) *Limiter {
	if maxKeys <= 0 {
		maxKeys = defaultKeys
	}
	maxKeys = min(maxKeys, math.MaxInt32)
	n := 1
	for n < maxShards && maxKeys/(2*n) >= minShard {
		n *= 2
	}
	l := &Limiter{shards: make([]shard, n), start: time.Now()}
	for i := range l.seeds {
		l.seeds[i] = maphash.MakeSeed()
	}
	for i := range l.shards {
		l.shards[i].init(maxKeys / n)
	}
	return l
}

// Take asks for one request of key. Its only error is a rate that is none.
func (l *Limiter) Take(_ context.Context, key store.Key, rate store.Rate) (store.Decision, error) {
	if rate.Limit < 1 || rate.Window <= 0 || rate.Burst < 1 {
		return store.Decision{}, errRate
	}
	h := l.hash(key)
	b := bucketOf(rate)
	s := &l.shards[h.lo&uint64(len(l.shards)-1)]

	s.mu.Lock()
	now := l.now() // not before: whoever waited for the lock with an old time would be charged for those who went ahead
	s.sweep(now)
	e := s.entry(h)
	tat, allowed := b.take(e.tat, now)
	e.tat = tat
	s.mu.Unlock()
	return b.decision(tat-now, allowed), nil
}

// Len is how many keys are held.
func (l *Limiter) Len() int {
	n := 0
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		n += len(s.index)
		s.mu.Unlock()
	}
	return n
}

// hash mixes rule and value so that neither can stand for a part of the other. Rules are few and the operator's own, so 64
// bits tell them apart.
func (l *Limiter) hash(k store.Key) hash {
	rule := maphash.String(l.seeds[2], k.Rule)
	return hash{
		bits.RotateLeft64(rule, 29) + maphash.String(l.seeds[0], k.Value),
		rule + maphash.String(l.seeds[1], k.Value),
	}
}

func (l *Limiter) now() int64 {
	if l.clock != nil {
		return l.clock()
	}
	return int64(time.Since(l.start))
}

// bucket is a rate in nanoseconds.
type bucket struct {
	interval int64 // one request is worth this
	capacity int64 // a full bucket is worth this
}

// maxCapacity leaves room for a clock that has run 146 years.
const maxCapacity = math.MaxInt64 / 2

func bucketOf(r store.Rate) bucket {
	window := int64(r.Window)
	interval := window / r.Limit
	if window%r.Limit != 0 {
		interval++
	}
	interval = min(interval, maxCapacity)
	hi, lo := bits.Mul64(uint64(interval), uint64(r.Burst))
	if hi != 0 || lo > maxCapacity {
		return bucket{interval, maxCapacity}
	}
	return bucket{interval, int64(lo)}
}

// take is GCRA. A TAT further ahead than a bucket can be empty was left by a rate that has since been lowered, and is
// brought back: nobody waits longer than the rate in force would make them.
func (b bucket) take(tat, now int64) (after int64, allowed bool) {
	tat = min(max(tat, now), now+b.capacity)
	if tat-now > b.capacity-b.interval {
		return tat, false
	}
	return tat + b.interval, true
}

// decision tells a caller whose bucket lacks used nanoseconds of being full.
func (b bucket) decision(used int64, allowed bool) store.Decision {
	left := b.capacity - used
	d := store.Decision{Allowed: allowed, Remaining: left / b.interval, Reset: time.Duration(used)}
	if left < b.interval {
		d.RetryAfter = time.Duration(b.interval - left)
	}
	return d
}

// shard is a part of the keys. The padding keeps two mutexes off one cache line.
type shard struct {
	mu      sync.Mutex
	index   map[hash]int32
	entries []entry // entries[0] is the head of both lists
	free    int32   // first unused entry, linked by next; 0: none
	cursor  int32   // the entry that was swept last
	max     int
	_       [64]byte
}

// entry is one key. prev and next link the entries in use in a ring, most recently used first.
type entry struct {
	hash       hash
	tat        int64
	prev, next int32
	used       bool
}

func (s *shard) init(max int) {
	s.max = max
	s.index = make(map[hash]int32)
	s.entries = make([]entry, 1)
}

// entry finds the entry of h, or makes one, and puts it first. It is valid until the next call.
func (s *shard) entry(h hash) *entry {
	i, known := s.index[h]
	if !known {
		i = s.allocate()
		s.index[h] = i
		s.entries[i] = entry{hash: h, used: true}
		s.link(i)
	} else if s.entries[0].next != i {
		s.unlink(i)
		s.link(i)
	}
	return &s.entries[i]
}

// allocate finds room: a freed entry, a new one, or that of the key unused for longest.
func (s *shard) allocate() int32 {
	if s.free == 0 && len(s.entries) > s.max {
		s.release(s.entries[0].prev)
	}
	if i := s.free; i != 0 {
		s.free = s.entries[i].next
		return i
	}
	s.entries = append(s.entries, entry{})
	return int32(len(s.entries) - 1)
}

// sweep looks at one more entry, round and round.
func (s *shard) sweep(now int64) {
	s.cursor++
	if int(s.cursor) >= len(s.entries) {
		s.cursor = 0
		return
	}
	if e := &s.entries[s.cursor]; e.used && e.tat <= now {
		s.release(s.cursor)
	}
}

// release forgets the key of entry i.
func (s *shard) release(i int32) {
	delete(s.index, s.entries[i].hash)
	s.unlink(i)
	s.entries[i] = entry{next: s.free}
	s.free = i
}

func (s *shard) link(i int32) {
	e, head := &s.entries[i], &s.entries[0]
	e.prev, e.next = 0, head.next
	s.entries[head.next].prev = i
	head.next = i
}

func (s *shard) unlink(i int32) {
	e := &s.entries[i]
	s.entries[e.prev].next = e.next
	s.entries[e.next].prev = e.prev
}
