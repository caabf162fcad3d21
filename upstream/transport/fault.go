package transport

//lint:file-ignore SA1019 see pool.go

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"golang.org/x/net/http2"

	"github.com/sluice-gateway/sluice/failure"
)

// dialFailure names what kept a connection from being made.
func dialFailure(err error) *failure.Error {
	f := &failure.Error{Source: failure.Upstream, RetrySafe: true, Err: err}
	dns, isDNS := errors.AsType[*net.DNSError](err)
	switch {
	case isDNS && dns.IsTimeout:
		f.Kind, f.Detail = failure.DNSTimeout, "The name of the service's endpoint could not be resolved in time."
	case isDNS:
		f.Kind, f.Detail = failure.DNSError, "The name of the service's endpoint could not be resolved."
	case isTimeout(err):
		f.Kind, f.Detail = failure.ConnectionTimeout, "The service could not be connected to in time."
	case errors.Is(err, syscall.ECONNRESET):
		f.Kind, f.Detail = failure.ConnectionTerminated, "The service closed the connection."
	default: // refused; no route; a socket that is not there or not ours to open
		f.Kind, f.Detail = failure.ConnectionRefused, "The service could not be connected to."
	}
	return f
}

// handshakeFailure names what kept TLS from being spoken on a connection that was made.
func handshakeFailure(err error) *failure.Error {
	f := &failure.Error{Source: failure.Upstream, RetrySafe: true, Err: err}
	switch {
	case isTimeout(err):
		f.Kind, f.Detail = failure.ConnectionTimeout, "The service could not be connected to in time."
	case isCertificate(err):
		f.Kind, f.Detail = failure.TLSCertificateError, "The service's certificate was not accepted."
	default:
		f.Kind, f.Detail = failure.TLSProtocolError, "TLS with the service failed."
	}
	return f
}

func isCertificate(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, name := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	return verification || unknown || name || invalid
}

func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout()
}

// phase is how far a request had come when it failed.
type phase uint8

const (
	unconnected phase = iota // no connection was had yet
	connected                // it had one, and nothing of it was written
	written                  // some of it may have reached the other side
)

// tripFailure names what kept the answer of a request from beginning.
func tripFailure(ctx context.Context, err error, at phase) *failure.Error {
	if f, ok := errors.AsType[*failure.Error](err); ok {
		return f
	}
	f := &failure.Error{Source: failure.Upstream, RetrySafe: at == unconnected || refused(err), Err: err}
	switch {
	case ctx.Err() != nil && at == unconnected:
		f.Kind, f.Detail = failure.ConnectionTimeout, "The service could not be connected to in time."
	case ctx.Err() != nil || isTimeout(err) && !errors.Is(err, syscall.ETIMEDOUT): // that is the system giving up
		f.Kind, f.Detail = failure.HTTPResponseTimeout, "The service did not answer in time."
	case isHeaderSize(err):
		f.Kind, f.Detail = failure.HTTPResponseHeaderSize, "The head of the service's answer is too large."
	case isAlert(err): // with TLS 1.3 a refused client certificate is told only now
		f.Kind, f.Detail = failure.TLSProtocolError, "TLS with the service failed."
	case isTermination(err):
		f.Kind, f.Detail = failure.ConnectionTerminated, "The service closed the connection before it answered."
		f.RetrySafe = f.RetrySafe || at == connected
	default:
		f.Kind, f.Detail = failure.HTTPProtocolError, "The service's answer is not valid HTTP."
	}
	return f
}

// isAlert reports whether TLS ended by an alert, which crypto/tls tells by the Op alone.
func isAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && (op.Op == "remote error" || op.Op == "local error")
}

// isTermination reports whether the connection, or the stream, ended under the request.
func isTermination(err error) bool {
	for _, end := range [...]error{io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed, syscall.ECONNRESET,
		syscall.EPIPE, syscall.ECONNABORTED, syscall.ETIMEDOUT, syscall.EHOSTUNREACH, syscall.ENETUNREACH} {
		if errors.Is(err, end) {
			return true
		}
	}
	if reset, ok := errors.AsType[http2.StreamError](err); ok { // or x/net's own, over an answer that is malformed
		return reset.Cause != nil && says(reset.Cause, fromPeer)
	}
	if _, away := errors.AsType[http2.GoAwayError](err); away {
		return true
	}
	return says(err, "server closed idle connection", "client connection lost", "client conn is closed", goneAway, unusable)
}

// refused reports whether the other side says that it did nothing with the request: REFUSED_STREAM, or a GOAWAY with a
// lower stream (RFC 9113 section 8.7).
func refused(err error) bool {
	if reset, ok := errors.AsType[http2.StreamError](err); ok {
		return reset.Code == http2.ErrCodeRefusedStream
	}
	return says(err, goneAway, unusable)
}

func isHeaderSize(err error) bool {
	return says(err, "server response headers exceeded", "response header list larger than", "1xx informational response")
}

// What net/http and x/net/http2 tell by text only. A test meets each of them on the wire, so a new wording is noticed.
const (
	goneAway = "received Server's graceful shutdown GOAWAY"
	unusable = "client conn not usable"
	fromPeer = "received from peer"
)

func says(err error, texts ...string) bool {
	said := err.Error()
	for _, text := range texts {
		if strings.Contains(said, text) {
			return true
		}
	}
	return false
}

// ClientGone is the failure of a request whose context has ended: whatever else broke, broke because of it. A deadline of
// that context is the caller's, and no service is to blame for it either.
func ClientGone(ctx context.Context, err error) *failure.Error {
	if f, ok := errors.AsType[*failure.Error](context.Cause(ctx)); ok {
		return f
	}
	return &failure.Error{Source: failure.Client, Kind: failure.ClientGone, Err: err}
}

// bodyFailure is the failure of an answer that broke off.
func bodyFailure(err error) *failure.Error {
	if f, ok := errors.AsType[*failure.Error](err); ok {
		return f
	}
	return &failure.Error{
		Source: failure.Upstream, Kind: failure.HTTPResponseIncomplete, Detail: "The service broke its answer off.", Err: err,
	}
}
