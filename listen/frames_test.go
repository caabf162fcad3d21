package listen

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

func http2NewFramer(c net.Conn) *http2.Framer { return http2.NewFramer(c, c) }

func traceInform(ctx context.Context, links *[]string) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(_ int, h textproto.MIMEHeader) error {
		*links = append(*links, http.Header(h).Get("Link"))
		return nil
	}})
}

// block encodes fields, given as name, value, name, value.
func block(fields ...string) []byte {
	var buf bytes.Buffer
	enc := hpack.NewEncoder(&buf)
	for i := 0; i < len(fields); i += 2 {
		enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return buf.Bytes()
}

// request is the block of a request, with what is given put in place of, or added to, the usual.
func request(change ...string) []byte {
	fields := []string{":method", "GET", ":scheme", "http", ":authority", "a.example", ":path", "/"}
	for i := 0; i < len(change); i += 2 {
		found := false
		for j := 0; j < 8; j += 2 {
			if fields[j] == change[i] {
				fields[j+1], found = change[i+1], true
			}
		}
		if !found {
			fields = append(fields, change[i], change[i+1])
		}
	}
	return block(fields...)
}

func (f *frames) send(stream uint32, end bool, change ...string) {
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: request(change...), EndHeaders: true, EndStream: end})
}

// outcome is what became of a stream: its status, "reset CODE", "goaway CODE" or "closed".
func (f *frames) outcome(stream uint32) string {
	f.t.Helper()
	if f.fields == nil {
		f.fields = hpack.NewDecoder(4096, nil)
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || isReset(err) {
				return "closed"
			}
			f.t.Fatal(err)
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				f.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				f.WritePing(true, frame.Data)
			}
		case *http2.GoAwayFrame:
			if frame.ErrCode != http2.ErrCodeNo {
				return "goaway " + frame.ErrCode.String()
			}
		case *http2.RSTStreamFrame:
			if frame.StreamID == stream {
				return "reset " + frame.ErrCode.String()
			}
		case *http2.HeadersFrame:
			fields, err := f.fields.DecodeFull(frame.HeaderBlockFragment())
			if err != nil {
				f.t.Fatal(err)
			}
			if frame.StreamID == stream {
				return fields[0].Value
			}
		}
	}
}

func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && !op.Timeout()
}

func (f *frames) get(path string) string {
	f.send(1, true, ":path", path)
	return f.outcome(1)
}
