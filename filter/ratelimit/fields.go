package ratelimit

import (
	"net/http"
	"strconv"
	"time"

	"github.com/sluice-gateway/sluice/exchange"
)

// The names of the fields as http.Header spells them.
const (
	limitField     = "X-Ratelimit-Limit"
	remainingField = "X-Ratelimit-Remaining"
	resetField     = "X-Ratelimit-Reset"
	policyField    = "Ratelimit-Policy"
	rateField      = "Ratelimit"
)

var names = [...]string{limitField, remainingField, resetField, policyField, rateField}

// fields are those that are the same for every request of one limit. Nobody writes to their values.
type fields struct{ limit, policy []string }

func newFields(limit int64, window time.Duration) fields {
	return fields{
		limit:  []string{decimal(limit)},
		policy: []string{string(appendPolicy(nil, 0, exchange.Limit{Quota: limit, Window: window}))},
	}
}

// writeOne is the common case: the changing values are cut from one string and share one array.
func (f fields) writeOne(h http.Header, l exchange.Limit) {
	var buf [96]byte
	b := strconv.AppendInt(buf[:0], l.Remaining, 10)
	remaining := len(b)
	b = strconv.AppendInt(b, seconds(l.Reset), 10)
	reset := len(b)
	b = appendRate(b, 0, l)
	text := string(b)
	values := [3]string{text[:remaining], text[remaining:reset], text[reset:]}

	h[limitField], h[policyField] = f.limit, f.policy
	h[remainingField] = values[0:1:1]
	h[resetField] = values[1:2:2]
	h[rateField] = values[2:3:3]
}

// appendOne is writeOne as lines.
func (f fields) appendOne(b []byte, l exchange.Limit) []byte {
	b = exchange.AppendLine(b, limitField, f.limit[0])
	b = exchange.AppendLine(b, policyField, f.policy[0])
	b = strconv.AppendInt(append(b, remainingField+": "...), l.Remaining, 10)
	b = strconv.AppendInt(append(b, "\r\n"+resetField+": "...), seconds(l.Reset), 10)
	b = appendRate(append(b, "\r\n"+rateField+": "...), 0, l)
	return append(b, "\r\n"...)
}

// writeAll lists every limit and lets the most restrictive speak.
func writeAll(h http.Header, limits []exchange.Limit) {
	var policies, rates []byte
	worst := limits[0]
	for i, l := range limits {
		if i > 0 {
			policies, rates = append(policies, ", "...), append(rates, ", "...)
		}
		policies, rates = appendPolicy(policies, i, l), appendRate(rates, i, l)
		if moreRestrictive(l, worst) {
			worst = l
		}
	}
	h[limitField] = []string{decimal(worst.Quota)}
	h[remainingField] = []string{decimal(worst.Remaining)}
	h[resetField] = []string{decimal(seconds(worst.Reset))}
	h[policyField] = []string{string(policies)}
	h[rateField] = []string{string(rates)}
}

// moreRestrictive prefers the limit that refused, then the one with fewer requests left, then the one that stays longer.
func moreRestrictive(a, b exchange.Limit) bool {
	switch {
	case a.Refused != b.Refused:
		return a.Refused
	case a.Remaining != b.Remaining:
		return a.Remaining < b.Remaining
	}
	return a.Reset > b.Reset
}

// appendPolicy writes "default";q=100;w=60.
func appendPolicy(b []byte, i int, l exchange.Limit) []byte {
	b = append(appendName(b, i), ";q="...)
	b = append(strconv.AppendInt(b, l.Quota, 10), ";w="...)
	return strconv.AppendInt(b, seconds(l.Window), 10)
}

// appendRate writes "default";r=42;t=30.
func appendRate(b []byte, i int, l exchange.Limit) []byte {
	b = append(appendName(b, i), ";r="...)
	b = append(strconv.AppendInt(b, l.Remaining, 10), ";t="...)
	return strconv.AppendInt(b, seconds(l.Reset), 10)
}

func appendName(b []byte, i int) []byte {
	b = append(b, `"default`...)
	if i > 0 {
		b = strconv.AppendInt(append(b, '-'), int64(i+1), 10)
	}
	return append(b, '"')
}

// seconds rounds up: who waits as long as he is told is let in.
func seconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return s
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
