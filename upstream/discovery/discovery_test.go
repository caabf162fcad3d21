package discovery

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func at(urls ...string) (list []Endpoint) {
	for _, u := range urls {
		list = append(list, Endpoint{URL: u, Weight: 1})
	}
	return list
}

func TestSanitizeGivesEveryEndpointItsOneForm(t *testing.T) {
	for given, want := range map[string]string{
		"http://10.0.0.1:8080":           "http://10.0.0.1:8080",
		"http://10.0.0.1":                "http://10.0.0.1:80",
		"https://Orders.Example.COM./":   "https://orders.example.com:443",
		"HTTP://a:08080":                 "http://a:8080",
		"http://[2001:DB8::1]:80":        "http://[2001:db8::1]:80",
		"http://[::ffff:10.0.0.1]:80":    "http://10.0.0.1:80",
		"http://_orders._tcp.svc-1:9000": "http://_orders._tcp.svc-1:9000",
		"http://127.0.0.1:1":             "http://127.0.0.1:1",
	} {
		set, _, err := Sanitize(at(given))
		if err != nil || set[0].URL != want {
			t.Errorf("%s is %v, %v; want %s", given, set, err, want)
		}
	}
}

func TestSanitizeRefusesGarbage(t *testing.T) {
	for _, c := range []struct {
		endpoint Endpoint
		why      string
	}{
		{Endpoint{URL: ""}, "scheme"},
		{Endpoint{URL: "10.0.0.1:8080"}, "no URL"},
		{Endpoint{URL: "ftp://a:1"}, "scheme"},
		{Endpoint{URL: "unix:/run/docker.sock"}, "scheme"},
		{Endpoint{URL: "http://user:pw@a:1"}, "credentials"},
		{Endpoint{URL: "http://a:1/path"}, "path"},
		{Endpoint{URL: "http://a:1?q"}, "path or query"},
		{Endpoint{URL: "http://a:1#f"}, "path or query"},
		{Endpoint{URL: "http://a:0"}, "port"},
		{Endpoint{URL: "http://a:"}, "port"},
		{Endpoint{URL: "http://a:65536"}, "port"},
		{Endpoint{URL: "http://:80"}, "no name"},
		{Endpoint{URL: "http://a..b:80"}, "no name"},
		{Endpoint{URL: "http://-a:80"}, "no name"},
		{Endpoint{URL: "http://a_b!:80"}, "no name"},
		{Endpoint{URL: "http://2130706433:80"}, "no name"},
		{Endpoint{URL: "http://127.1:80"}, "no name"},
		{Endpoint{URL: "http://0x7f.0x1:80"}, "no name"},
		{Endpoint{URL: "http://0.0.0.0:80"}, "nobody"},
		{Endpoint{URL: "http://[::]:80"}, "nobody"},
		{Endpoint{URL: "http://[::ffff:0.0.0.0]:80"}, "nobody"},
		{Endpoint{URL: "http://224.0.0.1:80"}, "nobody"},
		{Endpoint{URL: "http://[fe80::1%25eth0]:80"}, "zone"},
		{Endpoint{URL: "http://a:80\r\nx: y"}, "no URL"},
		{Endpoint{URL: "http://" + strings.Repeat("a", 400) + ":80"}, "too long"},
		{Endpoint{URL: "http://a:1", Weight: -1}, "weight"},
		{Endpoint{URL: "http://a:1", Weight: MaxWeight + 1}, "weight"},
		{Endpoint{URL: "http://a:1", Zone: "a b"}, "zone"},
		{Endpoint{URL: "http://a:1", Zone: strings.Repeat("z", maxZone+1)}, "zone"},
	} {
		good := at("http://good:1")
		if set, _, err := Sanitize(append(good, c.endpoint)); err == nil || !strings.Contains(err.Error(), c.why) || set != nil {
			t.Errorf("%+v: %v, %v; want a reason with %q", c.endpoint, set, err, c.why)
		}
	}
}

func TestSanitizeBoundsTheNumber(t *testing.T) {
	var many []Endpoint
	for i := range MaxEndpoints {
		many = append(many, Endpoint{URL: fmt.Sprintf("http://10.%d.%d.%d:80", i>>16, i>>8&255, i&255), Weight: 1})
	}
	if set, _, err := Sanitize(many); err != nil || len(set) != MaxEndpoints {
		t.Errorf("%d endpoints, %v", len(set), err)
	}
	if _, _, err := Sanitize(append(many, many[0])); err == nil || !strings.Contains(err.Error(), "10001 endpoints; at most 10000") {
		t.Errorf("one more: %v", err)
	}
}

