package proxy

import "net/http"

// Writer is what an engine gives the proxy to answer with. http1 implements it; one adapter over http.ResponseWriter
// serves HTTP/2 and later HTTP/3.
type Writer interface {
	// Inform sends a 1xx answer.
	Inform(status int, header http.Header) error
	// Write sends the answer and streams its body, flushed as it arrives, trailers after it; it returns when the body
	// is at its end or broken off. A 101's body is an io.ReadWriteCloser, joined with the client both ways. The
	// error tells which side failed: reading the body, or writing to the client (a *failure.Error of source Client).
	Write(*http.Response) error
	// Abort breaks the answer off so that the client can tell: a TCP reset on HTTP/1.1, a stream reset elsewhere.
	Abort()
	// Written is how many bytes of the answer's body went to the client so far.
	Written() int64
}
