package discovery

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client is the HTTP client of a source. It follows no redirect, uses no proxy from the environment, and has one
// connection to spare. Timeout 0 leaves the time to each request's context.
func Client(settings *tls.Config, timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSClientConfig:        settings,
			TLSHandshakeTimeout:    5 * time.Second,
			MaxIdleConns:           1,
			IdleConnTimeout:        2 * time.Minute,
			MaxResponseHeaderBytes: 64 << 10,
		},
	}
}

// ReadBody reads an answer's body, refusing one that is larger than limit. Compression is undone before that counts.
func ReadBody(res *http.Response, limit int) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(res.Body, int64(limit)+1))
	if err != nil {
		return nil, Plain(err)
	}
	if len(data) > limit {
		return nil, fmt.Errorf("the answer has more than %d MiB", limit>>20)
	}
	return data, nil
}

// WithoutQuery is a URL as messages may show it.
func WithoutQuery(s string) string {
	before, _, _ := strings.Cut(s, "?")
	return before
}

// Plain is an error of a client without the URL, whose query may hold what nobody should see.
func Plain(err error) error {
	if at, ok := errors.AsType[*url.Error](err); ok {
		err = at.Err
	}
	return fmt.Errorf("no answer: %w", err)
}