// Whatever the order of the answer, the same endpoints are in force in the same order, and of duplicates the same one.
func TestSanitizeDoesNotDependOnTheOrder(t *testing.T) {
	answer := []Endpoint{
		{URL: "http://b:1", Weight: 1, Zone: "x"}, {URL: "http://b:1", Weight: 5, Zone: "z"}, {URL: "http://B:1/", Weight: 5, Zone: "y"},
		{URL: "http://a:1", Weight: 2}, {URL: "http://c", Weight: 0}, {URL: "http://c:80", Weight: 0},
	}
	want := []Endpoint{{URL: "http://a:1", Weight: 2}, {URL: "http://b:1", Weight: 5, Zone: "y"}, {URL: "http://c:80", Weight: 0}}
	for range 50 {
		rand.Shuffle(len(answer), func(i, j int) { answer[i], answer[j] = answer[j], answer[i] })
		before := slices.Clone(answer)
		set, duplicates, err := Sanitize(answer)
		if err != nil || duplicates != 3 || !slices.Equal(set, want) {
			t.Fatalf("%v, %d duplicates, %v", set, duplicates, err)
		}
		if !slices.Equal(answer, before) {
			t.Fatal("the answer was changed")
		}
	}
}

func TestParse(t *testing.T) {
	ab := []Endpoint{{URL: "https://a:1", Weight: 1}, {URL: "http://b:2", Weight: 3, Zone: "z"}}
	for _, text := range []string{
		"endpoints: [a:1, {url: \"http://b:2\", weight: 3, zone: z}]",
		"- a:1\n- url: http://b:2\n  weight: 3\n  zone: z\n",
		`["a:1", {"url": "http://b:2", "weight": 3, "zone": "z"}]`,
		"{\n\t\"endpoints\": [\"https://a:1\",\n\t{\"url\": \"http://b:2\", \"weight\": 3, \"zone\": \"z\"}]\n}",
		"# a comment\nendpoints:\n- a:1\n- {url: \"http://b:2\", weight: 3, zone: z}\n",
	} {
		got, err := Parse([]byte(text), "https")
		if err != nil || !reflect.DeepEqual(got, ab) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"endpoints: []", "[]", `{"endpoints": []}`, " [ ] "} {
		if got, err := Parse([]byte(text), "http"); err != nil || len(got) != 0 {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

func TestParseRefusesGarbage(t *testing.T) {
	for text, why := range map[string]string{
		"":                                 "empty",
		"null":                             "empty",
		"hello":                            "no list",
		"42":                               "no list",
		"<html><body>503</body></html>":    "no list",
		"{\"endpoints\": ":                 "neither YAML nor JSON",
		"\x00\x01\x02":                     "neither YAML nor JSON",
		"endpoint: []":                     "unknown key `endpoint`",
		"endpoints: a:1":                   "not a list",
		"endpoints: {a: b}":                "not a list",
		"- 42":                             "neither `host:port` nor",
		"- [a]":                            "neither `host:port` nor",
		"- {weight: 1}":                    "no `url`",
		"- {url: 1}":                       "`url` is text",
		"- {url: a, weight: -1}":           "`weight`",
		"- {url: a, weight: 1.5}":          "`weight`",
		"- {url: a, weight: 1000001}":      "`weight`",
		"- {url: a, weight: \"1\"}":        "`weight`",
		"- {url: a, weight: .inf}":         "`weight`",
		"- {url: a, weight: .nan}":         "`weight`",
		"- {url: a, zone: 1}":              "`zone` is text",
		"- {url: a, wieght: 1}":            "unknown key `wieght`",
		"a: &a [x, x]\nendpoints: [*a,*a]": "aliases",
		`[{"url": "a"}] trailing`:          "neither YAML nor JSON",
		"endpoints: []\nendpoints: [a:1]":  "",
		"? [a]\n: b":                       "",
	} {
		if got, err := Parse([]byte(text), "http"); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, %v; want a reason with %q", text, got, err, why)
		}
	}
	if _, err := Parse(make([]byte, MaxDocument+1), "http"); err == nil || !strings.Contains(err.Error(), "4 MiB") {
		t.Errorf("too large: %v", err)
	}
	if _, err := Parse([]byte(strings.Repeat("- a:1\n", MaxEndpoints+1)), "http"); err == nil || !strings.Contains(err.Error(), "at most 10000") {
		t.Errorf("too many: %v", err)
	}
}

// Whatever is parsed, what comes out passes the rules or is refused, and the rules give a set that they leave as it is.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"endpoints: [a:1, {url: \"http://b:2\", weight: 3, zone: z}]", "[]", "- a:1", `{"endpoints": [{"url": "http://[::1]:1"}]}`,
		"a: &a [x]\nendpoints: *a", "- {url: \"http://0.0.0.0\", weight: 1e3}", "\t[\"a\"]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		endpoints, err := Parse(data, "http")
		if err != nil {
			return
		}
		set, duplicates, err := Sanitize(endpoints)
		if err != nil {
			return
		}
		if len(set)+duplicates != len(endpoints) {
			t.Errorf("%d endpoints became %d and %d duplicates", len(endpoints), len(set), duplicates)
		}
		again, none, err := Sanitize(set)
		if err != nil || none != 0 || !slices.Equal(again, set) {
			t.Errorf("%v became %v, %v", set, again, err)
		}
	})
}
