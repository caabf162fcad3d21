package backend

import (
	"net/http"

	"github.com/sluice-gateway/sluice/exchange"
)

// Affinity keeps a caller with an endpoint of a service: by a key that a selector finds in the request, or by a cookie
// that holds the token of the endpoint.
//
// The cookie is set only where the client needs another than it has: with the first answer, and when its endpoint takes no
// requests any more. So it does not keep other answers from being cached.
type Affinity struct {
	HashOn *exchange.Selector // the key; the token, if there is a cookie
	cookie string             // empty: none
}

// Sticky is the affinity by a cookie of this name, which is a token of RFC 9110.
func Sticky(cookie string) *Affinity {
	token := new(exchange.Selector)
	if err := token.UnmarshalText([]byte("cookie:" + cookie)); err != nil {
		token = nil // then every client is new
	}
	return &Affinity{HashOn: token, cookie: cookie}
}

// key is what the choice depends on; empty: nothing. Nil has none.
func (a *Affinity) key(x *exchange.Exchange) string {
	if a == nil || a.HashOn == nil {
		return x.HashKey
	}
	key, _ := a.HashOn.Key(x)
	return key
}

// remember gives the client the token of the endpoint it is to come back to, if it needs one.
func (a *Affinity) remember(x *exchange.Exchange, token string) {
	if token == "" || a == nil || a.cookie == "" || x.Response == nil {
		return
	}
	set := a.cookie + "=" + token + "; Path=/; HttpOnly; SameSite=Lax"
	if x.TLS || x.Scheme == "https" {
		set += "; Secure"
	}
	if x.Response.Header == nil {
		x.Response.Header = make(http.Header)
	}
	x.Response.Header["Set-Cookie"] = append(x.Response.Header["Set-Cookie"], set)
}
