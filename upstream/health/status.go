package health

import (
	"errors"
	"strconv"
	"strings"
)

// Statuses is a set of HTTP status codes.
type Statuses []statusRange

type statusRange struct{ from, to int }

// ParseStatuses reads ranges and single codes, joined by commas: 200-299,304.
func ParseStatuses(text string) (Statuses, error) {
	var s Statuses
	for part := range strings.SplitSeq(text, ",") {
		low, high, ranged := strings.Cut(strings.TrimSpace(part), "-")
		if !ranged {
			high = low
		}
		from, err1 := status(low)
		to, err2 := status(high)
		if err := errors.Join(err1, err2); err != nil {
			return nil, errStatus
		}
		if from > to {
			return nil, errors.New("the range ends before it begins")
		}
		s = append(s, statusRange{from, to})
	}
	return s, nil
}

var errStatus = errors.New("a status from 200 to 599 or a range of them is wanted: 204, 200-299")

// status reads a final status code: what informs comes before an answer and is none.
func status(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || len(text) != 3 || n < 200 || n > 599 {
		return 0, errStatus
	}
	return n, nil
}

// Has reports whether code is in the set.
func (s Statuses) Has(code int) bool {
	for _, r := range s {
		if r.from <= code && code <= r.to {
			return true
		}
	}
	return false
}
