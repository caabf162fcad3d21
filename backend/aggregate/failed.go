package aggregate

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/template"
)

// fail is what becomes of a call that failed. Required: the whole fails, and what is under way is given up. Else its
// fallback stands in, or it is left out; the array of a ForEach has its holes filled already.
func (r *run) fail(q *plan, s *state, err *failure.Error) {
	s.failure = err
	if q.Required {
		if r.whole.CompareAndSwap(nil, &verdict{whole(q, err), q.Service.Name()}) {
			r.scope.Cancel()
		}
		return
	}
	if s.value == nil {
		s.value = q.Fallback
	}
}

// whole is the failure of the whole for that of a required call. A 4xx of the service keeps its status, and so does a request
// that lacks what the call refers to; time that ran out is a 504; everything else is a 502. Nothing the service said is
// passed on but the challenge that a 401 must carry.
func whole(q *plan, err *failure.Error) *failure.Error {
	f := &failure.Error{Source: err.Source, Kind: err.Kind, Status: http.StatusBadGateway, Err: err, Header: http.Header{
		"X-Aggregate-Completed": {"false"}, "X-Aggregate-Failed": {q.Name},
	}}
	switch code := err.Code(); {
	case err.Kind == failure.HTTPRequestError && 400 <= code && code < 500:
		f.Status = code
	case code == http.StatusGatewayTimeout:
		f.Status = code
	}
	if challenge := err.Header["Www-Authenticate"]; challenge != nil && f.Status == http.StatusUnauthorized {
		f.Header["Www-Authenticate"] = challenge
	}
	f.Detail = "The call " + q.Name + " failed."
	if err.Detail != "" {
		f.Detail = "The call " + q.Name + " failed: " + err.Detail
	}
	return f
}

// answered is the failure of an answer by its status alone. 407 is about the way to a proxy, and we are no client's.
func answered(res *http.Response) *failure.Error {
	f := &failure.Error{Source: failure.Upstream, Kind: failure.HTTPProtocolError, Status: http.StatusBadGateway,
		Detail: "The service answered " + strconv.Itoa(res.StatusCode) + "."}
	if code := res.StatusCode; 400 <= code && code < 500 && code != http.StatusProxyAuthRequired {
		f.Kind, f.Status = failure.HTTPRequestError, code
		if challenge := res.Header["Www-Authenticate"]; challenge != nil && code == http.StatusUnauthorized {
			f.Header = http.Header{"Www-Authenticate": slices.Clone(challenge)} // which outlives the answer
		}
	}
	return f
}

// astray is the failure of a path that a value leads elsewhere. If all its values are the request's, the client is at fault.
func (q *plan) astray() *failure.Error {
	const detail = "A value makes the path lead elsewhere."
	for _, r := range q.target.References() {
		if !isClients(r) {
			return &failure.Error{Source: failure.Upstream, Kind: failure.HTTPProtocolError, Detail: detail, Err: errPath}
		}
	}
	return failure.Request(http.StatusBadRequest, detail)
}

// isClients reports whether what a reference finds is the request's.
func isClients(r *template.Reference) bool {
	return !r.IsExternal() || r.Slot == template.Captured || r.Slot == slotBody
}

// unfilled is the failure of a text with a reference that found nothing. If it is to the request, the client is at fault.
func unfilled(err error) *failure.Error {
	ref, ok := errors.AsType[*template.Error](err)
	if !ok {
		return failure.From(err)
	}
	detail := strings.ToUpper(ref.Error()[:1]) + ref.Error()[1:] + "."
	if isClients(ref.Reference) {
		return failure.Request(http.StatusBadRequest, detail)
	}
	return &failure.Error{Source: failure.Upstream, Kind: failure.HTTPProtocolError, Detail: detail}
}
