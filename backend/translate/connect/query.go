package connect

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"

	wire "github.com/sluice-gateway/sluice/backend/translate/grpc"
)

// readQuery understands a call that is a GET: the message stands in the query, as text or in base64, and becomes the body.
func (c *call) readQuery(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return refuse(wire.InvalidArgument, "The query cannot be read.")
	}
	for _, name := range [...]string{"connect", "encoding", "message", "base64", "compression"} {
		if len(values[name]) > 1 {
			return refuse(wire.InvalidArgument, "The query has "+name+" more than once.")
		}
	}
	if c.codec = values.Get("encoding"); c.codec == "" {
		return refuse(wire.InvalidArgument, "The query does not say the encoding.")
	}
	if !isToken(c.codec) {
		return errContentType
	}
	if !values.Has("message") {
		return refuse(wire.InvalidArgument, "The query has no message.")
	}
	message := values.Get("message")
	switch values.Get("base64") {
	case "1":
		if message, err = decodeBase64(message); err != nil {
			return refuse(wire.InvalidArgument, "The message in the query is not base64.")
		}
	case "", "0":
	default:
		return refuse(wire.InvalidArgument, "base64 in the query must be 1.")
	}
	c.encoding = codingOf(values.Get("compression"))
	c.accept = acceptOf(c.x.In.Header["Accept-Encoding"])
	c.x.Out.Body, c.x.Out.ContentLength = io.NopCloser(strings.NewReader(message)), int64(len(message))
	if message == "" {
		c.x.Out.Body = http.NoBody
	}
	return nil
}

// decodeBase64 reads base64 of the alphabet for URLs, padded or not. Browsers' plain alphabet is let pass: what became of
// its plus signs in a query is a blank.
func decodeBase64(s string) (string, error) {
	if strings.ContainsAny(s, "\r\n") {
		return "", base64.CorruptInputError(0)
	}
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
	return string(b), err
}
