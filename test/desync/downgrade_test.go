package desync

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluice-gateway/sluice/gatewaytest"
)

// downgrade is a request of HTTP/2 that would be another, or several, once written as HTTP/1.1 without care.
type downgrade struct {
	name    string
	fields  string // "name=value" one a line; \r \n \0 stand for bytes, ID for the id. Replaces the default of the same name; "!name" drops it
	body    string // sent as one DATA frame
	trailer string // as fields
	want    int    // 0: the stream is reset, or the connection closed
}

// Every one begins as this.
var upright = []hpack.HeaderField{
	{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: "h"}, {Name: ":path", Value: "/ID"},
}

const smuggling = `\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: evil`

var downgrades = []downgrade{
	{name: "nothing wrong", body: "abcd$", want: 200},
	{name: "CR LF in a value", fields: `x=a\r\nevil: b`},
	{name: "LF in a value", fields: `x=a\nevil: b`},
	{name: "CR in a value", fields: `x=a\revil: b`},
	{name: "NUL in a value", fields: `x=a\0evil`},
	{name: "request in a value", fields: "x=a" + smuggling},
	{name: "CR LF in a cookie", fields: `cookie=a\r\nevil: b`},
	{name: "CR LF in a name", fields: `x\r\nevil=b`},
	{name: "colon in a name", fields: `evil: x=b`},
	{name: "space in a name", fields: `evil x=b`},
	{name: "tab in a name", fields: "evil\tx=b"},
	{name: "name empty", fields: `=evil`},
	{name: "name in capitals", fields: `Evil=b`},
	{name: "name with a byte beyond ASCII", fields: "evil\xc3\xa9=b"},
	{name: "NUL in a name", fields: `evil\0=b`},
	{name: "CR LF in the path", fields: `:path=/ID HTTP/1.1` + smuggling},
	{name: "LF in the path", fields: `:path=/ID\nevil`},
	{name: "NUL in the path", fields: `:path=/ID\0evil`},
	{name: "space in the path", fields: `:path=/ID HTTP/1.1 evil`, want: 400},
	{name: "tab in the path", fields: ":path=/ID\tevil"},
	{name: "fragment in the path", fields: `:path=/ID#evil`, want: 400},
	{name: "path empty", fields: `:path=`},
	{name: "path without a slash", fields: `:path=evil`},
	{name: "path of a whole URL", fields: `:path=http://evil/ID`},
	{name: "path of an asterisk", fields: `:path=*`, want: 400},
	{name: "path above the root", fields: `:path=/../ID`, want: 400},
	{name: "backslash in the path", fields: `:path=/a\\ID`, want: 400},
	{name: "two paths", fields: ":path=/ID\n:path=/evil"},
	{name: "no path", fields: "!:path"},
	{name: "CR LF in the method", fields: `:method=GET /evil HTTP/1.1\r\nx:`},
	{name: "space in the method", fields: `:method=GET /evil HTTP/1.1`, want: 400},
	{name: "method empty", fields: `:method=`},
	{name: "two methods", fields: ":method=GET\n:method=POST"},
	{name: "no method", fields: "!:method"},
	{name: "method CONNECT with a path", fields: ":method=CONNECT"},
	{name: "method CONNECT", fields: ":method=CONNECT\n!:path\n!:scheme\n:authority=evil:443", want: 405},
	{name: "CR LF in the authority", fields: `:authority=h\r\nevil: b`},
	{name: "space in the authority", fields: `:authority=h evil`},
	{name: "slash in the authority", fields: `:authority=h/evil`},
	{name: "user information in the authority", fields: `:authority=evil@h`},
	{name: "list in the authority", fields: `:authority=h,evil`, want: 400},
	{name: "NUL in the authority", fields: `:authority=h\0evil`},
	{name: "two authorities", fields: ":authority=h\n:authority=evil"},
	{name: "Host that differs", fields: "host=evil"},
	{name: "Host twice", fields: "!:authority\nhost=h\nhost=evil"},
	{name: "no authority and no Host, which becomes the endpoint's", fields: "!:authority", want: 200},
	{name: "CR LF in the scheme", fields: `:scheme=http\r\nevil: b`},
	{name: "scheme of another world", fields: `:scheme=evil`},
	{name: "two schemes", fields: ":scheme=http\n:scheme=https"},
	{name: "pseudo-field that is not known", fields: ":evil=1"},
	{name: "pseudo-field of an answer", fields: ":status=200"},
	{name: "pseudo-field behind a field", fields: "x=1\n:evil=/smuggled"},
	{name: "protocol of an extended CONNECT", fields: ":protocol=websocket"},
	{name: "transfer-encoding", fields: "transfer-encoding=chunked", body: "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n$", want: 400},
	{name: "transfer-encoding and its fellow", fields: "transfer-encoding=chunked\ncontent-length=5", body: "abcd$", want: 400},
	{name: "connection", fields: "connection=keep-alive", want: 400},
	{name: "connection that names", fields: "connection=x-forwarded-for", want: 400},
	{name: "keep-alive", fields: "keep-alive=evil", want: 400},
	{name: "proxy-connection", fields: "proxy-connection=evil", want: 400},
	{name: "upgrade", fields: "upgrade=evil", want: 400},
	{name: "te of more than trailers", fields: "te=evil", want: 400},
	{name: "content-length greater than the body", fields: "content-length=100", body: "GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n"},
	{name: "content-length less than the body", fields: "content-length=5", body: "abcd$GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n"},
	{name: "content-length twice, in disagreement", fields: "content-length=5\ncontent-length=0", body: "abcd$", want: 400},
	{name: "content-length that is no number", fields: "content-length=evil", want: 400},
	{name: "content-length with a plus", fields: "content-length=+5", want: 400},
	{name: "content-length as it is", fields: "content-length=5", body: "abcd$", want: 200},
	{name: "chunks as a body", body: "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n$", want: 200},
	{name: "body of a GET", fields: ":method=GET", body: "GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n$", want: 200},
	{name: "trailer", body: "abcd$", trailer: "x=1", want: 200},
	{name: "trailer with CR LF", body: "abcd", trailer: `x=1` + smuggling},
	{name: "trailer with a pseudo-field", body: "abcd", trailer: ":path=/smuggled"},
	{name: "trailer that frames", body: "abcd$", trailer: "content-length=100", want: 200},
	{name: "trailer with transfer-encoding", body: "abcd$", trailer: "transfer-encoding=chunked", want: 200},
	{name: "forwarding and identity fields", fields: "x-forwarded-for=evil\nforwarded=for=evil\nx-consumer-name=evil\nx_consumer_name=evil\nx-real-ip=evil", want: 200},
	{name: "cookies in crumbs", fields: "cookie=a=1\ncookie=b=2", want: 200},
	{name: "Expect that is not known", fields: "expect=evil", want: 200},
}

