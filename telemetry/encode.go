package telemetry

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/failure"
)

// maxAttempts is how many attempts of one request are told one by one.
const maxAttempts = 16

// appendRecord appends r as one line of JSON with its newline. What is always known is always there; the rest is left
// out when empty. Text from outside cannot end its string, its line, or the terminal it is read on.
func appendRecord(b []byte, r *Record) []byte {
	b = appendTime(append(b, `{"time":"`...), r.Start)
	b = appendText(b, `","request_id":"`, r.RequestID)
	b = appendClient(b, r.Client)
	b = appendOptional(b, `,"consumer":"`, r.Consumer)
	b = appendOptional(b, `,"listener":"`, r.Listener)
	b = appendText(b, `,"method":"`, r.Method)
	b = appendText(b, `,"scheme":"`, r.Scheme)
	b = appendText(b, `,"host":"`, r.Host)
	b = appendText(b, `,"path":"`, r.Path)
	b = appendOptional(b, `,"query":"`, r.Query)
	b = appendText(b, `,"proto":"`, r.Proto)
	b = appendInt(b, `,"status":`, int64(r.Status))
	b = appendOptional(b, `,"route":"`, r.Route)
	b = appendOptional(b, `,"service":"`, r.Service)
	b = appendAttempts(b, r.Attempts)
	b = appendMillis(b, `,"duration_ms":`, r.Duration)
	if r.FirstByte > 0 {
		b = appendMillis(b, `,"first_byte_ms":`, r.FirstByte)
	}
	if len(r.Attempts) > 0 {
		b = appendMillis(b, `,"upstream_ms":`, r.Upstream)
	}
	b = appendInt(b, `,"request_bytes":`, r.RequestBytes)
	b = appendInt(b, `,"response_bytes":`, r.ResponseBytes)
	b = appendOptional(b, `,"user_agent":"`, r.UserAgent)
	if r.Failure != nil {
		b = appendFailure(b, r.Failure)
	}
	return append(b, "}\n"...)
}

// appendAttempts appends the number of attempts and the endpoint of the last, and each by itself if there were several.
func appendAttempts(b []byte, attempts []Attempt) []byte {
	n := len(attempts)
	if n == 0 {
		return append(b, `,"attempts":0`...)
	}
	b = appendText(b, `,"endpoint":"`, attempts[n-1].Endpoint)
	b = appendInt(b, `,"attempts":`, int64(n))
	if n == 1 {
		return b
	}
	b = append(b, `,"attempt_list":[`...)
	for i := range attempts[:min(n, maxAttempts)] {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendAttempt(b, &attempts[i])
	}
	return append(b, ']')
}

func appendAttempt(b []byte, a *Attempt) []byte {
	b = appendText(b, `{"endpoint":"`, a.Endpoint)
	if a.Status != 0 {
		b = appendInt(b, `,"status":`, int64(a.Status))
	}
	b = appendOptional(b, `,"failure":"`, string(a.Failure))
	b = appendMillis(b, `,"duration_ms":`, a.Duration)
	return append(b, '}')
}

func appendFailure(b []byte, f *failure.Error) []byte {
	b = appendText(b, `,"failure":"`, string(f.Kind))
	b = appendText(b, `,"failure_source":"`, f.Source.String())
	return appendOptional(b, `,"reason":"`, reason(f))
}

// reason is what the operator is told beyond the kind. An error of net/url is shown without its URL, whose query may
// hold a credential.
func reason(f *failure.Error) string {
	cause := f.Err
	if u, ok := errors.AsType[*url.Error](cause); ok {
		cause = u.Err
	}
	switch {
	case cause == nil:
		return f.Detail
	case f.Detail == "":
		return cause.Error()
	default:
		return f.Detail + ": " + cause.Error()
	}
}

// appendTime appends t as RFC 3339 in UTC with milliseconds. All but these is worked out once a second.
func appendTime(b []byte, t time.Time) []byte {
	seconds := t.Unix()
	s := thisSecond.Load()
	if s == nil || s.unix != seconds {
		s = &wholeSecond{unix: seconds}
		appendSeconds(s.text[:0], t.UTC())
		thisSecond.Store(s)
	}
	return append(appendThousandths(append(b, s.text[:]...), t.Nanosecond()/int(time.Millisecond)), 'Z')
}

// wholeSecond is one in words.
type wholeSecond struct {
	unix int64
	text [len("2006-01-02T15:04:05")]byte
}

// thisSecond is the one that was written last.
var thisSecond atomic.Pointer[wholeSecond]

func appendSeconds(b []byte, t time.Time) []byte {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = appendDigits(b, min(max(year, 0), 9999), 4) // RFC 3339 has no others
	b = appendDigits(append(b, '-'), int(month), 2)
	b = appendDigits(append(b, '-'), day, 2)
	b = appendDigits(append(b, 'T'), hour, 2)
	b = appendDigits(append(b, ':'), minute, 2)
	return appendDigits(append(b, ':'), second, 2)
}

// appendDigits appends n, which is not negative, in exactly width digits.
func appendDigits(b []byte, n, width int) []byte {
	b = append(b, "0000"[:width]...)
	for i := len(b) - 1; n > 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
	return b
}

// appendMillis appends d in milliseconds with three decimals; less than nothing is nothing.
func appendMillis(b []byte, key string, d time.Duration) []byte {
	micros := max(d, 0) / time.Microsecond
	return appendThousandths(appendInt(b, key, int64(micros/1000)), int(micros%1000))
}

// appendThousandths appends n, 0 to 999, behind a decimal point.
func appendThousandths(b []byte, n int) []byte {
	return append(b, '.', byte('0'+n/100), byte('0'+n/10%10), byte('0'+n%10))
}

func appendInt(b []byte, key string, n int64) []byte {
	return strconv.AppendInt(append(b, key...), n, 10)
}

// appendClient appends the address. A zone is free text, and may have come in a forwarding field.
func appendClient(b []byte, client netip.Addr) []byte {
	if client.Zone() != "" {
		return appendText(b, `,"client":"`, client.String())
	}
	b = append(b, `,"client":"`...)
	if client.IsValid() {
		b = client.AppendTo(b)
	}
	return append(b, '"')
}
