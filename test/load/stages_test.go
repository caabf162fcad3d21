package load

import (
	"bytes"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// says is a stage that is reached by a message of HTTP/1.1, then waiting for the steps after it.
func says(message string, then ...func(*visitor) error) func(*visitor) error {
	return func(v *visitor) error {
		if err := v.send(message); err != nil {
			return err
		}
		return v.after(then)
	}
}

func (v *visitor) after(steps []func(*visitor) error) error {
	for _, step := range steps {
		if err := step(v); err != nil {
			return err
		}
	}
	return nil
}

func reads(want string) func(*visitor) error { return func(v *visitor) error { return v.read(want) } }

const (
	upload  = "POST /echo/%s HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 1000000\r\n\r\n"
	chunked = "POST /echo/%s HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n"
	socket  = "GET /ws/%s HTTP/1.1\r\nHost: gateway.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)

var http1Stages = []stage{
	{"connected", func(*visitor) error { return nil }},
	{"amid the request line", says("GET /ec")},
	{"after the request line", says("GET /echo/%s HTTP/1.1\r\n")},
	{"amid the fields", says("GET /echo/%s HTTP/1.1\r\nHost: gateway.test\r\nAcc")},
	{"before the body", says(upload, (*visitor).await)},
	{"amid the body", says(upload+strings.Repeat("x", 400_000), (*visitor).await)},
	{"expecting 100", says(strings.Replace(upload, "\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n", 1), reads("100 Continue"))},
	{"amid a chunk size", says(chunked+"5\r\nhello\r\n1", (*visitor).await)},
	{"amid a chunk", says(chunked+"5\r\nhello\r\n10\r\nhalf", (*visitor).await)},
	{"before the trailer", says(chunked+"5\r\nhello\r\n0\r\n", (*visitor).await)},
	{"service is thinking", says("GET /think/%s HTTP/1.1\r\nHost: gateway.test\r\n\r\n", (*visitor).await)},
	{"service is thinking over a body", says(strings.Replace(upload, "/echo", "/think", 1), (*visitor).await)},
	{"pipelined behind a thinking service", says("GET /think/%s HTTP/1.1\r\nHost: gateway.test\r\n\r\n"+
		"GET /echo/none HTTP/1.1\r\nHost: gateway.test\r\n\r\nGET /ech", (*visitor).await)},
	{"before the answer is read", says("GET /endless/%s HTTP/1.1\r\nHost: gateway.test\r\n\r\n", (*visitor).await)},
	{"amid the answer", says("GET /endless/%s HTTP/1.1\r\nHost: gateway.test\r\n\r\n", reads("\r\n\r\n"))},
	{"amid events", says("GET /events/%s HTTP/1.1\r\nHost: gateway.test\r\n\r\n", reads("data: first\n\n"))},
	{"between requests", says("GET /nothing/%s HTTP/1.1\r\nHost: gateway.test\r\n\r\n", reads("\r\n\r\n"))},
	{"refused", says("GET /../%s HTTP/1.1\r\nHost: gateway.test\r\n\r\n", reads(" 400 "))},
	{"malformed", says("GET /\x00 HTTP/1.1\r\n\r\n", reads(" 400 "))},
	{"WebSocket is asked for", says(socket, (*visitor).await)},
	{"WebSocket is open", says(socket, reads("\r\n\r\n"))},
	{"amid a WebSocket message", says(socket, reads("\r\n\r\n"), func(v *visitor) error { return v.send("\x81\x85half") })},
}

// tlsStages leave before there is an HTTP to speak.
var tlsStages = []stage{
	{"connected", func(*visitor) error { return nil }},
	{"amid the ClientHello", says("\x16\x03\x01\x02\x00\x01\x00")},
	{"with something else", says("GET / HTTP/1.1\r\n\r\n")},
}

// opens is a stage of HTTP/2 that begins with the preface.
func opens(then ...func(*visitor) error) func(*visitor) error {
	return func(v *visitor) error {
		v.frames = http2.NewFramer(v, v)
		if err := v.send(http2.ClientPreface); err != nil {
			return err
		}
		if err := v.frames.WriteSettings(); err != nil {
			return err
		}
		return v.after(then)
	}
}

// asks opens stream 1.
func asks(method, path string, ended, whole bool) func(*visitor) error {
	return func(v *visitor) error { return v.ask(1, method, path+v.id, ended, whole) }
}

func (v *visitor) ask(stream uint32, method, path string, ended, whole bool) error {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range []hpack.HeaderField{
		{Name: ":method", Value: method}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: path},
		{Name: ":authority", Value: "gateway.test"},
	} {
		if err := encoder.WriteField(f); err != nil {
			return err
		}
	}
	return v.frames.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: block.Bytes(), EndStream: ended, EndHeaders: whole,
	})
}

func resetsStream(v *visitor) error { return v.frames.WriteRSTStream(1, http2.ErrCodeCancel) }

func sendsData(v *visitor) error { return v.frames.WriteData(1, false, make([]byte, 10_000)) }

// halfFrame is the head of a DATA frame of 1,000 bytes, and four of them.
func halfFrame(v *visitor) error { return v.send("\x00\x03\xe8\x00\x00\x00\x00\x00\x01half") }

// awaitsFrame reads until a frame of stream 1 comes.
func awaitsFrame(kind http2.FrameType) func(*visitor) error {
	return func(v *visitor) error {
		for {
			f, err := v.frames.ReadFrame()
			if err != nil || f.Header().Type == kind && f.Header().StreamID == 1 {
				return err
			}
		}
	}
}

// asksMany fills the connection with streams. The last one carries the id that is waited for.
func asksMany(v *visitor) error {
	const streams = 50
	for i := range uint32(streams) {
		path := "/think/none"
		if i == streams-1 {
			path = "/think/" + v.id
		}
		if err := v.ask(2*i+1, "GET", path, true, true); err != nil {
			return err
		}
	}
	return v.await()
}

var http2Stages = []stage{
	{"amid the preface", says("PRI * HTTP/2.0\r\n")},
	{"before the settings", says(http2.ClientPreface)},
	{"after the settings", opens()},
	{"amid the fields", opens(asks("GET", "/echo/", true, false))},
	{"before the body", opens(asks("POST", "/echo/", false, true), (*visitor).await)},
	{"amid the body", opens(asks("POST", "/echo/", false, true), sendsData, (*visitor).await)},
	{"amid a frame", opens(asks("POST", "/echo/", false, true), (*visitor).await, halfFrame)},
	{"service is thinking", opens(asks("GET", "/think/", true, true), (*visitor).await)},
	{"service is thinking over a body", opens(asks("POST", "/think/", false, true), sendsData, (*visitor).await)},
	{"stream is reset while the service thinks", opens(asks("GET", "/think/", true, true), (*visitor).await, resetsStream)},
	{"stream is reset amid the body", opens(asks("POST", "/echo/", false, true), sendsData, (*visitor).await, resetsStream)},
	{"many streams", opens(asksMany)},
	{"before the answer is read", opens(asks("GET", "/endless/", true, true), (*visitor).await)},
	{"amid the answer", opens(asks("GET", "/endless/", true, true), awaitsFrame(http2.FrameData))},
	{"stream is reset amid the answer", opens(asks("GET", "/endless/", true, true), awaitsFrame(http2.FrameData), resetsStream)},
	{"amid events", opens(asks("GET", "/events/", true, true), awaitsFrame(http2.FrameData))},
	{"between requests", opens(asks("GET", "/nothing/", true, true), awaitsFrame(http2.FrameHeaders))},
}
