package transcode

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-gateway/sluice/backend/translate/grpc"
	"github.com/sluice-gateway/sluice/backend/translate/jsonwire"
	"github.com/sluice-gateway/sluice/failure"
)

// maxQuery is how many parameters a query may have.
const maxQuery = 1000

// unary makes the one message of a call, framed, of body, path and query.
func (c *call) unary() error {
	c.frame = append(c.frame[:0], make([]byte, grpc.HeaderBytes)...)
	if c.op.body != noBody {
		if err := c.readBody(); err != nil {
			return err
		}
		if err := c.appendBody(c.body); err != nil {
			return err
		}
	}
	if err := c.appendParams(); err != nil {
		return err
	}
	return c.closeFrame()
}

func (c *call) closeFrame() error {
	if limit := c.translator.options.MessageBytes; limit > 0 && len(c.frame)-grpc.HeaderBytes > limit {
		return tooLarge(limit)
	}
	grpc.PutHeader(c.frame, 0)
	return nil
}

func tooLarge(limit int) *failure.Error {
	return failure.Request(http.StatusRequestEntityTooLarge, fmt.Sprintf("The message is over the limit of %d bytes.", limit))
}

// readBody reads the whole body. JSON may be some times as long as the message it stands for, but not without bound.
func (c *call) readBody() error {
	if err := acceptable(c.x.In.Header); err != nil {
		return err
	}
	if !c.op.rawIn && saysOtherThanJSON(c.media) {
		return errMedia
	}
	limit := int64(c.translator.options.MessageBytes)
	if !c.op.rawIn {
		limit *= jsonRatio
	}
	if limit > 0 && c.x.In.ContentLength > limit {
		return tooLarge(int(limit))
	}
	from := c.x.Out.Body
	if from == nil {
		return nil
	}
	if n := c.x.In.ContentLength; n > 0 && int64(cap(c.body)) <= n && n < maxKept {
		c.body = make([]byte, 0, n+1)
	}
	for {
		if len(c.body) == cap(c.body) {
			c.body = append(c.body, 0)[:len(c.body)]
		}
		n, err := from.Read(c.body[len(c.body):cap(c.body)])
		c.body = c.body[:len(c.body)+n]
		if limit > 0 && int64(len(c.body)) > limit {
			return tooLarge(int(limit))
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// jsonRatio is how much longer JSON may be than messageBytes, which is about the message: names and quotes take room.
const jsonRatio = 4

// acceptable refuses a body that is packed: nobody has unpacked it, and it would be told as broken JSON.
func acceptable(h http.Header) error {
	for _, encoding := range h["Content-Encoding"] {
		if encoding != "" && !strings.EqualFold(encoding, "identity") {
			return failure.Request(http.StatusUnsupportedMediaType, "The body must not be compressed.")
		}
	}
	return nil
}

// appendBody appends what one value of the body, or all of it, says.
func (c *call) appendBody(body []byte) (err error) {
	op := c.op
	switch {
	case op.rawIn && op.body == wholeBody:
		c.frame = appendRaw(c.frame, c.media, body)
	case op.rawIn:
		c.scratch = appendRaw(c.scratch[:0], c.media, body)
		c.frame = op.bodyField.AppendBytes(c.frame, c.scratch)
	case isBlank(body): // as good as {}
	case op.body == wholeBody:
		c.frame, err = op.input.AppendWire(c.frame, body)
	default:
		c.frame, err = op.bodyField.AppendWire(c.frame, body)
	}
	return misfit(err, "The body does not fit: ")
}

func isBlank(b []byte) bool {
	for _, c := range b {
		if c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return false
		}
	}
	return true
}

// Fields of google.api.HttpBody.
const rawType, rawData = 1, 2

func appendRaw(to []byte, contentType string, data []byte) []byte {
	if contentType != "" {
		to = protowire.AppendString(protowire.AppendTag(to, rawType, protowire.BytesType), contentType)
	}
	if len(data) > 0 {
		to = protowire.AppendBytes(protowire.AppendTag(to, rawData, protowire.BytesType), data)
	}
	return to
}

// mediaOf is the type of a request's body.
func mediaOf(h http.Header) string {
	if v := h["Content-Type"]; len(v) > 0 {
		return strings.ToValidUTF8(v[0], "")
	}
	return ""
}

// misfit is the failure of an input that does not fit the message.
func misfit(err error, what string) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*jsonwire.Error](err); ok {
		return failure.Request(http.StatusBadRequest, what+e.Error()+".")
	}
	return err
}

// appendParams appends what the path and the query say.
func (c *call) appendParams() error {
	for i, p := range c.op.variables {
		value, ok := c.match.Variable(i)
		if !ok {
			return failure.Request(http.StatusBadRequest, "The path is not percent-encoded right.")
		}
		if err := c.appendVariable(p, value); err != nil {
			return misfit(err, "The path does not fit: ")
		}
	}
	if c.op.body == wholeBody || c.query == "" {
		return nil
	}
	return c.appendQuery(c.query)
}

// appendVariable appends a variable of the path; for a repeated field its values are joined by commas.
func (c *call) appendVariable(p jsonwire.Param, value string) (err error) {
	if !p.Repeated() {
		c.frame, err = p.AppendText(c.frame, value)
		return err
	}
	for part := range strings.SplitSeq(value, ",") {
		if c.frame, err = p.AppendText(c.frame, part); err != nil {
			return err
		}
	}
	return nil
}

func (c *call) appendQuery(query string) error {
	c.params = c.params[:0]
	count := 0
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		if count++; count > maxQuery {
			return failure.Request(http.StatusBadRequest, fmt.Sprintf("The query has more than %d parameters.", maxQuery))
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := unescape(name)
		if err == nil {
			value, err = unescape(value)
		}
		if err != nil {
			return failure.Request(http.StatusBadRequest, "The query is not percent-encoded right.")
		}
		if err := c.appendParam(name, value); err != nil {
			return misfit(err, "The query does not fit: ")
		}
	}
	return nil
}

func unescape(s string) (string, error) {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s, nil
	}
	return url.QueryUnescape(s)
}

// appendParam appends one parameter: a.b=1, or of a map a.b[key]=1. A field that is set already by the path or the body is
// passed over.
func (c *call) appendParam(name, value string) error {
	path, key := name, ""
	hasKey := false
	if bracket := strings.IndexByte(name, '['); bracket > 0 && name[len(name)-1] == ']' {
		path, key, hasKey = name[:bracket], name[bracket+1:len(name)-1], true
	}
	var memory [8]string
	names := memory[:0]
	for part := range strings.SplitSeq(path, ".") {
		if len(names) == jsonwire.MaxDepth {
			return &jsonwire.Error{Reason: "a parameter leads too deep"}
		}
		names = append(names, part)
	}
	p, err := c.op.input.Param(names)
	if err != nil {
		if c.translator.options.JSON.DiscardUnknown {
			return nil
		}
		return err
	}
	if c.op.bound(p) {
		return nil
	}
	if p.IsMap() != hasKey {
		return &jsonwire.Error{Field: path, Reason: "write name[key]=value for a map, and for nothing else"}
	}
	if hasKey {
		c.frame, err = p.AppendEntry(c.frame, key, value)
		return err
	}
	if !p.Repeated() {
		for _, other := range c.params {
			if other.Equal(p) {
				return &jsonwire.Error{Field: path, Reason: "it is there twice"}
			}
		}
		c.params = append(c.params, p)
	}
	c.frame, err = p.AppendText(c.frame, value)
	return err
}