const downgrading = `
listeners:
  - {name: plain, address: "127.0.0.1:0"}
routes:
  - {name: all, match: {path: /*}, service: origin, timeout: 5s}
services:
  - {name: origin, endpoints: [{url: "http://%s"}], connections: {max: 1, maxIdle: 1, pending: 4}}
`

// TestDowngrades sends HTTP/2 that must not become HTTP/1.1, frame by frame.
func TestDowngrades(t *testing.T) {
	origin := newOrigin(t)
	gateway := gatewaytest.Start(t, fmt.Sprintf(downgrading, origin.Addr()))
	for i, d := range downgrades {
		t.Run(d.name, func(t *testing.T) {
			v := &victim{t: t, address: gateway.Addr("plain"), origin: origin, prefix: fmt.Sprintf("down-%d", i)}
			f, err := dialFrames(v.address)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			d.send(t, f, v.prefix)
			status, id := f.outcome(t)
			if status != d.want {
				t.Errorf("answered %d instead of %d", status, d.want)
			}
			if status == 200 {
				v.meant = append(v.meant, v.prefix)
				if id != v.prefix {
					t.Errorf("%s got the answer to %q", v.prefix, id)
				}
			}
			c, err := Dial(v.address, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			v.get(c, v.prefix+"-other")
			v.get(c, v.prefix+"-again")
			v.balance()
		})
	}
}

// frames is an HTTP/2 connection to the gateway.
type frames struct {
	net.Conn
	*http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
}

func dialFrames(address string) (*frames, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	f := &frames{Conn: c, Framer: http2.NewFramer(c, c)}
	f.AllowIllegalWrites = true
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.encoder = hpack.NewEncoder(&f.block)
	_, err = io.WriteString(c, http2.ClientPreface)
	return f, errors.Join(err, f.WriteSettings())
}

// fields writes a header block.
func (f *frames) fields(fields []hpack.HeaderField, end bool) error {
	f.block.Reset()
	for _, h := range fields {
		if err := f.encoder.WriteField(h); err != nil {
			return err
		}
	}
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.block.Bytes(), EndHeaders: true, EndStream: end})
}

