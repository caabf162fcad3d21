package grpc

import (
	"math"
	"strconv"
	"time"
)

// ParseTimeout reads a grpc-timeout: at most eight digits and a unit.
func ParseTimeout(s string) (time.Duration, bool) {
	if len(s) < 2 || len(s) > 9 {
		return 0, false
	}
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	unit := units[s[len(s)-1]]
	if err != nil || unit == 0 {
		return 0, false
	}
	if n > uint64(math.MaxInt64/unit) {
		return math.MaxInt64, true
	}
	return time.Duration(n) * unit, true
}

var units = [256]time.Duration{
	'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': 1,
}

// FormatTimeout writes a grpc-timeout in the finest unit that eight digits hold, rounded up: a deadline never comes
// early, and what is no time at all is the shortest there is.
func FormatTimeout(d time.Duration) string {
	if d <= 0 {
		return "1n"
	}
	for _, unit := range [...]byte{'n', 'u', 'm', 'S', 'M'} {
		if n := (d + units[unit] - 1) / units[unit]; n >= 0 && n < 1e8 {
			return strconv.FormatInt(int64(n), 10) + string(unit)
		}
	}
	return strconv.FormatInt(int64(d/time.Hour)+1, 10) + "H"
}
