package upstream

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/upstream/retry"
)

// judge decides whether what came of an attempt is tried to be bettered by another, and after how long. All of these
// must hold, the cheap ones first: there are attempts left; the outcome is one that the policy names; repeating the
// request can do no harm; its body can be sent again; the wait ends before the deadline; no gate is against it; the budget bears it.
func (l *loop) judge(a *attempt, res *http.Response, err error) (wait time.Duration, again bool) {
	if l.number >= l.policy.Retry.Attempts {
		return 0, false
	}
	if err != nil {
		f := failure.From(err)
		again = l.namesFailure(f) && (f.RetrySafe || l.harmless())
	} else {
		again = l.namesAnswer(res) && l.harmless()
	}
	if a.body != nil {
		again = again && l.body.repeatable()
	}
	if !again {
		return 0, false
	}
	wait = retry.Backoff(l.policy.Retry.BackoffBase, l.policy.Retry.BackoffMax, l.number)
	if !l.deadline.IsZero() && time.Until(l.deadline) <= wait {
		return 0, false
	}
	if !l.mayGoOn() {
		return 0, false
	}
	if !l.service.budget.Take() {
		l.service.spec.Series.RetrySuppressed()
		return 0, false
	}
	return wait, true
}

// harmless reports whether the request may be repeated though it was received. An upgrade may not: a tunnel may be open.
func (l *loop) harmless() bool {
	method := l.call.Request.Method
	return !l.upgrade && (retry.Idempotent(method) || slices.Contains(l.policy.Retry.Methods, method))
}

// mayBetter reports whether any answer at all may lead to another attempt.
func (l *loop) mayBetter() bool {
	on := &l.policy.Retry
	return on.Attempts > 1 && len(on.Statuses)+len(on.GRPCStatuses) > 0 && l.harmless()
}

// namesFailure reports whether the policy asks for another attempt after f.
func (l *loop) namesFailure(f *failure.Error) bool {
	on := &l.policy.Retry
	switch f.Kind {
	case failure.ConnectionRefused, failure.DNSError, failure.DNSTimeout, failure.TLSCertificateError,
		failure.TLSProtocolError:
		return on.ConnectFailure
	case failure.ConnectionLimitReached: // another endpoint may have room; this one has none
		return on.ConnectFailure && len(l.tried) < l.members.choice(time.Now()).takers
	case failure.ConnectionTimeout: // of connectTimeout, or of the attempt while it was connecting
		return on.ConnectFailure || on.Timeout
	case failure.ConnectionTerminated:
		return on.Reset || on.ConnectFailure && f.RetrySafe
	case failure.HTTPResponseTimeout:
		return on.Timeout
	default: // an answer had begun, or it is not the endpoint that failed
		return false
	}
}

// namesAnswer reports whether the policy asks for another attempt after an answer of this status.
func (l *loop) namesAnswer(res *http.Response) bool {
	for _, s := range l.policy.Retry.Statuses {
		if s.From <= res.StatusCode && res.StatusCode <= s.To {
			return true
		}
	}
	return len(l.policy.Retry.GRPCStatuses) > 0 && slices.Contains(l.policy.Retry.GRPCStatuses, grpcStatus(res))
}

// grpcStatus is the status of a trailers-only answer, which has it among its header fields; -1 for any other answer.
func grpcStatus(res *http.Response) int {
	values := res.Header["Grpc-Status"]
	if len(values) != 1 {
		return -1
	}
	n, err := strconv.Atoi(values[0])
	if err != nil {
		return -1
	}
	return n
}

// failedGRPC reports whether a trailers-only answer says what a 5xx would: unknown, which is what an exception that nobody
// caught becomes, internal, unavailable or data-loss. Of an answer with messages the status is not known yet.
func failedGRPC(res *http.Response) bool {
	switch grpcStatus(res) {
	case 2, 13, 14, 15:
		return true
	}
	return false
}
