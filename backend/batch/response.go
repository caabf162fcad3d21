package batch

import (
	"bytes"
	"encoding/base64"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/document"
	"github.com/sluice-gateway/sluice/failure"
)

// answer is that of one request.
type answer struct {
	status int
	header http.Header
	body   []byte
}

var errTooLong = &failure.Error{Source: failure.Upstream, Kind: failure.HTTPResponseBodySize, Detail: "The answer is too long for a batch."}

// take reads an answer while its exchange lives.
func (r *run) take(a *answer, method string, res *http.Response) error {
	a.status, a.header = res.StatusCode, res.Header.Clone()
	if res.Body == nil || method == http.MethodHead {
		return nil
	}
	limit := min(r.batch.AnswerBytes, r.batch.TotalBytes-r.bytes.Load())
	body, err := io.ReadAll(io.LimitReader(res.Body, max(limit, 0)+1))
	if err != nil {
		return err
	}
	if r.bytes.Add(int64(len(body))) > r.batch.TotalBytes || int64(len(body)) > r.batch.AnswerBytes {
		return errTooLong
	}
	a.body = body
	return nil
}

// failed makes the answer one of the gateway's own. Nothing of what had come is passed off as a whole.
func (a *answer) failed(f *failure.Error) {
	status := f.Code()
	b := strconv.AppendInt([]byte(`{"type":"about:blank","title":`+strconv.Quote(http.StatusText(status))+`,"status":`), int64(status), 10)
	if f.Detail != "" {
		b = document.AppendQuoted(append(b, `,"detail":`...), f.Detail)
	}
	b = document.AppendQuoted(append(b, `,"error":`...), string(f.Kind))
	*a = answer{status, http.Header{"Content-Type": {"application/problem+json"}}, append(b, '}')}
}

// response is the answer to the batch.
func (r *run) response() *http.Response {
	b := []byte(`{"responses":[`)
	for i := range r.answers {
		if i > 0 {
			b = append(b, ',')
		}
		b = r.answers[i].append(b, r.requests[i].id)
	}
	b = append(b, "]}\n"...)
	return &http.Response{
		StatusCode: http.StatusOK, ContentLength: int64(len(b)), Body: io.NopCloser(bytes.NewReader(b)),
		Header: http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}},
	}
}

func (a *answer) append(b []byte, id document.Value) []byte {
	b = append(b, '{')
	if id != nil {
		b = append(append(append(b, `"id":`...), id...), ',')
	}
	b = strconv.AppendInt(append(b, `"status":`...), int64(a.status), 10)
	b = append(b, `,"headers":{`...)
	open := len(b)
	for _, name := range slices.Sorted(maps.Keys(a.header)) {
		if name == "Content-Length" || len(a.header[name]) == 0 {
			continue
		}
		if len(b) > open {
			b = append(b, ',')
		}
		b = append(document.AppendQuoted(b, strings.ToLower(name)), ':')
		b = appendValues(b, a.header[name])
	}
	return append(a.appendBody(append(b, '}')), '}')
}

// appendValues appends one value as a string, several as an array.
func appendValues(b []byte, values []string) []byte {
	if len(values) == 1 {
		return document.AppendQuoted(b, values[0])
	}
	for i, value := range values {
		b = document.AppendQuoted(append(b, "[,"[min(i, 1)]), value)
	}
	return append(b, ']')
}

// appendBody appends the body as what it is: JSON as it came, text as a string, anything else in base64.
func (a *answer) appendBody(b []byte) []byte {
	if len(a.body) == 0 {
		return b
	}
	media, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	if document.IsJSON(media) {
		if v, err := document.Parse(a.body, document.MaxDepth-maxNesting); err == nil {
			return append(append(b, `,"body":`...), v...)
		}
	}
	if utf8.Valid(a.body) && a.header["Content-Encoding"] == nil {
		return document.AppendQuoted(append(b, `,"body":`...), string(a.body))
	}
	b = append(b, `,"bodyBase64":"`...)
	return append(base64.StdEncoding.AppendEncode(b, a.body), '"')
}
