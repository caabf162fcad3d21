package config

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// everything is a filter's Config with every type and tag of the language.
type everything struct {
	Text     string            `yaml:"text" default:"t"`
	Word     level5            `yaml:"word"`
	On       bool              `yaml:"on" default:"true"`
	Int      int               `yaml:"int" default:"-3" min:"-5" max:"5"`
	Small    int8              `yaml:"small"`
	Uint     uint16            `yaml:"uint" max:"9"`
	Float    float64           `yaml:"float" min:"0.5"`
	Wait     time.Duration     `yaml:"wait" default:"5s" max:"1m"`
	Room     Size              `yaml:"room" max:"1KiB"`
	Limit    *int              `yaml:"limit"`
	Given    *int              `yaml:"given" default:"7"`
	Prefix   netip.Prefix      `yaml:"prefix"`
	Addr     netip.Addr        `yaml:"addr"`
	Prefixes []netip.Prefix    `yaml:"prefixes"`
	Modes    []string          `yaml:"modes" default:"a,b" enum:"a,b,c" yet:"d"`
	Sizes    []int             `yaml:"sizes" max:"3"`
	Set      map[string]string `yaml:"set"`
	Levels   map[string]level5 `yaml:"levels"`
	Nested   nested            `yaml:"nested"`
	More     []nested          `yaml:"more" one:"true"`
	Maybe    *nested           `yaml:"maybe" off:"true" default:"{}"`
	Path     shorthand         `yaml:"path"`
	Later    Node              `yaml:"later"`
	Password string            `yaml:"password" secret:"true" enum:"open,sesame"`
	Hidden   int               `yaml:"-"`
	_        struct{}          `yet:"future"`

	internal int //lint:ignore U1000 the decoder must pass it by
}

type nested struct {
	Name string `yaml:"name" default:"n"`
}

type shorthand struct {
	Plain string `yaml:"-" short:"true"`
	Regex string `yaml:"regex"`
}

// level5 is a type of a filter's own that reads itself from text.
type level5 int

func (l *level5) UnmarshalText(text []byte) error {
	if len(text) > 5 {
		return errors.New("longer than five")
	}
	*l = level5(len(text))
	return nil
}

func settings(t testing.TB, text string) Node {
	t.Helper()
	c, found := Parse([]File{{"a.yaml", []byte("filters:\n  - x: " + text + "\n" + strings.TrimLeft(minimal, "\n"))}}, outside)
	if found.HasErrors() {
		t.Fatal(found.Err())
	}
	return c.Filters[0].Settings
}

func TestDecode(t *testing.T) {
	defaults := everything{Text: "t", On: true, Int: -3, Wait: 5 * time.Second, Given: ptr(7), Modes: []string{"a", "b"},
		Nested: nested{"n"}, Maybe: &nested{"n"}}
	with := func(change func(*everything)) everything {
		e := defaults
		change(&e)
		return e
	}
	for text, want := range map[string]everything{
		"":                       defaults,
		"{}":                     defaults,
		"{text: x, word: three}": with(func(e *everything) { e.Text, e.Word = "x", 5 }),
		"{word: 12, levels: {a: 1.5, 7: x}}": with(func(e *everything) {
			e.Word, e.Levels = 2, map[string]level5{"a": 3, "7": 1}
		}),
		"{on: false, int: 5, small: -128, uint: 9, float: .5}": with(func(e *everything) {
			e.On, e.Int, e.Small, e.Uint, e.Float = false, 5, -128, 9, 0.5
		}),
		"{float: 1e3, wait: 0, room: 1KiB, limit: 3}": with(func(e *everything) {
			e.Float, e.Wait, e.Room, e.Limit = 1000, 0, 1024, ptr(3)
		}),
		"{prefix: 10.1.2.3, addr: '::1', prefixes: [10.0.0.0/8, '::ffff:10.0.0.1']}": with(func(e *everything) {
			e.Prefix, e.Addr = netip.MustParsePrefix("10.1.2.3/32"), netip.MustParseAddr("::1")
			e.Prefixes = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.0.0.1/32")}
		}),
		"{modes: [], sizes: , set: }": with(func(e *everything) {
			e.Modes, e.Sizes, e.Set = []string{}, []int{}, map[string]string{}
		}),
		"{set: {a: b}, nested: {}, more: {name: one}, maybe: off}": with(func(e *everything) {
			e.Set, e.More, e.Maybe = map[string]string{"a": "b"}, []nested{{"one"}}, nil
		}),
		"{more: [{}, {name: two}], maybe: , path: /a}": with(func(e *everything) {
			e.More, e.Path = []nested{{"n"}, {"two"}}, shorthand{Plain: "/a"}
		}),
		"{path: {regex: x}, password: sesame, text: 2026-11-22}": with(func(e *everything) {
			e.Path, e.Password, e.Text = shorthand{Regex: "x"}, "sesame", "2026-11-22"
		}),
	} {
		var have everything
		if found := settings(t, text).Decode(&have); found != nil {
			t.Errorf("%s: %v", text, found.Err())
			continue
		}
		have.Later = Node{}
		if diff := cmp.Diff(want, have, models, cmp.AllowUnexported(everything{})); diff != "" {
			t.Errorf("%s (-want +have)\n%s", text, diff)
		}
	}
}

func TestDecodeMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"{small: 128}":                "filters[0].x.small: `128`: the number is too large",
		"{uint: -1}":                  "filters[0].x.uint: `-1`: the number is too large, or negative",
		"{uint: 10}":                  "filters[0].x.uint: `10` is more than 9",
		"{int: -6}":                   "filters[0].x.int: `-6` is less than -5",
		"{int: 010}":                  "filters[0].x.int: `010`: a whole number is written in decimal digits",
		"{int: 99999999999999999999}": "filters[0].x.int: `99999999999999999999`: the number is too large",
		"{float: 0.1}":                "filters[0].x.float: `0.1` is less than 0.5",
		"{float: .inf}":               "filters[0].x.float: `.inf`: a number is written in decimal digits",
		"{float: .nan}":               "filters[0].x.float: `.nan`: a number is written in decimal digits",
		"{float: 0x1p4}":              "filters[0].x.float: a number is wanted here, not a string",
		"{wait: 61s}":                 "filters[0].x.wait: `61s` is more than 1m",
		"{wait: true}":                "filters[0].x.wait: a duration is wanted here, not a boolean",
		"{room: 2KiB}":                "filters[0].x.room: `2KiB` is more than 1KiB",
		"{room: -1}":                  "filters[0].x.room: `-1`: a size is a number and KiB, MiB, GiB or TiB: 64KiB",
		"{word: toolong}":             "filters[0].x.word: `toolong`: longer than five",
		"{word: true}":                "filters[0].x.word: a word is wanted here, not a boolean",
		"{prefix: 10.0.0.0/33}":       "filters[0].x.prefix: `10.0.0.0/33`: an address or a prefix is wanted: 10.0.0.0/8, 2001:db8::1",
		"{prefix: 'fe80::1%eth0'}":    "filters[0].x.prefix: `fe80::1%eth0`: an address or a prefix is wanted: 10.0.0.0/8, 2001:db8::1",
		"{addr: 10.0.0.0/8}":          "filters[0].x.addr: `10.0.0.0/8`: an address is wanted: 10.0.0.1, 2001:db8::1",
		"{modes: [a, d]}":             "filters[0].x.modes[1]: `d` is part of the language but not built yet",
		"{modes: [a, e]}":             "filters[0].x.modes[1]: unknown value `e`",
		"{sizes: [1, 4]}":             "filters[0].x.sizes[1]: `4` is more than 3",
		"{sizes: [1, ]}":              "",
		"{sizes: [~]}":                "filters[0].x.sizes[0]: a whole number is wanted here, but there is nothing",
		"{set: [a]}":                  "filters[0].x.set: a mapping is wanted here, not a list",
		"{set: {a.b: 1}}":             `filters[0].x.set["a.b"]: a string is wanted here, not a number`,
		"{nested: x}":                 "filters[0].x.nested: a mapping is wanted here, not a string",
		"{maybe: on}":                 "filters[0].x.maybe: a mapping or `off` is wanted here, not a string",
		"{more: [{naem: x}]}":         "filters[0].x.more[0].naem: unknown key `naem`, did you mean `name`?",
		"{path: [x]}":                 "filters[0].x.path: a mapping is wanted here, not a list",
		"{path: }":                    "filters[0].x.path: a mapping is wanted here, but there is nothing",
		"{password: hunter2}":         "filters[0].x.password: unknown value `[redacted]`",
		"{password: 7}":               "filters[0].x.password: a string is wanted here, not a number",
		"{Hidden: 1}":                 "filters[0].x.Hidden: unknown key `Hidden`",
		"{internal: 1}":               "filters[0].x.internal: unknown key `internal`",
		"{future: 1}":                 "filters[0].x.future: `future` is part of the language but not built yet",
	} {
		var have everything
		found := settings(t, text).Decode(&have)
		switch {
		case want == "" && found == nil:
		case len(found) != 1:
			t.Errorf("%s: %d diagnostics: %v", text, len(found), found.Err())
		default:
			if message := found[0].Path + ": " + found[0].Message; message != want {
				t.Errorf("%s\nhave %s\nwant %s", text, message, want)
			}
			if found[0].File != "a.yaml" || found[0].Line != 2 {
				t.Errorf("%s at %s:%d", text, found[0].File, found[0].Line)
			}
			if strings.Contains(found[0].Source+found[0].Hint, "hunter2") {
				t.Errorf("%s: shows the secret: %+v", text, found[0])
			}
		}
	}
}

type fieldError struct{ field, text string }

func (e fieldError) Error() string { return e.text }
func (e fieldError) Field() string { return e.field }

type validated struct {
	Allow []string `yaml:"allow"`
	Deep  struct {
		A int `yaml:"a"`
	} `yaml:"deep"`
	Count int `yaml:"count"`
}

func (v *validated) Validate() error {
	switch {
	case v.Count == 1:
		return fieldError{"allow[1]", "not this one"}
	case v.Count == 2:
		return errors.Join(fieldError{"deep.a", "too deep"}, errors.New("just wrong"), fieldError{"allow[9]", "not there"})
	}
	return nil
}

