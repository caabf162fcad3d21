package httprule

import (
	"fmt"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"/":                            "/",
		"/v1/orders":                   "/v1/orders",
		"/v1/{id}":                     "/v1/{id}",
		"/v1/{id=*}":                   "/v1/{id}",
		"/v1/{order.id}/items/*":       "/v1/{order.id}/items/*",
		"/v1/{name=shelves/*/books/*}": "/v1/{name=shelves/*/books/*}",
		"/v1/{name=**}":                "/v1/{name=**}",
		"/**":                          "/**",
		"/v1/{name=a/**}:cancel":       "/v1/{name=a/**}:cancel",
		"/v1/orders:batch":             "/v1/orders:batch",
		"/v1/a%20b/%7Bx%7D":            "/v1/a%20b/%7Bx%7D",
		"/v1/a:b:c":                    "/v1/a:b%3Ac",
		"/:verb":                       "/:verb",
		"/v1/grüße":                    "/v1/gr%C3%BC%C3%9Fe",
		"/v1/{a=b/*}/{c=d}/*:x":        "/v1/{a=b/*}/{c=d}/*:x",
	} {
		p, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if p.String() != want {
			t.Errorf("%s is %s, want %s", text, p, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "does not begin with /",
		"v1":                                 "does not begin with /",
		"/v1/":                               "a segment is empty",
		"//v1":                               "a segment is empty",
		"/v1/{":                              "not closed",
		"/v1/{}":                             "no name of a field",
		"/v1/{a.}":                           "no name of a field",
		"/v1/{1a}":                           "no name of a field",
		"/v1/{a-b}":                          "no name of a field",
		"/v1/{a=}":                           "a segment is empty",
		"/v1/{a=b/}":                         "a segment is empty",
		"/v1/{a={b}}":                        "inside another",
		"/v1/{a=b:c}":                        "is not understood",
		"/v1/**/a":                           "** must be the last",
		"/v1/{a=**}/b":                       "** must be the last",
		"/v1/***":                            "is not understood",
		"/v1/a*":                             "is not understood",
		"/v1/{a}b":                           "is not understood",
		"/v1/{a}/{a}":                        "set twice",
		"/v1/{a}/{a.b}":                      "set twice",
		"/v1:":                               "verb is empty",
		"/v1/%zz":                            "not percent-encoded",
		"/v1?x=1":                            "is not understood",
		"/v1/a b":                            "is not understood",
		"/" + strings.Repeat("a/", 65) + "a": "more than 64 segments",
		"/" + strings.Repeat("a", 3000):      "more than 2048 bytes",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %q", text, err, want)
		}
	}
}

func router(t testing.TB, rules ...string) *Router[string] {
	t.Helper()
	r := new(Router[string])
	for _, rule := range rules {
		method, path, _ := strings.Cut(rule, " ")
		p, err := Parse(path)
		if err == nil {
			err = r.Add(method, p, rule)
		}
		if err != nil {
			t.Fatalf("%s: %v", rule, err)
		}
	}
	return r
}

