package connect

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	wire "github.com/sluice-gateway/sluice/backend/translate/grpc"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
)

// coded is the cause of a failure that has a code finer than what its HTTP status tells.
type coded wire.Code

func (c coded) Error() string { return wire.Code(c).String() }

// refuse is a call that cannot be taken, for a reason that the protocol has a code for.
func refuse(code wire.Code, detail string) *failure.Error {
	f := failure.Request(code.HTTP(), detail)
	f.Err = coded(code)
	return f
}

// codeOf is the code of a failure. 405 and 415 have none in the protocol's table: clients make it unknown.
func codeOf(f *failure.Error) wire.Code {
	if c, ok := errors.AsType[coded](f.Err); ok {
		return wire.Code(c)
	}
	switch f.Code() {
	case http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType:
		return wire.Unknown
	}
	return wire.Code(f.GRPCStatus())
}

// RenderFailure implements translate.Translator.
func (t *Translator) RenderFailure(x *exchange.Exchange, header http.Header) *http.Response {
	return RenderFailure(x, header)
}

// RenderFailure tells x.Failure to a client of Connect. A unary call's failure keeps its HTTP status: caches, logs and
// proxies read that, clients of Connect read the code.
func RenderFailure(x *exchange.Exchange, header http.Header) *http.Response {
	s := wire.Status{Code: codeOf(x.Failure), Message: x.Failure.Message()}
	if x.In.Method == http.MethodPost && strings.HasPrefix(first(x.In.Header, "Content-Type"), streaming) {
		header["Content-Type"] = []string{mediaOf(x.In.Header)}
		return whole(http.StatusOK, header, endFrame(s, nil))
	}
	return refusal(x.Failure.Code(), header, s)
}

func mediaOf(h http.Header) string {
	contentType, _, _ := strings.Cut(first(h, "Content-Type"), ";")
	return strings.TrimRight(contentType, " \t")
}

// refusal is the answer to a unary call that failed.
func refusal(status int, header http.Header, s wire.Status) *http.Response {
	header["Content-Type"] = []string{"application/json"}
	body, err := json.Marshal(errorOf(s))
	if err != nil { // strings only: nothing can
		body = []byte(`{"code":"internal"}`)
	}
	return whole(status, header, body)
}

func whole(status int, header http.Header, body []byte) *http.Response {
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body))}
}

// problem is an error as Connect writes it.
type problem struct {
	Code    string   `json:"code"`
	Message string   `json:"message,omitempty"`
	Details []detail `json:"details,omitempty"`
}

type detail struct {
	Type  string `json:"type"`
	Value string `json:"value"` // base64 without padding
}

func errorOf(s wire.Status) *problem {
	return &problem{Code: nameOf(s.Code), Message: s.Message, Details: detailsOf(s.Details)}
}

// nameOf is the code as Connect spells it.
func nameOf(c wire.Code) string {
	if c == wire.Canceled {
		return "canceled"
	}
	return strings.ToLower(c.String())
}

const (
	maxDetails    = 64
	statusDetails = 3 // google.rpc.Status: repeated Any details
	anyType       = 1 // google.protobuf.Any: string type_url
	anyValue      = 2 // bytes value
)

// detailsOf reads the details of a serialized google.rpc.Status. What cannot be read is left out.
func detailsOf(status []byte) (details []detail) {
	for len(status) > 0 && len(details) < maxDetails {
		number, value, rest := field(status)
		if rest == nil {
			break
		}
		if status = rest; number == statusDetails {
			details = append(details, detailOf(value))
		}
	}
	return details
}

func detailOf(message []byte) (d detail) {
	for len(message) > 0 {
		number, value, rest := field(message)
		if rest == nil {
			break
		}
		switch message = rest; number {
		case anyType:
			url := strings.ToValidUTF8(string(value), "\uFFFD")
			d.Type = url[strings.LastIndexByte(url, '/')+1:]
		case anyValue:
			d.Value = base64.RawStdEncoding.EncodeToString(value)
		}
	}
	return d
}

// field takes the next field off a message. Value is empty for all but strings, bytes and messages; rest is nil if there
// is no field to be had.
func field(message []byte) (number protowire.Number, value, rest []byte) {
	number, kind, n := protowire.ConsumeTag(message)
	if n < 0 {
		return 0, nil, nil
	}
	message = message[n:]
	if kind == protowire.BytesType {
		value, n = protowire.ConsumeBytes(message)
	} else {
		n = protowire.ConsumeFieldValue(number, kind, message)
	}
	if n < 0 {
		return 0, nil, nil
	}
	return number, value, message[n:]
}

// endFrame is the last frame of a stream: the error, if there is one, and the trailers.
func endFrame(s wire.Status, trailer http.Header) []byte {
	var end struct {
		Error    *problem            `json:"error,omitempty"`
		Metadata map[string][]string `json:"metadata,omitempty"`
	}
	if s.Code != wire.OK {
		end.Error = errorOf(s)
	}
	for name, values := range trailer {
		if wire.IsStatusField(name) || len(values) == 0 {
			continue
		}
		if end.Metadata == nil {
			end.Metadata = make(map[string][]string, len(trailer))
		}
		end.Metadata[strings.ToLower(name)] = values
	}
	body, err := json.Marshal(&end)
	if err != nil { // strings only: nothing can
		body = []byte(`{"error":{"code":"internal"}}`)
	}
	return append(wire.AppendHeader(make([]byte, 0, wire.HeaderBytes+len(body)), wire.EndStream, len(body)), body...)
}