func TestValidate(t *testing.T) {
	for text, want := range map[string]string{
		"{count: 0}":                "",
		"{count: x, allow: 5}":      "a.yaml:2:16: error: filters[0].x.count: a whole number is wanted here, not a string\na.yaml:2:26: error: filters[0].x.allow: a list is wanted here, not a number",
		"{count: 1, allow: [a, b]}": "a.yaml:2:30: error: filters[0].x.allow[1]: not this one",
		"{deep: {a: 1}, count: 2}":  "a.yaml:2:5: error: filters[0].x: just wrong\na.yaml:2:5: error: filters[0].x.allow[9]: not there\na.yaml:2:19: error: filters[0].x.deep.a: too deep",
		"{count: 2, allow: [a]}":    "a.yaml:2:5: error: filters[0].x.deep.a: too deep\na.yaml:2:5: error: filters[0].x: just wrong\na.yaml:2:19: error: filters[0].x.allow[9]: not there",
	} {
		var have validated
		found := settings(t, text).Decode(&have)
		if message := errText(found.Err()); message != want {
			t.Errorf("%s\nhave %s\nwant %s", text, message, want)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestMistakesOfTheProgram: a Config struct with bad tags is reported, never a panic.
func TestMistakesOfTheProgram(t *testing.T) {
	for want, target := range map[string]any{
		"the yaml tag must be": &struct {
			A int `yaml:"a,omitempty"`
		}{},
		"not \"\"": &struct{ A int }{},
		"decimal digits": &struct {
			A int `yaml:"a" default:"x"`
		}{},
		"min: ": &struct {
			A time.Duration `yaml:"a" min:"x"`
		}{},
		"off is for pointers": &struct {
			A int `yaml:"a" off:"true"`
		}{},
		"no type of the language": &struct {
			A chan int `yaml:"a" default:"x"`
		}{},
		"map without string keys": &struct {
			A map[int]int `yaml:"a"`
		}{},
		"cannot be decoded into a string":         "x",
		"cannot be decoded into a *int":           new(int),
		"cannot be decoded into a *config.nested": (*nested)(nil),
		"cannot be decoded into a <nil>":          nil,
	} {
		found := settings(t, "{a: {}}").Decode(target)
		if err := found.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	type list struct {
		A []int `yaml:"a" default:"1,x"`
	}
	if err := (Node{}).Decode(&list{}).Err(); err == nil {
		t.Error("a default that is no list of numbers is no error")
	}
	type outer struct {
		A list `yaml:"a"`
	}
	if err := (Node{}).Decode(&outer{}).Err(); err == nil {
		t.Error("a mistake in a structure that is absent is no error")
	}
}

func TestNode(t *testing.T) {
	zero := Node{}
	n := settings(t, "{a: 1, b: [x, {c: 2}]}")
	if !zero.IsZero() || zero.Path() != "" || n.IsZero() || n.Path() != "filters[0].x" {
		t.Errorf("%q %q", zero.Path(), n.Path())
	}
	var e everything
	if found := zero.Decode(&e); found != nil || e.Text != "t" {
		t.Errorf("the zero node: %v %v", e, found)
	}
	if found := zero.Decode(&struct {
		A string `yaml:"a" required:"true"`
	}{}); !found.HasErrors() || found[0].Line != 0 {
		t.Errorf("%v", found)
	}
	for text, same := range map[string]bool{
		"{b: [x, {c: 2}], a: 1}":                              true,
		"\n      a: 1\n      b:\n        - x\n        - c: 2": true,
		"{a: 2, b: [x, {c: 2}]}":                              false,
		"{a: '1', b: [x, {c: 2}]}":                            false,
		"{a: 1, b: [{c: 2}, x]}":                              false,
		"{a: 1, b: [x]}":                                      false,
		"{a: 1, d: [x, {c: 2}]}":                              false,
		"{a: 1}":                                              false,
		"":                                                    false,
	} {
		if o := settings(t, text); n.Equal(o) != same || o.Equal(n) != same || !o.Equal(o) {
			t.Errorf("%s: equal is %v", text, !same)
		} else if (n.Fingerprint() == o.Fingerprint()) != same {
			t.Errorf("%s: fingerprints %s and %s", text, n.Fingerprint(), o.Fingerprint())
		}
	}
	if zero.Fingerprint() != "" || settings(t, "").Fingerprint() == n.Fingerprint() {
		t.Error("fingerprints of nothing")
	}
	if n.Equal(zero) || !zero.Equal(Node{}) {
		t.Error("the zero node equals what it should not")
	}
}

func TestPathTo(t *testing.T) {
	for _, test := range []struct{ path, key, want string }{
		{"", "a", "a"}, {"a[0]", "b", "a[0].b"}, {"a", "x-y_1", "a.x-y_1"}, {"a", "b.c", `a["b.c"]`}, {"a", "", `a[""]`}, {"", `"`, `["\""]`},
	} {
		if have := PathTo(test.path, test.key); have != test.want {
			t.Errorf("%q %q is %s", test.path, test.key, have)
		}
	}
}
