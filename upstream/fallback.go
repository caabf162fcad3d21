package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/telemetry"
	"github.com/sluice-gateway/sluice/upstream/lastgood"
)

// Fallback is what answers in place of a service whose circuit breaker is open, or none of whose endpoints may be used.
// The last good answer comes first, then the other service, then the answer of the configuration. A call that had an
// attempt does not fall back: what that said is the answer.
type Fallback struct {
	LastGood time.Duration // how old a last good answer may be; 0: none is given
	Service  string        // bound by FallBackTo; empty: none
	Status   int           // 0: none
	Header   http.Header   // of the answer; never changed
	Body     string
}

// Do sends a request to the service and returns its answer as soon as the head has arrived, or a *failure.Error. The
// answer's Body is never nil and must be closed; that of a 101 is an io.ReadWriteCloser. Until then ctx governs the
// exchange: when it ends, the request to the service is given up.
func (s *Service) Do(ctx context.Context, call *Call) (*http.Response, error) {
	if s.spec.Fallback == nil {
		return s.ask(ctx, call)
	}
	key := s.lastGoodKey(call)
	attempts := len(call.Attempts)
	res, err := s.ask(ctx, call)
	switch {
	case err == nil:
		if key != "" {
			s.lastGood.Keep(key, res)
		}
	case len(call.Attempts) == attempts && unasked(err):
		if instead, ok, fallErr := s.fallBack(ctx, call, key, err); ok {
			return instead, fallErr
		}
	}
	return res, err
}

// unasked reports whether there was nobody to ask: the breaker is open, or no endpoint may be used.
func unasked(err error) bool { return errors.Is(err, errBreakerOpen) || err == errNoEndpoint }

// lastGoodKey is what the answer to a call is kept under; empty: it is not. Only what nobody in particular asks for is:
// the gateway may have taken the credentials off the request before it came here.
func (s *Service) lastGoodKey(call *Call) string {
	if s.lastGood == nil || !call.Anonymous || len(call.Lines) > 0 || call.Reads != nil {
		return ""
	}
	return lastgood.Key(call.Request)
}

// InLastGoodKey reports whether answers that differ by a field of their requests are told apart, so that a call with it may be
// Anonymous whoever said it.
func InLastGoodKey(name string) bool { return lastgood.Keyed(name) }

// TakesLines reports whether a call's Lines and Reads may leave fields out of the headers. Whether an answer may be kept as a
// last good one, and what under, is read from them: here, and by any service that may answer in place of this one.
func (s *Service) TakesLines() bool {
	return s.lastGood == nil && (s.other == nil || s.other.TakesLines())
}

// fallBack answers in place of the service; ok is false if nothing can.
func (s *Service) fallBack(ctx context.Context, call *Call, key string, why error) (res *http.Response, ok bool, err error) {
	f := s.spec.Fallback
	if s.lastGood != nil {
		if res, ok := s.lastGood.Get(key, f.LastGood); ok {
			s.spec.Series.FellBack(telemetry.FallbackLastGood)
			res.Request = call.Request
			return res, true, nil
		}
	}
	switch {
	case s.other != nil:
		s.spec.Series.FellBack(telemetry.FallbackService)
		elsewhere := *call
		if s.spec.Balance.Policy == "sticky" {
			elsewhere.HashKey = "" // a token says nothing there
		}
		res, err := s.other.Do(ctx, &elsewhere)
		call.Attempts = elsewhere.Attempts // and no Token: the client comes back to this service
		return res, true, err
	case f.Status != 0:
		s.spec.Series.FellBack(telemetry.FallbackAnswer)
		return f.answer(call.Request, why), true, nil
	}
	return nil, false, nil
}

// answer is the configured one. A 503 says when to come again, as without a fallback.
func (f *Fallback) answer(r *http.Request, why error) *http.Response {
	header := f.Header.Clone()
	if header == nil {
		header = make(http.Header)
	}
	if cause := failure.From(why); f.Status == http.StatusServiceUnavailable && header["Retry-After"] == nil {
		if after := cause.Header["Retry-After"]; after != nil {
			header["Retry-After"] = slices.Clone(after)
		}
	}
	return &http.Response{
		Status: strconv.Itoa(f.Status) + " " + http.StatusText(f.Status), StatusCode: f.Status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, ContentLength: int64(len(f.Body)), Body: io.NopCloser(bytes.NewReader([]byte(f.Body))),
		Request: r,
	}
}

// FallBackTo says which service Fallback.Service is. It is called before the service is in force.
func (s *Service) FallBackTo(other *Service) { s.other = other }

// newLastGood makes the cache of last good answers, or takes it over from prev; nil: there is none.
func (s *Service) newLastGood(prev *Service) *lastgood.Cache {
	switch {
	case s.spec.Fallback == nil || s.spec.Fallback.LastGood == 0:
		return nil
	case prev != nil && prev.lastGood != nil:
		return prev.lastGood
	}
	return lastgood.New()
}
