package demo

import (
	"fmt"
	"net/http"
)

type item struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Price int    `json:"priceCents"`
	Stock *int   `json:"stock,omitempty"` // v2 knows it
}

// catalog is one of two versions of the same microservice; v2 also tells the stock.
func catalog(version string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /catalog", func(w http.ResponseWriter, r *http.Request) {
		reply(w, r, answer{Service: "catalog", Version: version, Data: shelf(version)})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		reply(w, r, answer{Service: "catalog", Version: version})
	})
	return mux
}

// shelf is long enough to be worth compressing.
func shelf(version string) []item {
	items := make([]item, 60)
	for i := range items {
		items[i] = item{ID: fmt.Sprint(i + 1), Name: fmt.Sprintf("gear with %d teeth", 12+i), Price: 250 + 15*i}
		if version == "v2" {
			stock := 7 * i % 40
			items[i].Stock = &stock
		}
	}
	return items
}
