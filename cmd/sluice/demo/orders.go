package demo

import (
	"fmt"
	"io"
	"net/http"
	"time"
)

const maxOrder = 64 << 10 // bytes of an order's text

type order struct {
	ID    string `json:"id"`
	Item  string `json:"item"`
	Bytes int    `json:"bytes,omitempty"` // of a placed order's text
}

// orders takes orders and tells of their progress as server-sent events.
func orders() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders/events", orderEvents)
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		reply(w, r, answer{Service: "orders", Data: order{ID: r.PathValue("id"), Item: "difference engine"}})
	})
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOrder))
		if err != nil {
			http.Error(w, "the order is too long", http.StatusRequestEntityTooLarge)
			return
		}
		reply(w, r, answer{Service: "orders", Data: order{ID: "1001", Item: "as written", Bytes: len(text)}})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { reply(w, r, answer{Service: "orders"}) })
	return mux
}

// eventPause lies between two events, long enough to see that they are not held back.
const eventPause = 300 * time.Millisecond

// orderEvents is a stream that ends by itself, so that whoever reads it needs no timeout.
func orderEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	pause := time.NewTicker(eventPause)
	defer pause.Stop()
	for i, state := range []string{"received", "packed", "shipped", "delivered"} {
		fmt.Fprintf(w, "id: %d\nevent: order\ndata: {\"order\":\"1001\",\"state\":%q}\n\n", i+1, state)
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-pause.C:
		case <-r.Context().Done():
			return
		}
	}
}
