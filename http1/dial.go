package http1

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"syscall"

	"github.com/sluice-gateway/sluice/failure"
)

// dialFailure says why there is no connection. Nothing was sent, so trying again is always safe.
func dialFailure(ctx context.Context, err error) error {
	if f, ok := errors.AsType[*failure.Error](err); ok {
		return f
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		f := cancelled(ctx)
		f.RetrySafe = true
		return f
	}
	return &failure.Error{Source: failure.Upstream, Kind: dialKind(err), RetrySafe: true, Err: err}
}

func dialKind(err error) failure.Kind {
	var (
		name    *net.DNSError
		cert    *tls.CertificateVerificationError
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		record  tls.RecordHeaderError
		alert   tls.AlertError
		timeout interface{ Timeout() bool }
	)
	switch {
	case errors.As(err, &name) && name.IsTimeout:
		return failure.DNSTimeout
	case name != nil:
		return failure.DNSError
	case errors.As(err, &cert), errors.As(err, &unknown), errors.As(err, &host):
		return failure.TLSCertificateError
	case errors.As(err, &record), errors.As(err, &alert):
		return failure.TLSProtocolError
	case errors.As(err, &timeout) && timeout.Timeout():
		return failure.ConnectionTimeout
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return failure.ConnectionTerminated
	}
	return failure.ConnectionRefused
}
