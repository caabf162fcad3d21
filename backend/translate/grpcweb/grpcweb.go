// Package grpcweb lets clients of gRPC-Web, browsers above all, call a service of gRPC: the protocol of
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md, binary (application/grpc-web) and text
// (application/grpc-web-text, base64), each with or without a +codec.
//
// The messages are the same on both sides, in the same frames, so they pass by unread and are flushed as they come. What
// differs is the end: a browser cannot read trailers, so they follow the messages in a frame of their own, marked 0x80.
//
//	client   POST, application/grpc-web[-text]    ──▶  application/grpc, TE: trailers   service
//	         frames … frame 0x80 (the trailers)   ◀──  frames … trailers
//
// The status always stands in that last frame, also where the service answered with trailers only or the gateway refused:
// a page of another origin can read a body without leave, and a field only if CORS exposes it.
//
// A message is bounded in both directions, and refused by its announced length. A stream that the service breaks off
// between two messages ends with the status that says so; one broken off inside a message is broken off.
package grpcweb

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/backend"
	"github.com/sluice-gateway/sluice/backend/translate"
	wire "github.com/sluice-gateway/sluice/backend/translate/grpc"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
)

// Translator carries gRPC-Web to gRPC.
type Translator struct {
	Limit int // the largest message, either way, as it is on the wire; 0: none but 4 GiB
}

var _ translate.Translator = (*Translator)(nil)

const media = "application/grpc-web"

// form is what a Content-Type of gRPC-Web says.
type form struct {
	text  bool
	codec string // "+proto", or empty
}

// formOf reads the form; ok is false for another media type.
func formOf(h http.Header) (f form, ok bool) {
	v := h["Content-Type"]
	if len(v) == 0 {
		return f, false
	}
	rest, ok := strings.CutPrefix(v[0], media)
	if !ok {
		return f, false
	}
	if rest, f.text = strings.CutPrefix(rest, "-text"); rest == "" {
		return f, true
	}
	f.codec, _, _ = strings.Cut(rest, ";")
	f.codec = strings.TrimRight(f.codec, " \t")
	return f, rest[0] == '+' || rest[0] == ';'
}

func (f form) contentType() string {
	if f.text {
		return media + "-text" + f.codec
	}
	return media + f.codec
}

// Takes implements translate.Translator.
func (t *Translator) Takes(x *exchange.Exchange) bool { return Is(x.In) }

// Is tells a call of gRPC-Web.
func Is(in *http.Request) bool {
	_, ok := formOf(in.Header)
	return ok
}

// Answer implements translate.Translator.
func (t *Translator) Answer(ctx context.Context, x *exchange.Exchange, next backend.Backend) error {
	f, _ := formOf(x.In.Header)
	if x.In.Method != http.MethodPost {
		return errMethod
	}
	sent := t.rewriteRequest(x.Out, f)
	if err := next.Answer(ctx, x); err != nil {
		if f := sent.Failure(); f != nil {
			return f
		}
		return wire.Late(err, x.Start, timeoutOf(x.In.Header))
	}
	t.rewriteResponse(ctx, x, f, sent)
	return nil
}

// timeoutOf is the client's Grpc-Timeout, which the service is sent as it is. 0: none, or one for the service to refuse.
func timeoutOf(h http.Header) time.Duration {
	v := h["Grpc-Timeout"]
	if len(v) != 1 {
		return 0
	}
	d, _ := wire.ParseTimeout(v[0])
	return d
}

var errMethod = &failure.Error{
	Source: failure.Client, Kind: failure.HTTPRequestError, Status: http.StatusMethodNotAllowed,
	Detail: "A call is a POST.", Header: http.Header{"Allow": {http.MethodPost}},
}

// notOfGRPC are fields that speak of the HTTP message between a browser and us.
var notOfGRPC = [...]string{"X-Grpc-Web", "Accept", "Accept-Encoding"}

