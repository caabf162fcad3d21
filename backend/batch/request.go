package batch

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/sluice-gateway/sluice/document"
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
)

// request is one of a batch.
type request struct {
	id document.Value // a string or a number; nil: none
	in *http.Request
}

// maxNesting is how deep the JSON of a batch may be nested.
const maxNesting = 64

// read reads the batch of a request.
func (b *Batch) read(in *http.Request) ([]request, error) {
	media, _, err := mime.ParseMediaType(in.Header.Get("Content-Type"))
	if err != nil || media != "application/json" || in.Header["Content-Encoding"] != nil {
		return nil, failure.Request(http.StatusUnsupportedMediaType, "A batch is JSON, not compressed.")
	}
	text, err := readAll(in.Body, b.RequestBytes)
	if err != nil {
		return nil, err
	}
	v, err := document.Parse(text, maxNesting)
	if err != nil {
		return nil, wrong("The batch", "%v", err)
	}
	list, err := requestsOf(v)
	if err != nil {
		return nil, err
	}
	var all []request
	for e := list.Elements(); e.Next(); {
		if len(all) == b.Requests {
			return nil, failure.Request(http.StatusRequestEntityTooLarge, fmt.Sprintf("A batch holds at most %d requests.", b.Requests))
		}
		r, err := b.request(fmt.Sprintf("requests[%d]", len(all)), e.Value, in)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	if len(all) == 0 {
		return nil, wrong("requests", "is empty")
	}
	return all, nil
}

func readAll(body io.Reader, limit int64) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	text, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = failure.Request(http.StatusRequestEntityTooLarge, "The batch is too long.")
	}
	return text, err
}

func wrong(at, format string, args ...any) error {
	return failure.Request(http.StatusBadRequest, at+" "+fmt.Sprintf(format, args...)+".")
}

// requestsOf is the list: the member requests, or the batch itself.
func requestsOf(v document.Value) (list document.Value, err error) {
	if v.Kind() == document.Object {
		err = members("The batch", v, func(name string, value document.Value) error {
			if name != "requests" {
				return wrong("The batch", "has an unknown member %.40q", name)
			}
			list = value
			return nil
		})
		v = list
	}
	if err == nil && v.Kind() != document.Array {
		err = wrong("requests", "is %v, not an array", v.Kind())
	}
	return v, err
}

// members visits the members of an object, none of which may occur twice: who reads the first and who reads the last would
// not see the same request.
func members(at string, v document.Value, visit func(name string, value document.Value) error) error {
	if v.Kind() != document.Object {
		return wrong(at, "is %v, not an object", v.Kind())
	}
	seen := make(map[string]bool)
	for m := v.Members(); m.Next(); {
		name := m.Name.Text()
		if seen[name] {
			return wrong(at, "has two members %.40q", name)
		}
		seen[name] = true
		if err := visit(name, m.Value); err != nil {
			return err
		}
	}
	return nil
}

// request reads one, and makes of it what a server makes of what it receives.
func (b *Batch) request(at string, v document.Value, outer *http.Request) (r request, err error) {
	in := &http.Request{Method: http.MethodGet, Header: make(http.Header, 8), Body: http.NoBody}
	var body document.Value
	path := ""
	err = members(at, v, func(name string, value document.Value) (err error) {
		k := value.Kind()
		switch {
		case name == "id" && (k == document.String || k == document.Number):
			r.id = value
		case name == "method" && k == document.String:
			in.Method = value.Text()
		case name == "path" && k == document.String:
			path = value.Text()
		case name == "headers":
			err = fields(at+".headers", value, in.Header)
		case name == "body":
			body = value
		case name == "id" || name == "method" || name == "path":
			err = wrong(at+"."+name, "is %v", k)
		default:
			err = wrong(at, "has an unknown member %.40q", name)
		}
		return err
	})
	if err == nil && !isMethod(in.Method) {
		err = wrong(at+".method", "is no method")
	}
	if err == nil {
		in.URL, err = target(at+".path", path)
		in.RequestURI = path
	}
	if err != nil {
		return r, err
	}
	b.inherit(in.Header, outer.Header)
	carry(in, body)
	r.in = in
	return r, nil
}

// isMethod admits tokens in capitals; whether a route takes it is the route's affair.
func isMethod(method string) bool {
	return httpguts.ValidHeaderFieldName(method) && method == strings.ToUpper(method) && len(method) <= 32
}

// target reads a path and its query. What a request line could not hold is refused, and so is another host.
func target(at, text string) (*url.URL, error) {
	switch {
	case !strings.HasPrefix(text, "/") || strings.HasPrefix(text, "//"):
		return nil, wrong(at, "is no path: it begins with one /, and goes to the host of the batch")
	case strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || r == '#' }) >= 0:
		return nil, wrong(at, "holds a character that is written %%XX in a path")
	case len(text) > 8<<10:
		return nil, wrong(at, "is longer than 8 KiB")
	}
	path, query, found := strings.Cut(text, "?")
	if _, err := exchange.CanonicalPath(path); err != nil {
		return nil, wrong(at, "cannot be read: %s", failure.From(err).Detail)
	}
	plain, err := url.PathUnescape(path)
	if err != nil {
		return nil, wrong(at, "has a broken escape")
	}
	return &url.URL{Path: plain, RawPath: path, RawQuery: query, ForceQuery: found && query == ""}, nil
}

// maxFields bounds the header fields of one request.
const maxFields = 64

func fields(at string, v document.Value, into http.Header) error {
	n := 0
	return members(at, v, func(name string, value document.Value) error {
		canonical := http.CanonicalHeaderKey(name)
		if n++; n > maxFields {
			return wrong(at, "are more than %d", maxFields)
		}
		if value.Kind() != document.String || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value.Text()) {
			return wrong(at, "hold something that is no header field: %.40q", name)
		}
		if isForGateway(canonical) {
			return wrong(at, "name %s, which is for the gateway to say", canonical)
		}
		if into[canonical] != nil {
			return wrong(at, "name %s twice", canonical)
		}
		into[canonical] = []string{value.Text()}
		return nil
	})
}

// isForGateway are the fields that belong to a connection, to framing, or to what the gateway knows of the client, with
// underscores too: some services read X_Forwarded_For as X-Forwarded-For.
func isForGateway(name string) bool {
	name = http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade", "Http2-Settings", "Content-Length", "Content-Encoding", "Host", "Expect", "Via", "Forwarded",
		"X-Real-Ip", "X-Request-Id", "X-Attempt", "X-Consumer-Name", "X-Consumer-Groups", "Accept-Encoding":
		return true
	}
	return strings.HasPrefix(name, "X-Forwarded-")
}

// inherit gives a request the fields of the batch that it lacks.
func (b *Batch) inherit(h, outer http.Header) {
	for _, name := range b.Inherit {
		if values := outer[name]; values != nil && h[name] == nil {
			h[name] = values
		}
	}
}

// carry gives a request its body: JSON as it was written. A string goes without its quotes if the request says that its
// type is not JSON.
func carry(in *http.Request, body document.Value) {
	if body == nil {
		return
	}
	media, _, _ := mime.ParseMediaType(in.Header.Get("Content-Type"))
	isJSON := document.IsJSON(media)
	if in.Header["Content-Type"] == nil {
		in.Header["Content-Type"] = []string{"application/json"}
		isJSON = true
	}
	text := []byte(body)
	if !isJSON && body.Kind() == document.String {
		text = body.AppendText(nil)
	}
	in.Body, in.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	if len(text) == 0 {
		in.Body = http.NoBody
	}
}
