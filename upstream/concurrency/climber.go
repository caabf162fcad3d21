package concurrency

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Climber finds the number of requests at once that a service does best with: the knee, beyond which more of them only
// wait for each other inside it.
//
// Below the knee, more requests at once mean more answers in the same measure; above it, just as many answers. So the
// limit is moved and what that does is watched. Time is cut into rounds. A round begins with as many endings as there
// were requests inside, which began under the limit before and are not counted; then the good answers of the round give
// its goodput g, at a limit n. Over the latest rounds, older ones counting less and less, the slope of log g by log n is
// the part of a greater limit that comes back as goodput: 1 below the knee, 0 above. While it is over a quarter the limit
// rises, else it falls, by a tenth, after four steps the same way by a fifth. So it swings about the knee by a tenth or
// two. It starts by doubling until that does not pay.
//
// The usual ways compare latency with the least seen, which needs probe windows (times when the limit is low so that the
// least can be seen) or drifts under constant load, and takes the cheapest kind of request for the measure of all. Here
// nothing is ever held back to measure, errors are not mistaken for speed, and only the service's own averages count.
//
// A goodput that is not steady can feign a slope. So the limit also falls while requests stay twice as long, in the mean, as
// in the best of the latest rounds, which is known without a low limit: the limit has swung below the knee. Five such steps
// that do not help mean that the service has become slower, and that this is its best now.
//
// Rounds in which the limit was not what held requests back say nothing and change nothing.
type Climber struct {
	limit atomic.Int64
	most  int64

	pressing atomic.Bool   // somebody found no place in this round
	left     atomic.Int64  // endings until the round is counted, or is over
	good     atomic.Uint64 // good answers in this round
	ended    atomic.Uint64 // all endings in this round
	inside   atomic.Int64  // the sum of how many there were at each

	mu       sync.Mutex
	settling bool      // the endings do not count yet
	began    time.Time // of counting
	starting bool      // doubling
	streak   int       // steps in one direction; negative: down
	best     float64   // the shortest mean stay of a round, in seconds; it ages
	doubts   int       // rounds in a row that were crowded
	slope    slope
}

const (
	firstLimit  = 16
	leastLimit  = 1
	mostLimit   = 100_000
	pays        = 1.0 / 4 // the least slope at which a greater limit is worth it
	stepPart    = 0.10
	farStep     = 0.20
	longStreak  = 4
	muchLonger  = 2.0
	mostDoubts  = 5
	aging       = 1.03 // a round
	leastRound  = 100  // endings
	roundFactor = 4    // endings of a round for each place
	pressedPart = 0.8  // of the limit that must have been in use
)

// NewClimber makes a climber that goes up to most; 0: to a hundred thousand.
func NewClimber(most int) *Climber {
	c := &Climber{most: int64(most), starting: true, settling: true}
	if most == 0 {
		c.most = mostLimit
	}
	c.limit.Store(min(firstLimit, c.most))
	c.left.Store(c.limit.Load())
	return c
}

// pressed tells that a request found no place.
func (c *Climber) pressed() {
	if !c.pressing.Load() {
		c.pressing.Store(true)
	}
}

// done tells that a request has ended, with inside of them there until now.
func (c *Climber) done(good bool, inside int64, clock func() time.Time) {
	if good {
		c.good.Add(1)
	}
	c.ended.Add(1)
	c.inside.Add(inside)
	if c.left.Add(-1) > 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left.Load() > 0 {
		return // another has been here
	}
	now := clock()
	if c.settling {
		c.count(now)
		return
	}
	c.conclude(now)
	c.settle(inside)
}

// settle begins a round: until what was admitted under the limit before has ended.
func (c *Climber) settle(inside int64) {
	c.settling = true
	c.left.Store(max(1, inside, c.limit.Load()))
}

// count begins to count.
func (c *Climber) count(now time.Time) {
	c.settling = false
	c.began = now
	c.good.Store(0)
	c.ended.Store(0)
	c.inside.Store(0)
	c.pressing.Store(false)
	c.left.Store(max(leastRound, roundFactor*c.limit.Load()))
}

// conclude judges a round and moves the limit.
func (c *Climber) conclude(now time.Time) {
	limit, ended := c.limit.Load(), c.ended.Load()
	took := now.Sub(c.began).Seconds()
	if ended == 0 || took <= 0 || !c.pressing.Load() {
		return
	}
	n := float64(c.inside.Load()) / float64(ended)
	if n < pressedPart*float64(limit) {
		return
	}
	goodput := max(float64(c.good.Load()), 0.5) / took // half an answer stands for none, which has no logarithm
	c.slope.add(math.Log(n), math.Log(goodput))
	up := c.slope.at() > pays && !c.crowded(n*took/float64(ended))
	c.limit.Store(min(max(c.next(limit, up), leastLimit), c.most))
}

// crowded reports whether requests stay so much longer than at their best that they must be waiting for each other,
// whatever the slope says of a goodput that is not steady.
func (c *Climber) crowded(stay float64) bool {
	if c.best == 0 || stay < c.best {
		c.best = stay
	}
	crowded := stay > muchLonger*c.best
	switch {
	case !crowded:
		c.doubts = 0
	case c.doubts == mostDoubts: // lowering the limit has not helped: this is how long it takes now
		c.best, c.doubts, crowded = stay, 0, false
	default:
		c.doubts++
	}
	c.best *= aging
	return crowded
}

// next is the limit after limit.
func (c *Climber) next(limit int64, up bool) int64 {
	switch {
	case c.starting && up && limit < c.most:
		return limit * 2
	case c.starting:
		c.starting = false
		return max(1, limit*7/10) // the knee is between the last two: begin in the middle
	case up:
		c.streak = max(1, c.streak+1)
	default:
		c.streak = min(-1, c.streak-1)
	}
	part := stepPart
	if c.streak > longStreak || c.streak < -longStreak {
		part = farStep
	}
	step := max(1, int64(math.Round(part*float64(limit))))
	if up {
		return limit + step
	}
	return limit - step
}

// slope is a line through points, of which each counts less than the one after.
type slope struct{ w, x, y, xx, xy float64 }

const fading = 0.4

func (s *slope) add(x, y float64) {
	s.w = s.w*fading + 1
	s.x = s.x*fading + x
	s.y = s.y*fading + y
	s.xx = s.xx*fading + x*x
	s.xy = s.xy*fading + x*y
}

// at is the slope; 1, as below the knee, where the points do not tell.
func (s *slope) at() float64 {
	spread := s.w*s.xx - s.x*s.x
	if spread < 1e-6*s.w*s.w {
		return 1
	}
	return (s.w*s.xy - s.x*s.y) / spread
}
