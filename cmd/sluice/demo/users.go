package demo

import "net/http"

type user struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	City string `json:"city"`
}

var people = []user{{"1", "Ada", "London"}, {"2", "Grace", "New York"}, {"3", "Edsger", "Rotterdam"}}

// users knows three people.
func users() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users", func(w http.ResponseWriter, r *http.Request) {
		reply(w, r, answer{Service: "users", Data: people})
	})
	mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) {
		for _, u := range people {
			if u.ID == r.PathValue("id") {
				reply(w, r, answer{Service: "users", Data: u})
				return
			}
		}
		http.Error(w, `{"service":"users","error":"no such user"}`, http.StatusNotFound)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { reply(w, r, answer{Service: "users"}) })
	return mux
}
