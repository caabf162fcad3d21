package aggregate_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sluice-gateway/sluice/gatewaytest"
)

// Service a keeps last good answers; b, which is never failing, says who the caller is.
const keeping = `
listeners: [{name: public, address: "127.0.0.1:0"}]
consumers: [{name: ada, credentials: [{key: k1}]}]
routes:
  - name: whole
    match: {path: "/get/{id}"}
    filters: [%s]
    retry: off
    aggregate:
      calls:
        - %s
services:
  - name: a
    endpoints: [{url: %q}]
    circuitBreaker: {minRequests: 1, errorPercent: 1, openFor: 1h, fallback: {lastGood: 1h}}
  - {name: b, endpoints: [{url: %q}]}
`

// A call's answer is kept as a last good one, and given to the next client, only if nothing but the key of it may tell one
// client from the other.
func TestLastGoodAnswersOfCalls(t *testing.T) {
	const me = `{name: me, service: b, path: /me, forward: [authorization]}
        - `
	const get, post = "GET /get/1", "POST /get/1"
	for _, c := range []struct {
		name, filters, calls string
		first, next          []string // a request and its fields
		kept                 bool
	}{
		{"the same path", "", `{name: x, service: a, path: "/x/{id}", query: {q: "{query.q}", host: "{host}"}}`, []string{get + "?q=1"}, []string{get + "?q=1"}, true},
		{"another path", "", `{name: x, service: a, path: "/x/{id}"}`, []string{get}, []string{"GET /get/2"}, false},
		{"another query", "", `{name: x, service: a, path: "/x?q={query.q}"}`, []string{get + "?q=1"}, []string{get + "?q=2"}, false},
		{"credentials that do not go with it", "", `{name: x, service: a, path: /x}`, []string{get, "Authorization", "a", "Cookie", "sid=a"}, []string{get, "Authorization", "b", "Cookie", "sid=b"}, true},

		{"a consumer", "keyAuth: {}", `{name: x, service: a, path: /x}`, []string{get, "apikey", "k1"}, []string{get, "apikey", "k1"}, false},
		{"a consumer in the path", "keyAuth: {}", `{name: x, service: a, path: "/x/{consumer}"}`, []string{get, "apikey", "k1"}, []string{get, "apikey", "k1"}, false},
		{"a consumer that the service is not told of", "{keyAuth: {}}, {requestHeaders: {remove: [x-consumer-name]}}", `{name: x, service: a, path: /x}`, []string{get, "apikey", "k1"}, []string{get, "apikey", "k1"}, false},
		{"nobody in the path", "", `{name: x, service: a, path: "/x/{consumer:-nobody}"}`, []string{get}, []string{get}, false},
		{"credentials that a filter sets", `requestHeaders: {set: {authorization: s3cret}}`, `{name: x, service: a, path: /x}`, []string{get}, []string{get}, false},

		{"an address in the path", "", `{name: x, service: a, path: "/x/{client.ip}"}`, []string{get}, []string{get}, false},
		{"a cookie in the path", "", `{name: x, service: a, path: "/x/{cookie.sid}"}`, []string{get, "Cookie", "sid=1"}, []string{get, "Cookie", "sid=1"}, false},
		{"a cookie in a field", "", `{name: x, service: a, path: /x, headers: {accept-language: "{cookie.lang}"}}`, []string{get, "Cookie", "lang=de"}, []string{get, "Cookie", "lang=de"}, false},
		{"credentials in the query", "", `{name: x, service: a, path: "/x?as={header.authorization}"}`, []string{get, "Authorization", "a"}, []string{get, "Authorization", "a"}, false},
		{"a language in the query", "", `{name: x, service: a, path: "/x?in={header.accept-language}"}`, []string{get, "Accept-Language", "de"}, []string{get, "Accept-Language", "de"}, true},
		{"a body in the path", "", `{name: x, service: a, path: "/x/{body}"}`, []string{post + " 1"}, []string{post + " 1"}, false},
		{"elements of a body", "", `{name: x, service: a, path: "/x/{item}", forEach: body.all}`, []string{post + ` {"all":[1]}`}, []string{post + ` {"all":[1]}`}, false},
		{"a body of its own", "", `{name: x, service: a, path: /x, method: GET, body: "{query.q}"}`, []string{get + "?q=1"}, []string{get + "?q=1"}, false},
		{"another method", "", `{name: x, service: a, path: /x, method: "{method}"}`, []string{post}, []string{post}, false},

		{"a field of the key", "", `{name: x, service: a, path: /x, headers: {accept-language: de}}`, []string{get}, []string{get}, true},
		{"a field of its own", "", `{name: x, service: a, path: /x, headers: {x-role: clerk}}`, []string{get}, []string{get}, false},
		{"a name in a field", "", `{name: x, service: a, path: /x, headers: {x-user: "{header.x-user}"}}`, []string{get, "X-User", "a"}, []string{get, "X-User", "b"}, false},
		{"forwarded credentials", "", `{name: x, service: a, path: /x, forward: [authorization]}`, []string{get, "Authorization", "a"}, []string{get}, false},
		{"forwarded credentials, afterwards", "", `{name: x, service: a, path: /x, forward: [authorization]}`, []string{get}, []string{get, "Authorization", "a"}, false},
		{"none to forward", "", `{name: x, service: a, path: /x, forward: [authorization, traceparent]}`, []string{get, "Traceparent", "1"}, []string{get, "Traceparent", "2"}, true},
		{"a forwarded cookie", "", `{name: x, service: a, path: /x, forward: [cookie]}`, []string{get, "Cookie", "sid=a"}, []string{get, "Cookie", "sid=b"}, false},
		{"a forwarded name", "", `{name: x, service: a, path: /x, forward: [x-user]}`, []string{get, "X-User", "a"}, []string{get, "X-User", "b"}, false},
		{"a forwarded language", "", `{name: x, service: a, path: /x, forward: [accept-language]}`, []string{get, "Accept-Language", "de"}, []string{get, "Accept-Language", "de"}, true},
		{"another forwarded language", "", `{name: x, service: a, path: /x, forward: [accept-language]}`, []string{get, "Accept-Language", "de"}, []string{get, "Accept-Language", "en"}, false},

		{"an answer for anybody", "", me + `{name: x, service: a, path: "/x/{me.id}"}`, []string{get}, []string{get}, true},
		{"an answer for one", "", me + `{name: x, service: a, path: "/x/{me.id}"}`, []string{get, "Authorization", "a"}, []string{get, "Authorization", "a"}, false},
		{"elements of an answer for anybody", "", me + `{name: x, service: a, path: "/x/{item}/{index}", forEach: .me.all}`, []string{get}, []string{get}, true},
		{"elements of an answer for one", "", me + `{name: x, service: a, path: "/x/{item}", forEach: .me.all}`, []string{get, "Authorization", "a"}, []string{get, "Authorization", "a"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var failing atomic.Bool
			a := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if failing.Load() {
					w.WriteHeader(http.StatusInternalServerError)
					return
				}
				says(`"good"`)(w, r)
			})
			b := serve(t, says(`{"id":7,"all":[7]}`))
			g := gatewaytest.Start(t, fmt.Sprintf(keeping, c.filters, c.calls, a.url, b.url))
			if r := requested(t, g, c.first); !strings.Contains(r, "good") {
				t.Fatalf("before it fails: %s", r)
			}
			failing.Store(true)
			requested(t, g, []string{"GET /get/opens", "Authorization", "x", "Cookie", "sid=x; lang=x", "X-User", "x", "Accept-Language", "x", "apikey", "k1"})
			requested(t, g, c.first) // opens it where that could not be asked
			n := len(a.requests())
			r := requested(t, g, c.next)
			if len(a.requests()) > n {
				t.Fatal("the breaker is not open")
			}
			if kept := strings.Contains(r, "good"); kept != c.kept {
				t.Errorf("kept is %v: %s", kept, r)
			}
		})
	}
}

// requested asks by a line of method, path and body, and fields.
func requested(t *testing.T, g *gatewaytest.Gateway, request []string) string {
	t.Helper()
	parts := strings.SplitN(request[0], " ", 3)
	body := strings.Join(parts[2:], "")
	return ask(t, g, parts[0], parts[1], body, request[1:]...).String()
}
