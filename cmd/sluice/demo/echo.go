package demo

import (
	"context"
	"net"
	"net/http"
	"sync"

	"github.com/coder/websocket"
)

const maxMessage = 64 << 10 // bytes of one WebSocket message

// startEcho runs the WebSocket microservice: what comes in goes out. A hijacked connection is no longer the server's,
// so the open ones are counted here and end with ctx.
func startEcho(ctx context.Context, l net.Listener) func() {
	var open sync.WaitGroup
	stop := web(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		open.Add(1) // before the hijack, so that Shutdown returns only after it
		defer open.Done()
		echo(ctx, w, r)
	}))(ctx, l)
	return func() {
		stop()
		open.Wait()
	}
}

func echo(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	// Which origins may connect is the gateway's to decide.
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // Accept has answered
	}
	defer c.CloseNow()
	c.SetReadLimit(maxMessage)
	for {
		kind, message, err := c.Read(ctx)
		if err != nil || c.Write(ctx, kind, message) != nil {
			return
		}
	}
}
