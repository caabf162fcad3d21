package listen

import (
	"io"
	"net/http"
	"sync"

	"github.com/sluice-gateway/sluice/http1"
)

var _ http1.Peeker = (*lentBody)(nil)

// lentBody lends a request's body of HTTP/1.1 for as long as the request is served. The engine uses the memory again for
// the next request, while a transport that was answered early may have a goroutine in Read, or about to be.
type lentBody struct {
	body io.ReadCloser

	reading sync.Mutex // held through each read
	closing sync.Mutex // held through Close, which must not wait for a read
	over    bool       // written under both
}

func (b *lentBody) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	if b.over {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.body.Read(p)
}

// Peek implements http1.Peeker.
func (b *lentBody) Peek() []byte {
	b.reading.Lock()
	defer b.reading.Unlock()
	if p, ok := b.body.(http1.Peeker); ok && !b.over {
		return p.Peek()
	}
	return nil
}

// Discard implements http1.Peeker. What Peek returned is not to be used once the request is over, nor discarded.
func (b *lentBody) Discard(n int) {
	b.reading.Lock()
	defer b.reading.Unlock()
	if p, ok := b.body.(http1.Peeker); ok && !b.over {
		p.Discard(n)
	}
}

// Close wakes a reader that waits.
func (b *lentBody) Close() error {
	b.closing.Lock()
	defer b.closing.Unlock()
	if b.over {
		return nil
	}
	return b.body.Close()
}

// takeBack ends the loan. A reader is woken, and waited for.
func (b *lentBody) takeBack() {
	b.closing.Lock()
	defer b.closing.Unlock()
	if !b.reading.TryLock() {
		b.body.Close()
		b.reading.Lock()
	}
	b.over = true
	b.reading.Unlock()
}
