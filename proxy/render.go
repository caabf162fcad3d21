package proxy

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/backend"
	"github.com/sluice-gateway/sluice/backend/translate/connect"
	"github.com/sluice-gateway/sluice/backend/translate/grpcweb"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
)

// problem is the body of every failure, RFC 9457. It never holds an address, a stack or a cause: those are for the log,
// where the request id finds them.
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail,omitempty"`
	Error     string `json:"error"`
	RequestID string `json:"requestId,omitempty"`
}

// render makes the answer that tells x.Failure to the client, in the way the client reads failures. A route whose
// clients speak a protocol of their own is asked first.
func (l *life) render() *http.Response {
	x, f := l.x, l.x.Failure
	header := make(http.Header, 8)
	for name, values := range f.Header {
		header[http.CanonicalHeaderKey(name)] = values
	}
	header["Proxy-Status"] = []string{proxyStatus(f)}
	if l.route != nil {
		if r, ok := l.route.Backend.(backend.FailureRenderer); ok {
			if res := r.RenderFailure(x, header); res != nil {
				return res
			}
		}
	}
	switch {
	case isGRPC(x.In.Header):
		return renderGRPC(x, f, header)
	case grpcweb.Is(x.In): // its service may speak that itself
		return grpcweb.RenderFailure(x, header)
	case connect.Is(x.In):
		return connect.RenderFailure(x, header)
	}
	return renderProblem(x, f, header)
}

func renderProblem(x *exchange.Exchange, f *failure.Error, header http.Header) *http.Response {
	status := f.Code()
	body, err := json.Marshal(problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status,
		Detail: f.Detail, Error: string(f.Kind), RequestID: x.RequestID,
	})
	if err != nil { // strings and an int: only a bug could
		body = []byte("{}")
	}
	body = append(body, '\n')
	header["Content-Type"] = []string{"application/problem+json"}
	header["Cache-Control"] = []string{"no-store"}
	if status == http.StatusServiceUnavailable && header["Retry-After"] == nil {
		header["Retry-After"] = []string{"1"}
	}
	return &http.Response{
		StatusCode: status, Header: header,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// renderGRPC tells a failure in an answer of trailers only: HTTP 200 and a status (the gRPC protocol over HTTP/2).
// The media type is the client's own, with its codec: some clients take another for no answer of gRPC's.
func renderGRPC(x *exchange.Exchange, f *failure.Error, header http.Header) *http.Response {
	media, _, _ := strings.Cut(first(x.In.Header, "Content-Type"), ";")
	header["Content-Type"] = []string{media}
	header["Grpc-Status"] = []string{strconv.Itoa(f.GRPCStatus())}
	header["Grpc-Message"] = []string{percentEncode(f.Message())}
	return &http.Response{StatusCode: http.StatusOK, Header: header, Body: http.NoBody}
}

// percentEncode writes a grpc-message: printable ASCII but '%' stands as it is.
func percentEncode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			const digits = "0123456789ABCDEF"
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

// proxyStatus says in one structured field (RFC 9209) what failed; the detail is ours and holds no quotes.
func proxyStatus(f *failure.Error) string {
	s := "sluice; error=" + string(f.Kind)
	if f.Detail != "" {
		s += `; details="` + strings.Map(quotable, f.Detail) + `"`
	}
	return s
}

// quotable keeps what a structured field's string may hold unescaped (RFC 8941 section 3.3.3).
func quotable(r rune) rune {
	if r < ' ' || r > '~' || r == '"' || r == '\\' {
		return '\''
	}
	return r
}

// finishHead adds what every answer carries.
func (l *life) finishHead() {
	r := l.x.Response
	if r.Header == nil {
		r.Header = make(http.Header, 4)
	}
	if lines := l.x.ResponseLines(); lines != nil {
		delete(r.Header, "X-Request-Id")
		*lines = exchange.AppendLine(*lines, "X-Request-Id", l.x.RequestID)
		return
	}
	r.Header["X-Request-Id"] = l.one(l.x.RequestID)
	if _, dated := r.Header["Date"]; !dated && (l.x.Reads == nil || r.StatusCode == http.StatusSwitchingProtocols) { // else the engine knows whether it is
		r.Header["Date"] = []string{time.Now().UTC().Format(http.TimeFormat)}
	}
}
