package grpc

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
)

// Incoming is the frames of a client as the service reads them. They are looked at as they pass. What is wrong with them
// is the client's doing, and is remembered, since who forwards them only learns that no more came.
type Incoming struct {
	Body io.Closer
	From io.Reader // Body, or what it decodes to
	Scan Scanner

	failed atomic.Pointer[failure.Error]
}

func (r *Incoming) Read(p []byte) (int, error) {
	if f := r.failed.Load(); f != nil {
		return 0, f
	}
	n, err := r.From.Read(p)
	if wrong := r.Scan.Pass(p[:n]); wrong != nil {
		return 0, r.fail(Malformed(wrong))
	}
	if err == io.EOF && !r.Scan.Between() {
		return 0, r.fail(Malformed(ErrHalfFrame))
	}
	if f, ok := errors.AsType[*failure.Error](err); ok {
		return n, r.fail(f)
	}
	return n, err
}

func (r *Incoming) Close() error { return r.Body.Close() }

func (r *Incoming) fail(f *failure.Error) error {
	r.failed.CompareAndSwap(nil, f)
	return r.failed.Load()
}

// Failure is why the client's frames came to no good end, or nil. It is safe on nil.
func (r *Incoming) Failure() *failure.Error {
	if r == nil {
		return nil
	}
	return r.failed.Load()
}

// Malformed is the failure of a client whose frames are not as they should be.
func Malformed(err error) *failure.Error {
	status := http.StatusBadRequest
	if _, tooLarge := errors.AsType[*TooLargeError](err); tooLarge {
		status = http.StatusRequestEntityTooLarge
	}
	f := failure.Request(status, "The call cannot be read: "+err.Error()+".")
	f.Err = err
	return f
}

// Broken is the failure of a service whose frames are not as they should be.
func Broken(err error) *failure.Error {
	return &failure.Error{Source: failure.Upstream, Kind: failure.HTTPResponseIncomplete, Err: err}
}

// Late is err, or that the time is up if the service failed after it was: services of gRPC reset a call whose deadline has
// passed, and may be quicker than our own clock. A timeout of 0 is none.
func Late(err error, start time.Time, timeout time.Duration) error {
	f := failure.From(err)
	if f == nil || f.Source != failure.Upstream || timeout == 0 || time.Since(start) < timeout {
		return err
	}
	return &failure.Error{Source: failure.Upstream, Kind: failure.HTTPResponseTimeout, Err: err}
}

// Outgoing is the answer of a service as the client reads it: the frames, and then the end in one more, for clients that
// have no trailers to read it from.
//
// If the service breaks off between two messages, the end says so. Inside a message the client is broken off too: there
// is no place in it to say anything.
type Outgoing struct {
	Exchange *exchange.Exchange
	Of       *http.Response // the service's; its trailers are there when its body has ended
	From     io.ReadCloser  // its body, or what that is converted to
	Early    Status         // holds if the trailers bring none
	Sent     *Incoming      // the client's frames, which may be why the service breaks off; may be nil
	Scan     Scanner
	Timeout  time.Duration                    // the client's, from the start of the exchange; 0: none
	End      func(Status, http.Header) []byte // makes the last frame

	ctx   context.Context
	ended bool
	end   []byte // what is left of the last frame
}

// Begin makes the answer ready to be read, as long as ctx lasts.
func (a *Outgoing) Begin(ctx context.Context) *Outgoing {
	a.ctx = ctx
	return a
}

// Finish ends the answer without reading more of the service's.
func (a *Outgoing) Finish(s Status, trailer http.Header) { a.ended, a.end = true, a.End(s, trailer) }

func (a *Outgoing) Read(p []byte) (int, error) {
	for !a.ended {
		n, err := a.From.Read(p)
		if wrong := a.Scan.Pass(p[:n]); wrong != nil {
			return 0, Broken(wrong)
		}
		if err != nil {
			if err = a.over(err); err != nil {
				return n, err
			}
		}
		if n > 0 {
			return n, nil
		}
	}
	n := copy(p, a.end)
	if a.end = a.end[n:]; len(a.end) == 0 {
		return n, io.EOF
	}
	return n, nil
}

// over ends the answer when the service's has ended, well or not. Its error means that the client cannot be told.
func (a *Outgoing) over(err error) error {
	if err == io.EOF {
		if !a.Scan.Between() {
			return Broken(ErrHalfFrame)
		}
		status, found := StatusOf(a.Of.Trailer)
		if !found {
			status = a.Early
		}
		a.Finish(status, a.Of.Trailer)
		return nil
	}
	err = Late(err, a.Exchange.Start, a.Timeout)
	if f := a.Sent.Failure(); f != nil {
		err = f
	}
	f := failure.From(err)
	if !a.Scan.Between() || f.Kind == failure.ClientGone || a.ctx.Err() != nil {
		return err
	}
	a.Exchange.Fail(a.ctx, err)
	a.Finish(Status{Code: Code(f.GRPCStatus()), Message: f.Message()}, nil)
	return nil
}

func (a *Outgoing) Close() error { return a.From.Close() }

// Between reports whether what was read so far ends with a whole frame.
func (a *Outgoing) Between() bool {
	return a.ended && len(a.end) == 0 || !a.ended && a.Scan.Between()
}