// rewriteRequest returns the client's frames, or nil if it sends none.
func (t *Translator) rewriteRequest(out *http.Request, f form) *wire.Incoming {
	for _, name := range notOfGRPC {
		delete(out.Header, name)
	}
	out.Header["Content-Type"] = []string{"application/grpc" + f.codec}
	out.Header["Te"] = []string{"trailers"}
	if out.Body == nil || out.Body == http.NoBody {
		return nil
	}
	sent := &wire.Incoming{Body: out.Body, From: out.Body, Scan: wire.Scanner{Limit: t.Limit}}
	if f.text {
		sent.From = &decoder{from: out.Body}
		out.ContentLength = -1
	}
	out.Body = sent
	return sent
}

func (t *Translator) rewriteResponse(ctx context.Context, x *exchange.Exchange, f form, sent *wire.Incoming) {
	from := x.Response
	header := from.Header
	a := (&wire.Outgoing{
		Exchange: x, Of: from, From: from.Body, Early: wire.Early(header), Sent: sent,
		Scan: wire.Scanner{Limit: t.Limit}, Timeout: timeoutOf(x.In.Header), End: endFrame,
	}).Begin(ctx)
	if status, refused := wire.Refused(from); refused {
		header = keptOfRefusal(header)
		a.Finish(status, nil)
	}
	for _, name := range ofTheEnd {
		delete(header, name)
	}
	header["Content-Type"] = []string{f.contentType()}
	x.Response = &http.Response{StatusCode: http.StatusOK, Header: header, ContentLength: -1, Body: a}
	if f.text {
		x.Response.Body = &encoder{from: a}
	}
}

// ofTheEnd are the fields of a gRPC answer's head that say something else of ours.
var ofTheEnd = [...]string{"Content-Length", "Trailer", "Grpc-Status", "Grpc-Message", "Grpc-Status-Details-Bin"}

// keptOfRefusal are the fields of an answer that was none of gRPC's which are of use to whoever gets a status instead.
func keptOfRefusal(h http.Header) http.Header {
	kept := make(http.Header, 3)
	for _, name := range [...]string{"Retry-After", "Www-Authenticate"} {
		if v := h[name]; v != nil {
			kept[name] = v
		}
	}
	return kept
}

// RenderFailure implements translate.Translator.
func (t *Translator) RenderFailure(x *exchange.Exchange, header http.Header) *http.Response {
	return RenderFailure(x, header)
}

// RenderFailure tells x.Failure to a client of gRPC-Web.
func RenderFailure(x *exchange.Exchange, header http.Header) *http.Response {
	f, _ := formOf(x.In.Header)
	header["Content-Type"] = []string{f.contentType()}
	end := endFrame(wire.Status{Code: wire.Code(x.Failure.GRPCStatus()), Message: x.Failure.Message()}, nil)
	if f.text {
		end = base64.StdEncoding.AppendEncode(nil, end)
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: header,
		Body: io.NopCloser(bytes.NewReader(end)), ContentLength: int64(len(end)),
	}
}

// endFrame is the frame of trailers: lines of HTTP/1.1 with names in lower case, the status first.
func endFrame(s wire.Status, trailer http.Header) []byte {
	frame := make([]byte, wire.HeaderBytes, 64)
	fields := make(http.Header, 3)
	s.Set(fields)
	frame = appendField(frame, "Grpc-Status", fields)
	frame = appendField(frame, "Grpc-Message", fields)
	frame = appendField(frame, "Grpc-Status-Details-Bin", fields)
	for _, name := range slices.Sorted(maps.Keys(trailer)) {
		if !wire.IsStatusField(name) {
			frame = appendField(frame, name, trailer)
		}
	}
	wire.PutHeader(frame, wire.Trailers)
	return frame
}

func appendField(to []byte, name string, h http.Header) []byte {
	for _, value := range h[name] {
		to = append(to, strings.ToLower(name)...)
		to = append(to, ": "...)
		to = append(to, value...)
		to = append(to, "\r\n"...)
	}
	return to
}
