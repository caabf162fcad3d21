package http1

import (
	"sync/atomic"
	"time"
)

// moment is a point in time as the distance from the process's epoch: one word, monotonic, cheap to take and compare.
type moment time.Duration

const never = moment(1<<63 - 1)

var epoch = time.Now()

func now() moment { return moment(time.Since(epoch)) }

// momentOf is t as a moment; never for the zero time.
func momentOf(t time.Time) moment {
	if t.IsZero() {
		return never
	}
	return moment(t.Sub(epoch))
}

func (m moment) time() time.Time { return epoch.Add(time.Duration(m)) }

// lately is a reading of both clocks, not older than a second when it is used.
var lately atomic.Pointer[time.Time]

// Now is time.Now for half its price: of the two clocks that it reads, only the monotonic one is read each time. The wall
// clock is as it was within the last second, and the time since; one that is set is seen a second later.
func Now() time.Time {
	if t := lately.Load(); t != nil {
		if d := time.Since(*t); d >= 0 && d < time.Second {
			return t.Add(d)
		}
	}
	t := time.Now()
	lately.Store(&t)
	return t
}

// after is the moment d from now; never for a limit that does not stand.
func after(d time.Duration) moment {
	if d <= 0 {
		return never
	}
	return now() + moment(d)
}

// date is the text of a Date field for one second.
type date struct {
	unix int64
	text string
}

var lastDate atomic.Pointer[date]

// httpDate is the time now in the format of RFC 9110 section 5.6.7, made once a second.
func httpDate() string {
	t := time.Now()
	if d := lastDate.Load(); d != nil && d.unix == t.Unix() {
		return d.text
	}
	d := &date{t.Unix(), t.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")}
	lastDate.Store(d)
	return d.text
}
