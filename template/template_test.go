package template

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/document"
	"github.com/sluice-gateway/sluice/exchange"
)

// values finds what the caller provides, by root, and the rest in a request.
type values map[string]string

func (v values) Find(r *Reference) Value {
	if r.IsExternal() && r.Slot != Captured {
		found, _ := document.Value(v[r.Root]).Get(r.Path)
		return Of(found)
	}
	return FromRequest(&exchange.Exchange{
		In: &http.Request{
			Method: "GET", URL: &url.URL{RawQuery: "q=a+b%26&empty=&odd=%FF"},
			Header: http.Header{"X-A": {"one", "two"}, "Cookie": {"sid=7"}, "X-Line": {"a\rb"}},
		},
		Host: "h.test", Route: "r", RequestID: "id-1",
		Captures: exchange.Captures{{Name: "id", Value: "a%2Fb"}, {Name: "odd", Value: "%FF"}},
		Identity: &exchange.Identity{Consumer: &exchange.Consumer{Name: "ann"}, Claims: map[string]any{"sub": "s", "deep": map[string]any{"n": 1.5}}},
	}, r)
}

func fill(text string, place Place, from values) (string, error) {
	t, err := Parse(text, place)
	if err != nil {
		return "", err
	}
	provided := func(r *Reference) (int, bool) { _, ok := from[r.Root]; return 0, ok }
	if err := t.Bind([]string{"id", "odd"}, provided, []string{"user"}); err != nil {
		return "", err
	}
	return t.String(from)
}

func TestFill(t *testing.T) {
	from := values{"user": `{"id":"../é","n":1.50,"list":[1, "x"],"line":"a\r\nb","q":"<\"&'>","no":null,"on":true}`}
	for _, c := range []struct {
		place      Place
		text, want string
	}{
		{Target, "/a", "/a"},
		{Target, "/{id}/{user.id}?x={user.id}&y={id}&z={query.q}", "/a%2Fb/..%2F%C3%A9?x=..%2F%C3%A9&y=a%2Fb&z=a%20b%26"},
		{Target, "/{odd}?x={odd}&y={query.odd}", "/%FF?x=%FF&y=%FF"},
		{Target, "/{user.n}/{user.on}/{user.list[1]}", "/1.50/true/x"},
		{Target, "/x?e={query.empty:-none}&f={user.no:-}", "/x?e=none&f="},
		{Target, "/%7B{{x}}", "!canonical"},
		{Target, "/{consumer}/{claim.sub}/{claim.deep.n}/{cookie.sid}/{header.x-a}/{host}/{route}/{method}/{requestId}", "/ann/s/1.5/7/one%2C%20two/h.test/r/GET/id-1"},
		{Target, "/{user.nothing}", "!{user.nothing} is not there"},
		{Target, "/{user.no}", "!{user.no} is not there"},
		{Target, "/{user.list}", "!{user.list} is an array"},
		{Target, "/{user}", "!{user} is an object"},
		{Header, "<{user.id}>{{}}", "<../é>{}"},
		{Header, "{user.line}", "!no header field can carry"},
		{Header, "{header.x-line}", "!no header field can carry"},
		{Header, "{odd}", "!not UTF-8"},
		{JSON, `{"a":{user.n},"b":"<{user.q}>","c":{user},"d":{id},"e":{"x":{}}}`, `{"a":1.50,"b":"<<\"&'>>","c":` + from["user"] + `,"d":"a/b","e":{"x":{}}}`},
		{JSON, `{"a":{user.no:-null},"b":{user.no:-text},"c":"{{user}","d":"\"{user.line}"}`, `{"a":null,"b":"text","c":"{user}","d":"\"a\r\nb"}`},
		{JSON, `{"a":"{user.list}"}`, "!is an array"},
		{JSON, `{"a":{odd}}`, "!not UTF-8"},
		{XML, `<a b="{user.q}">{user.q}{}</a>`, `<a b="&lt;&#34;&amp;&#39;&gt;">&lt;&#34;&amp;&#39;&gt;{}</a>`},
		{XML, `<a b='{user.q}'/>`, `<a b='&lt;&#34;&amp;&#39;&gt;'/>`},
		{Form, "a={user.q}&{user.id}=b", "a=%3C%22%26%27%3E&..%2F%C3%A9=b"},
		{Text, "{user.list} {user.q} { } {{x}", `[1, "x"] <"&'> { } {x}`},
		{Method, "{method}", "GET"},
	} {
		got, err := fill(c.text, c.place, from)
		mistake, wrong := strings.CutPrefix(c.want, "!")
		if wrong && (err == nil || !strings.Contains(err.Error(), mistake)) || !wrong && (err != nil || got != c.want) {
			t.Errorf("%s: %q, %v; want %q", c.text, got, err, c.want)
		}
		if c.place == JSON && err == nil && !json.Valid([]byte(got)) {
			t.Errorf("%s made %q", c.text, got)
		}
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		place      Place
		text, want string
	}{
		{Target, "x", "begins with /"},
		{Target, "/{a", "not closed"},
		{Target, "/a}", "closed that was not opened"},
		{Target, "/{}", "is no reference"},
		{Target, "/{a..b}", "is no path"},
		{Target, "/{a b}", "is no reference"},
		{Target, "/../x", "canonical"},
		{Target, "/a b", "cannot stand"},
		{Target, "/a#b", "cannot stand"},
		{Target, "/{query}", "write {query.NAME}"},
		{Target, "/{query.a.b}", "write {query.NAME}"},
		{Target, "/{client}", "client.ip"},
		{Target, "/{host.x}", "no parts"},
		{Target, "/{id.x}", "no parts"},
		{Target, "/{usr.x}", "there are id, odd, user, query.NAME"},
		{Target, "/{header.x-consumer-name}", "whatever the client likes"},
		{Target, "/{header.X_Forwarded_For}", "whatever the client likes"},
		{Target, "/" + strings.Repeat("{id}", 65), "more than 64"},
		{Header, "a\nb", "no header field"},
		{Method, "G T", "no method"},
		{Method, "CONNECT", "cannot be asked for"},
		{JSON, `{"a":}`, "not JSON"},
		{JSON, `{{id}: 1}`, "not JSON"},
		{JSON, `{"a": x{id}}`, "not JSON"},
		{Text, strings.Repeat("x", 1<<17), "longer than"},
	} {
		if got, err := fill(c.text, c.place, values{"user": "{}"}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.40s: %.40q, %v; want %q", c.text, got, err, c.want)
		}
	}
}