// send sends the request on stream 1. The gateway may have had enough in the middle.
func (d *downgrade) send(t *testing.T, f *frames, id string) {
	t.Helper()
	if err := f.fields(d.header(t, id), d.body == "" && d.trailer == ""); err != nil {
		t.Fatal(err)
	}
	if d.body != "" {
		_ = f.WriteData(1, d.trailer == "", []byte(d.body))
	}
	if d.trailer != "" {
		_ = f.fields(fieldsOf(t, d.trailer, id), true)
	}
}

// header is what all begin with, as this one changes it. Pseudo-fields that are added go where they are written.
func (d *downgrade) header(t *testing.T, id string) []hpack.HeaderField {
	t.Helper()
	header := slices.Clone(upright)
	for i := range header {
		header[i].Value = strings.ReplaceAll(header[i].Value, "ID", id)
	}
	replaced := make(map[string]bool)
	for _, h := range fieldsOf(t, d.fields, id) {
		name, drop := strings.CutPrefix(h.Name, "!")
		i := slices.IndexFunc(header, func(old hpack.HeaderField) bool { return old.Name == name })
		switch {
		case drop:
			header = slices.Delete(header, i, i+1)
		case i >= 0 && !replaced[name]:
			header[i] = h
		default:
			header = append(header, h)
		}
		replaced[name] = true
	}
	return header
}

func fieldsOf(t *testing.T, text, id string) (fields []hpack.HeaderField) {
	t.Helper()
	for line := range strings.Lines(text) {
		line, err := unescape(strings.TrimSuffix(line, "\n") + `\`)
		if err != nil {
			t.Fatal(err)
		}
		line = strings.ReplaceAll(line, "ID", id)
		at := strings.IndexByte(line[min(1, len(line)):], '=') + 1 // not the first byte of a pseudo-field
		if line[0] == '=' {
			at = 0
		}
		if at == 0 && line[0] == '!' {
			fields = append(fields, hpack.HeaderField{Name: line})
			continue
		}
		fields = append(fields, hpack.HeaderField{Name: line[:at], Value: line[at+1:]})
	}
	return fields
}

// outcome reads to the answer of stream 1, or to its end.
func (f *frames) outcome(t *testing.T) (status int, id string) {
	t.Helper()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			if e, ok := err.(net.Error); ok && e.Timeout() {
				t.Error("neither answered nor refused")
			}
			return status, id
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			if s := frame.PseudoValue("status"); status == 0 && s[0] != '1' {
				_, _ = fmt.Sscan(s, &status)
			}
			for _, h := range frame.RegularFields() {
				if h.Name == "x-id" {
					id = h.Value
				}
			}
			if frame.StreamEnded() {
				return status, id
			}
		case *http2.DataFrame:
			if frame.StreamEnded() {
				return status, id
			}
		case *http2.RSTStreamFrame:
			return status, id
		case *http2.GoAwayFrame:
			return status, id
		}
	}
}
