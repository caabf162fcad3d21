package http1

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"runtime"
	"sync"
	"testing"
)

// TestAnswerBeforeTheBodysEnd: a transport still waits for the body when the answer comes, and its reading is ended. The connection goes
// on when the rest of the body has come, if it is known how much that is; else the answer says that it will not.
func TestAnswerBeforeTheBodysEnd(t *testing.T) {
	waiting := make(chan struct{}, 1)
	for _, test := range []struct {
		name, begin, rest string
		ends              bool
	}{
		{"a length", "Content-Length: 5\r\n\r\nabc", "de", false},
		{"a length too long to wait for", "Content-Length: 300000\r\n\r\nabc", "", true},
		{"chunks", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "2\r\nde\r\n0\r\n\r\n", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, dial := serve(t, handlerFunc(func(_ context.Context, r *http.Request, w *Writer) {
				if r.Method != http.MethodPost {
					w.Write(text(200, "next"))
					return
				}
				var reader sync.WaitGroup
				io.ReadFull(r.Body, make([]byte, 3))
				reader.Go(func() {
					waiting <- struct{}{}
					io.ReadAll(r.Body)
				})
				<-waiting
				for !w.turn.body.isWaiting() {
					runtime.Gosched()
				}
				w.Write(text(400, "early"))
				r.Body.Close()
				reader.Wait()
			}))
			c := dial()
			br := bufio.NewReader(c)
			say(t, c, "POST / HTTP/1.1\r\nHost: x\r\n"+test.begin)
			if res, body := answerOf(t, br, "POST"); res.StatusCode != 400 || body != "early" || res.Close != test.ends {
				t.Fatal(res.Status, body, res.Close)
			}
			if test.ends {
				return
			}
			say(t, c, test.rest+"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			if res, body := answerOf(t, br, "GET"); res.StatusCode != 200 || body != "next" {
				t.Error(res.Status, body)
			}
		})
	}
}

func (b *body) isWaiting() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting
}