// FuzzTemplate: whatever a template is, it is refused or stands; and whatever fills a good one stays in its place.
func FuzzTemplate(f *testing.F) {
	f.Add("/{id}?x={user.a:-b}", `{"a":"x"}`)
	f.Add(`{"a":{user},"b":"{user.a}"}`, `{"a":"\"}"}`)
	f.Add("{{}}{x[\"}\"]}", "[]")
	f.Fuzz(func(t *testing.T, text, value string) {
		v, err := document.Parse([]byte(value), 50)
		if err != nil {
			v = document.AppendQuoted(nil, value)
		}
		from := values{"user": string(v)}
		for place := Target; place <= Text; place++ {
			if _, err := fill(text, place, from); err != nil {
				continue
			}
		}
		inside, err := fill(`{"a":"{user.a:-}","b":{user}}`, JSON, from)
		if err == nil && !json.Valid([]byte(inside)) {
			t.Fatalf("%q made %q", value, inside)
		}
		target, err := fill("/x/{user.a}/y?q={user.a}", Target, from)
		if path, query, _ := strings.Cut(target, "?"); err == nil && (strings.Count(path, "/") != 3 || strings.ContainsAny(query, "&#?") || strings.ContainsAny(target, " \r\n\x00")) {
			t.Fatalf("%q made %q", value, target)
		}
		field, err := fill("{user.a}", Header, from)
		if err == nil && strings.ContainsAny(field, "\r\n\x00") {
			t.Fatalf("%q made the field %q", value, field)
		}
	})
}