func TestFind(t *testing.T) {
	r := router(t,
		"GET /", "GET /v1/orders", "POST /v1/orders", "GET /v1/orders/{id}", "POST /v1/orders/{id}:cancel", "GET /v1/orders/{id}/items/{item}",
		"GET /v1/{name=shelves/*/books/*}", "PATCH /v1/{book.name=shelves/*/books/*}", "GET /v1/orders/mine", "GET /files/{path=**}",
		"GET /any/{one=*}", "* /all/*", "GET /v1/{other}/special", "DELETE /v1/orders/mine", "GET /deep/{a=**}:verb", "GET /a%2Fb/x", "POST /:root", "PUT /v1/orders/{id}:a:b",
	)
	for request, want := range map[string]string{
		"GET /":                             "GET /",
		"GET /v1/orders":                    "GET /v1/orders",
		"HEAD /v1/orders":                   "GET /v1/orders",
		"POST /v1/orders":                   "POST /v1/orders",
		"PUT /v1/orders":                    "allow GET POST",
		"GET /v1/orders/7":                  "GET /v1/orders/{id} 7",
		"GET /v1/orders/":                   "",
		"GET /v1/orders/a%2Fb%20c":          "GET /v1/orders/{id} a/b c",
		"GET /v1/orders/%C3%A4":             "GET /v1/orders/{id} ä",
		"GET /v1/orders/a:b":                "GET /v1/orders/{id} a:b",
		"POST /v1/orders/7:cancel":          "POST /v1/orders/{id}:cancel 7",
		"POST /v1/orders/a:b:cancel":        "POST /v1/orders/{id}:cancel a:b",
		"PUT /v1/orders/7:a:b":              "PUT /v1/orders/{id}:a:b 7",
		"PUT /v1/orders/7:x:a:b":            "PUT /v1/orders/{id}:a:b 7:x",
		"POST /v1/orders/7%3Acancel":        "allow GET",
		"GET /v1/orders/7:cancel":           "GET /v1/orders/{id} 7:cancel",
		"GET /v1/orders/7/items/8":          "GET /v1/orders/{id}/items/{item} 7 8",
		"GET /v1/shelves/1/books/2":         "GET /v1/{name=shelves/*/books/*} shelves/1/books/2",
		"GET /v1/shelves/a%2Fb/books/c%20d": "GET /v1/{name=shelves/*/books/*} shelves/a%2Fb/books/c d",
		"PATCH /v1/shelves/1/books/2":       "PATCH /v1/{book.name=shelves/*/books/*} shelves/1/books/2",
		"PUT /v1/shelves/1/books/2":         "allow GET PATCH",
		"GET /v1/orders/mine":               "GET /v1/orders/mine",
		"DELETE /v1/orders/mine":            "DELETE /v1/orders/mine",
		"GET /v1/orders/special":            "GET /v1/orders/{id} special",
		"GET /v1/others/special":            "GET /v1/{other}/special others",
		"GET /files":                        "GET /files/{path=**} ",
		"GET /files/":                       "GET /files/{path=**} ",
		"GET /files/a/b/c%2Fd":              "GET /files/{path=**} a/b/c%2Fd",
		"GET /any/%2F":                      "GET /any/{one=*} /",
		"BREW /all/x":                       "* /all/*",
		"GET /deep/a/b:verb":                "GET /deep/{a=**}:verb a/b",
		"GET /deep:verb":                    "GET /deep/{a=**}:verb ",
		"GET /deep/a/b":                     "",
		"GET /a%2Fb/x":                      "GET /a%2Fb/x",
		"GET /nothing":                      "",
		"GET /v1":                           "",
		"POST /:root":                       "POST /:root",
	} {
		method, path, _ := strings.Cut(request, " ")
		var m Match[string]
		have := ""
		if r.Find(&m, method, path) {
			have = m.Value
			for i := range m.Template.Variables {
				v, ok := m.Variable(i)
				if !ok {
					v = "BROKEN"
				}
				have += " " + v
			}
		} else if len(m.Allowed) > 0 {
			have = "allow " + strings.Join(m.Allowed, " ")
		}
		if have != want {
			t.Errorf("%s finds %q, want %q", request, have, want)
		}
	}
}

func TestTwoOfTheSameForm(t *testing.T) {
	r := router(t, "GET /v1/{a}")
	p, _ := Parse("/v1/{b}")
	if err := r.Add("GET", p, ""); err == nil {
		t.Error("a second template of the same form is taken")
	}
	if err := r.Add("POST", p, ""); err != nil {
		t.Error(err)
	}
}

func TestFindAllocatesNothing(t *testing.T) {
	r := router(t, "GET /v1/{name=shelves/*/books/*}", "GET /v1/orders/{id}")
	var m Match[string]
	if n := testing.AllocsPerRun(100, func() { r.Find(&m, "GET", "/v1/shelves/1/books/2"); m.Variable(0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"/v1/{a=b/*}/**:x", "/", "/:v", "/a%20b:c%3A"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(p.String())
		if err != nil || fmt.Sprint(again) != fmt.Sprint(p) || len(again.Variables) != len(p.Variables) {
			t.Errorf("%q is written as %q, which is %v, %v", s, p, again, err)
		}
		r := new(Router[int])
		if err := r.Add("GET", p, 1); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzFind(f *testing.F) {
	r := router(f, "GET /", "GET /v1/{id}", "GET /v1/{id}:x", "GET /v1/{name=**}", "GET /{a=b/*/**}:y", "POST /:z")
	f.Add("/v1/a%2Fb:x")
	f.Add("/:")
	f.Fuzz(func(_ *testing.T, path string) {
		if !strings.HasPrefix(path, "/") {
			return
		}
		var m Match[string]
		for _, method := range []string{"GET", "POST"} {
			if r.Find(&m, method, path) {
				for i := range m.Template.Variables {
					m.Variable(i)
				}
			}
		}
	})
}
