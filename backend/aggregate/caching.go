package aggregate

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// How long an answer may be kept, by RFC 9111: as the most restrictive of its parts says.
//
//   - A call failed: no-store. The next answer may be whole.
//   - no-store, private, no-cache, must-revalidate, proxy-revalidate and no-transform hold if any part says them; public if
//     all do.
//   - max-age and s-maxage are the least of all parts', less what the part's Age says is over. A part that gives no lifetime,
//     by either or by Expires, takes it from all: then there is none. s-maxage of a part without it is its max-age.
//   - Vary names the client's fields that calls depend on, as their services or their own texts say. What depends on who the
//     client is, by its address, consumer, claims or cookies, is private; what varies by * is no-store.
//   - Nothing else is taken over: what would lengthen a life (immutable, stale-…) speaks of one part only.
//
// No part says anything: neither does the answer.

// caching is what the parts of an answer have said so far.
type caching struct {
	parts, spoke    int // answers, and those that had a Cache-Control, an Expires or a Vary
	restricts       restriction
	public          int
	lives, shared   int // parts with a lifetime; those of them with one of their own for shared caches
	maxAge, sMaxAge int64
	vary            []string
}

type restriction uint8

const (
	noStore restriction = 1 << iota
	private
	noCache
	mustRevalidate
	proxyRevalidate
	noTransform
)

var restrictions = [...]string{"no-store", "private", "no-cache", "must-revalidate", "proxy-revalidate", "no-transform"}

// add takes in one part.
func (c *caching) add(h http.Header, q *plan) {
	c.parts++
	lines, expires, vary := h["Cache-Control"], h["Expires"], h["Vary"]
	if lines == nil && expires == nil && vary == nil {
		return
	}
	c.spoke++
	maxAge, sMaxAge, isPublic := int64(-1), int64(-1), false
	for _, line := range lines {
		for directive := range strings.SplitSeq(line, ",") {
			name, argument, _ := strings.Cut(strings.TrimSpace(directive), "=")
			name = strings.ToLower(name)
			switch name {
			case "max-age":
				maxAge = seconds(argument)
			case "s-maxage":
				sMaxAge = seconds(argument)
			case "public":
				isPublic = true
			default:
				if i := slices.Index(restrictions[:], name); i >= 0 {
					c.restricts |= 1 << i
				}
			}
		}
	}
	if maxAge < 0 && len(expires) > 0 {
		maxAge = untilExpiry(h)
	}
	if isPublic {
		c.public++
	}
	c.live(maxAge, sMaxAge, age(h))
	c.varies(vary, q)
}

// live takes in a lifetime; -1 is none.
func (c *caching) live(maxAge, sMaxAge, age int64) {
	if maxAge < 0 && sMaxAge < 0 {
		return
	}
	if sMaxAge >= 0 {
		c.shared++
	} else {
		sMaxAge = maxAge
	}
	if maxAge < 0 { // a lifetime for shared caches only
		maxAge = 0
	}
	maxAge, sMaxAge = max(maxAge-age, 0), max(sMaxAge-age, 0)
	if c.lives++; c.lives == 1 {
		c.maxAge, c.sMaxAge = maxAge, sMaxAge
		return
	}
	c.maxAge, c.sMaxAge = min(c.maxAge, maxAge), min(c.sMaxAge, sMaxAge)
}

func (c *caching) varies(lines []string, q *plan) {
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			switch {
			case name == "*":
				c.restricts |= noStore
			case q.forward[name] || traced[name]:
				c.vary = append(c.vary, name)
			case ours(name):
				c.restricts |= private
			}
		}
	}
}

// join takes in the parts of another.
func (c *caching) join(o *caching) {
	if o.lives > 0 {
		if c.lives == 0 {
			c.maxAge, c.sMaxAge = o.maxAge, o.sMaxAge
		}
		c.maxAge, c.sMaxAge = min(c.maxAge, o.maxAge), min(c.sMaxAge, o.sMaxAge)
	}
	c.parts += o.parts
	c.spoke += o.spoke
	c.restricts |= o.restricts
	c.public += o.public
	c.lives += o.lives
	c.shared += o.shared
	c.vary = append(c.vary, o.vary...)
}

// cache says in the answer what all parts have said.
func (r *run) cache(h http.Header, failed bool) {
	if failed {
		h["Cache-Control"] = []string{"no-store"}
		return
	}
	var all caching
	for i := range r.calls {
		all.join(&r.calls[i].caching)
	}
	if all.spoke == 0 {
		return
	}
	if r.a.personal {
		all.restricts |= private
	}
	all.vary = append(all.vary, r.a.varies...)
	if text := all.String(); text != "" {
		h["Cache-Control"] = []string{text}
	}
	if len(all.vary) > 0 {
		slices.Sort(all.vary)
		h["Vary"] = []string{strings.Join(slices.Compact(all.vary), ", ")}
	}
}

func (c *caching) String() string {
	if c.restricts&noStore != 0 {
		return "no-store"
	}
	var said []string
	if c.public == c.parts && c.restricts&private == 0 {
		said = append(said, "public")
	}
	for i, name := range restrictions {
		if c.restricts&(1<<i) != 0 {
			said = append(said, name)
		}
	}
	if c.lives == c.parts && c.parts > 0 {
		said = append(said, "max-age="+strconv.FormatInt(c.maxAge, 10))
		if c.shared > 0 && c.restricts&private == 0 {
			said = append(said, "s-maxage="+strconv.FormatInt(c.sMaxAge, 10))
		}
	}
	return strings.Join(said, ", ")
}

// seconds reads delta-seconds; what cannot be read is no time at all (RFC 9111 section 4.2.1 has it stale).
func seconds(text string) int64 {
	n, err := strconv.ParseInt(strings.Trim(text, `"`), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

func age(h http.Header) int64 {
	if values := h["Age"]; len(values) > 0 {
		return seconds(values[0])
	}
	return 0
}

// untilExpiry is the lifetime that Expires gives, counted from Date. An invalid one, as "0" often is, is over.
func untilExpiry(h http.Header) int64 {
	expires, err := http.ParseTime(h["Expires"][0])
	if err != nil {
		return 0
	}
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		date = time.Now()
	}
	return max(int64(expires.Sub(date)/time.Second), 0)
}
