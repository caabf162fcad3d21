package telemetry

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// RouteSeries counts the requests of one route on one listener. It lives as long as a route of its name does, across
// reloads. An idle one takes 256 bytes: tables of codes are made when a code is first seen.
//
// Nearly every request is answered 200 by the one service of its route, within milliseconds. What counts such a request
// lies in the first 64 bytes: with ten thousand routes in use it is one line that the cache must fetch, and not seven.
type RouteSeries struct {
	expected string  // the service whose 200s are counted in ok, not in a table
	ok       Counter // answers of status 200 by expected
	duration histogram

	listener, route string

	expressions Counter                      // that failed
	services    atomic.Pointer[[]*codeTable] // copied on write; nil until the first answer that is not counted in ok
	grow        sync.Mutex                   // held to add to services

	_ [48]byte // fills the 256 bytes, a size whose memory begins with a line
}

// maxServices bounds the services told apart on one route; those beyond it are counted together as "other".
const maxServices = 256

// other is the label of what fits none of the values a label may have.
const other = "other"

// NewRouteSeries makes the series of a route on a listener; an empty route is the listener's unmatched requests.
func NewRouteSeries(listener, route string) *RouteSeries {
	return &RouteSeries{listener: listener, route: route}
}

// Expect names the service that most requests of the route are for. It is called before the first Observe, if at all.
func (s *RouteSeries) Expect(service string) *RouteSeries {
	s.expected = service
	return s
}

// Observe counts one finished request: the service that answered or was asked last ("" if none was), the status the
// client saw (100 to 999; others are counted as "other"), and the time it took. The service must be one of the
// route's own, never a name from the request.
func (s *RouteSeries) Observe(service string, status int, d time.Duration) {
	s.duration.observe(d)
	if status == http.StatusOK && service == s.expected {
		s.ok.Inc()
		return
	}
	s.table(service).inc(status)
}

// eachCode calls yield for every service and code seen. A code of 0 is one without three digits.
func (s *RouteSeries) eachCode(yield func(service string, code int, n uint64)) {
	if n := s.ok.Load(); n > 0 {
		yield(s.expected, http.StatusOK, n)
	}
	for _, t := range s.tables() {
		t.each(func(code int, n uint64) { yield(t.service, code, n) })
		if n := t.other.Load(); n > 0 {
			yield(t.service, 0, n)
		}
	}
}

// ExpressionError counts an expression of the route that failed on a request.
func (s *RouteSeries) ExpressionError() { s.expressions.Inc() }

// table finds the codes of service. Routes have one service, splits a few: a scan beats a map.
func (s *RouteSeries) table(service string) *codeTable {
	if list := s.services.Load(); list != nil {
		for _, t := range *list {
			if t.service == service {
				return t
			}
		}
	}
	return s.addTable(service)
}

func (s *RouteSeries) addTable(service string) *codeTable {
	s.grow.Lock()
	defer s.grow.Unlock()
	tables := s.tables()
	if len(tables) >= maxServices {
		service = other
	}
	for _, t := range tables {
		if t.service == service {
			return t
		}
	}
	added := &codeTable{service: service}
	next := append(tables[:len(tables):len(tables)], added)
	s.services.Store(&next)
	return added
}

func (s *RouteSeries) tables() []*codeTable {
	if list := s.services.Load(); list != nil {
		return *list
	}
	return nil
}

// codeTable counts by status code. Hundreds and tens are allocated when first seen, so that the usual handful of codes
// costs some 160 bytes each class and any code is found in three loads.
type codeTable struct {
	service string
	classes [10]atomic.Pointer[codeClass]
	other   Counter // no code of three digits
}

type (
	codeClass struct {
		tens [10]atomic.Pointer[codeDecade]
	}
	codeDecade struct{ counts [10]Counter }
)

func (t *codeTable) inc(status int) {
	if status < 100 || status > 999 {
		t.other.Inc()
		return
	}
	class := loadOrMake(&t.classes[status/100])
	decade := loadOrMake(&class.tens[status/10%10])
	decade.counts[status%10].Inc()
}

// loadOrMake returns what p points to, first making it if need be; of several makers at once, one wins.
func loadOrMake[T any](p *atomic.Pointer[T]) *T {
	if v := p.Load(); v != nil {
		return v
	}
	p.CompareAndSwap(nil, new(T))
	return p.Load()
}

// each calls yield for every code seen, in order.
func (t *codeTable) each(yield func(code int, n uint64)) {
	for c := range t.classes {
		class := t.classes[c].Load()
		if class == nil {
			continue
		}
		for d := range class.tens {
			decade := class.tens[d].Load()
			if decade == nil {
				continue
			}
			for i := range decade.counts {
				if n := decade.counts[i].Load(); n > 0 {
					yield(c*100+d*10+i, n)
				}
			}
		}
	}
}
