package document

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ text, want, mistake string }{
		{` {"a" : [1, 2.50, -0, 1e+9, "x\u00e9\n", true, false, null, {}, []] } `, `{"a" : [1, 2.50, -0, 1e+9, "x\u00e9\n", true, false, null, {}, []] }`, ""},
		{`12345678901234567890.10`, `12345678901234567890.10`, ""},
		{``, "", "the text ends too early at byte 0"},
		{`{"a":1`, "", "the text ends too early at byte 6"},
		{`{"a":1}}`, "", "more text follows the value at byte 7"},
		{`{"a" 1}`, "", "a colon is missing at byte 5"},
		{`{a:1}`, "", "a member's name is missing at byte 1"},
		{`[1,]`, "", "no value begins like this at byte 3"},
		{`[1 2]`, "", "a comma or the end of the array is missing at byte 3"},
		{`01`, "", "more text follows the value at byte 1"},
		{`1.`, "", "the text ends too early at byte 2"},
		{`-x`, "", "a number needs a digit here at byte 1"},
		{`nul`, "", "no value begins like this at byte 0"},
		{"\"a\tb\"", "", "a control character stands in a string at byte 2"},
		{"\"a\xffb\"", "", "the text is not UTF-8 at byte 2"},
		{`"\x"`, "", "an escape is broken at byte 2"},
		{`"\u12g4"`, "", "an escape is broken at byte 5"},
		{`"abc`, "", "the text ends too early at byte 4"},
		{`"abc\`, "", "the text ends too early at byte 5"},
		{strings.Repeat("[", 9), "", "the value is nested too deep at byte 8"},
		{"\xef\xbb\xbf{}", "", "no value begins like this at byte 0"},
	} {
		v, err := Parse([]byte(c.text), 8)
		if text := fmt.Sprint(err); string(v) != c.want || c.mistake != "" && text != c.mistake || c.mistake == "" && err != nil {
			t.Errorf("%q: %q, %v; want %q %q", c.text, v, err, c.want, c.mistake)
		}
	}
}

func TestDepthBombs(t *testing.T) {
	for _, bomb := range []string{strings.Repeat("[", 1<<20), strings.Repeat(`{"a":`, 1<<18)} {
		if _, err := Parse([]byte(bomb), 1<<30); err == nil || !strings.Contains(err.Error(), "too deep") {
			t.Errorf("%.10s…: %v", bomb, err)
		}
	}
	if _, err := FromXML([]byte(strings.Repeat("<a>", 1<<18)), 64); err == nil || !strings.Contains(err.Error(), "too deep") {
		t.Errorf("XML: %v", err)
	}
}

func parse(t testing.TB, text string) Value {
	t.Helper()
	v, err := Parse([]byte(text), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestGet(t *testing.T) {
	v := parse(t, `{ "user" : {"regionId":7.10,"tags":["a","b\"]}",{"x":null}]}, "odd name":{"k":"v"}, "e\u0073c":true, "twice":1, "twice":2, "":3}`)
	for path, want := range map[string]string{
		".user.regionId": "7.10", "user.tags[1]": `"b\"]}"`, ".user.tags[2].x": "null", `.["odd name"].k`: `"v"`,
		".esc": "true", ".twice": "2", `.[""]`: "3", ".": string(v), `.user["tags"][0]`: `"a"`,
		".nothing": "", ".user.tags[3]": "", ".user.tags.a": "", ".user.regionId.x": "",
	} {
		p, err := ParsePath(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if got, ok := v.Get(p); string(got) != want || ok != (want != "") {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
		if again, err := ParsePath(p.String()); err != nil || !slices.Equal(again, p) {
			t.Errorf("%s is written %s: %v", path, p, err)
		}
	}
	for _, path := range []string{"a..b", "a[", "a[x]", "a[-1]", "a b", `a["b`, "a]", ".a[1]b", strings.Repeat(".a", 40)} {
		if p, err := ParsePath(path); err == nil {
			t.Errorf("%q is read as %v", path, p)
		}
	}
}

func TestPick(t *testing.T) {
	for _, c := range []struct{ pick, text, want string }{
		{"items", `{"a":1,"items":[1.50, 2]}`, `{"items":[1.50, 2]}`},
		{"a.b c", `{"a":{"b":1e5,"x":2},"c":"\u0041","d":0}`, `{"a":{"b":1e5},"c":"\u0041"}`},
		{"a a.b", `{"a":{"b":1,"x":2}}`, `{"a":{"b":1,"x":2}}`},
		{"a.b a", `{"a":{"b":1,"x":2}}`, `{"a":{"b":1,"x":2}}`},
		{"items.id", `{"items":[{"id":1,"n":2},{"n":3},4]}`, `{"items":[{"id":1},{},null]}`},
		{"id", `[{"id":1,"n":2},{"id":2}]`, `[{"id":1},{"id":2}]`},
		{"a.b", `{"a":5,"b":6}`, `{}`},
		{"a", `"text"`, `null`},
		{"gone", `{"a":5}`, `{}`},
	} {
		var paths []Path
		for _, text := range strings.Fields(c.pick) {
			p, err := ParsePath(text)
			if err != nil {
				t.Fatal(err)
			}
			paths = append(paths, p)
		}
		pick, err := NewPick(paths)
		if err != nil {
			t.Fatal(err)
		}
		if got := pick.Append(nil, parse(t, c.text)); string(got) != c.want {
			t.Errorf("%s of %s: %s, want %s", c.pick, c.text, got, c.want)
		}
	}
	for _, path := range []Path{{}, {{Indexed: true}}} {
		if _, err := NewPick([]Path{path}); err == nil {
			t.Errorf("pick of %v", path)
		}
	}
}

func TestStrings(t *testing.T) {
	for _, text := range []string{"", "plain", "\"\\/\b\f\n\r\t\x00\x1f", "é€😀", "</script>&"} {
		quoted := AppendQuoted(nil, text)
		var back string
		if err := json.Unmarshal(quoted, &back); err != nil || back != text {
			t.Errorf("%q is quoted %s: %q, %v", text, quoted, back, err)
		}
		if own := Value(quoted).Text(); own != text || !Value(quoted).Is(text) {
			t.Errorf("%s is read %q", quoted, own)
		}
	}
	if got := parse(t, `"\ud83d\ude00 \ud83d \udc00x\u00e9\/\b\f"`).Text(); got != "😀 \ufffd \ufffdxé/\b\f" {
		t.Errorf("%q", got)
	}
	if got := string(AppendQuoted(nil, "a\xff")); got != "\"a\ufffd\"" {
		t.Errorf("%q", got)
	}
}

func TestProgram(t *testing.T) {
	for _, c := range []struct{ program, in, want, mistake string }{
		{"{b: .a}", `{"a":12345678901234567890123.450}`, `{"b":12345678901234567890123.450}`, ""},
		{".a + 1", `{"a":123456789012345678901234567890}`, `123456789012345678901234567891`, ""},
		{"[.items[] | select(.open)]", `{"items":[{"open":true,"n":1.0},{"open":false}]}`, `[{"n":1.0,"open":true}]`, ""},
		{".items[]", `{"items":[1,2]}`, "", "several values"},
		{"empty", `{}`, "", "no value"},
		{"halt", `{}`, "", "halted"},
		{".a[]", `{}`, "", "cannot iterate over: null"},
		{`"x" * 200`, `{}`, "", "over the limit"},
		{"[range(1e9)] | length", `{}`, "", "deadline exceeded"},
		{"$ENV.HOME", `{}`, "null", ""},
		{"env | length", `{}`, "0", ""},
		{"1, error(\"late\")", `{}`, "", "late"},
	} {
		p, err := NewProgram(c.program)
		if err != nil {
			t.Errorf("%s: %v", c.program, err)
			continue
		}
		ctx := context.Background()
		if strings.Contains(c.program, "range") {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, 5*time.Millisecond)
			defer cancel()
		}
		got, err := p.Run(ctx, parse(t, c.in), 100)
		if string(got) != c.want || c.mistake != "" && (err == nil || !strings.Contains(err.Error(), c.mistake)) {
			t.Errorf("%s: %s, %v; want %s %s", c.program, got, err, c.want, c.mistake)
		}
	}
	for _, program := range []string{"{", "nonsense(1)", "import \"a\" as a; .", "input", "input_line_number_x", strings.Repeat(".", 1<<17)} {
		if _, err := NewProgram(program); err == nil {
			t.Errorf("%.20s compiles", program)
		}
	}
}

func TestXML(t *testing.T) {
	for _, c := range []struct{ xml, json string }{
		{`<order id="7"><item>a</item><item>b</item></order>`, `{"order":{"@id":"7","item":["a","b"]}}`},
		{`<?xml version="1.0"?><!-- c --><s:a xmlns:s="urn:x" xmlns="urn:y" s:k="v"> <b/> <c x="1">t&amp;<![CDATA[<]]></c> <b>2</b> </s:a>`, `{"a":{"@k":"v","b":["","2"],"c":{"@x":"1","#text":"t&<"}}}`},
		{`<a> x </a>`, `{"a":" x "}`},
	} {
		got, err := FromXML([]byte(c.xml), 8)
		if err != nil || string(got) != c.json || !json.Valid(got) {
			t.Errorf("%s: %s, %v; want %s", c.xml, got, err, c.json)
		}
	}
	for text, want := range map[string]string{
		`<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`: "DOCTYPE", `<a>&b;</a>`: "malformed", `<a><b></a>`: "malformed",
		`<a/><b/>`: "second element", `<a/>x`: "outside", ``: "malformed", `<a>`: "malformed", "<a>\xff</a>": "UTF-8",
		`<?xml version="1.0" encoding="utf-16"?><a/>`: "malformed", `<a><!DOCTYPE b></a>`: "DOCTYPE",
		"<a>" + strings.Repeat("<b/>", maxElements) + "</a>": "too many",
	} {
		if v, err := FromXML([]byte(text), 8); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %.40s, %v; want %s", text, v, err, want)
		}
	}
}

func TestAppendXML(t *testing.T) {
	const head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	for _, c := range []struct{ json, xml string }{
		{`{"order":{"@id":7,"item":["a<b","c"],"n":null,"#text":"t"}}`, `<order id="7"><item>a&lt;b</item><item>c</item><n></n>t</order>`},
		{`{"a":1.50,"b":"\"\n"}`, `<root><a>1.50</a><b>&#34;&#10;</b></root>`},
		{`[1,{"x":true}]`, `<root><item>1</item><item><x>true</x></item></root>`},
		{`{"list":[1,2]}`, `<root><list>1</list><list>2</list></root>`},
		{`"text"`, `<root>text</root>`},
	} {
		got, err := AppendXML(nil, parse(t, c.json), "root")
		if err != nil || string(got) != head+c.xml {
			t.Errorf("%s: %s, %v", c.json, got, err)
		}
	}
	for _, text := range []string{`{"a b":1}`, `{"1":1}`, `{"a":"\u0001"}`, `{"a":[[1]]}`, `{"a":{"@x":{}}}`, `{"a":{"#text":[]}}`, `{"":1}`, `{"a:b":1}`} {
		if got, err := AppendXML(nil, parse(t, text), "root"); err == nil {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func TestForm(t *testing.T) {
	got, err := FromForm([]byte("a=1&b=x+y%26&a=2&&c"))
	if want := `{"a":["1","2"],"b":"x y&","c":""}`; err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
	back, err := AppendForm(nil, got)
	if want := "a=1&a=2&b=x%20y%26&c="; err != nil || string(back) != want {
		t.Errorf("%s, %v", back, err)
	}
	for _, text := range []string{"a=%", "a=%ff", "%zz=1", strings.Repeat("a&", maxFields+1)} {
		if v, err := FromForm([]byte(text)); err == nil {
			t.Errorf("%.20s: %s", text, v)
		}
	}
	for _, text := range []string{"[]", `{"a":{}}`, `{"a":[[]]}`} {
		if form, err := AppendForm(nil, parse(t, text)); err == nil {
			t.Errorf("%s: %s", text, form)
		}
	}
}

// FuzzParse holds the scanner against encoding/json, and the walk against what it reads.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{`{"a":[1,-2.5e3,"\u00e9\ud83d\ude00",null,true,{}]}`, `[[[]]]`, `"\`, ` 1 `, `{"a":1,"a":2}`, "\"\xff\""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := Parse(text, 100)
		if theirs := json.Valid(text) && utf8.Valid(text); theirs != (err == nil) {
			if err == nil || !strings.Contains(err.Error(), "too deep") {
				t.Fatalf("%q: %v, encoding/json says %v", text, err, theirs)
			}
		}
		if err != nil {
			return
		}
		if !bytes.Equal(v, bytes.Trim(text, " \t\r\n")) {
			t.Fatalf("%q: %q", text, v)
		}
		want, err := json.Marshal(mustAny(t, v))
		got, err2 := json.Marshal(v.any())
		if err != nil || err2 != nil || !bytes.Equal(want, got) {
			t.Fatalf("%q is walked %s, not %s", text, got, want)
		}
		for _, names := range [][]Path{{{{Name: "a"}}}, {{{Name: "a"}, {Name: "b"}}, {{Name: "c"}}}} {
			pick, err := NewPick(names)
			if err != nil {
				t.Fatal(err)
			}
			if picked := pick.Append(nil, v); !json.Valid(picked) || len(picked) > len(v)*3+4 {
				t.Fatalf("picked of %q: %q", v, picked)
			}
		}
		if out, err := AppendXML(nil, v, "root"); err == nil {
			if back, err := FromXML(out, MaxDepth); err != nil || !json.Valid(back) {
				t.Fatalf("%q as XML %q: %v", v, out, err)
			}
		}
	})
}

func mustAny(t *testing.T, v Value) (a any) {
	d := json.NewDecoder(bytes.NewReader(v))
	d.UseNumber()
	if err := d.Decode(&a); err != nil {
		t.Fatal(err)
	}
	return a
}

func FuzzFromXML(f *testing.F) {
	f.Add([]byte(`<a b="c">d<e/>&lt;</a>`))
	f.Add([]byte(`<!DOCTYPE a><a/>`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if v, err := FromXML(text, 50); err == nil {
			if _, err := Parse(v, MaxDepth); err != nil {
				t.Fatalf("%q made %q: %v", text, v, err)
			}
		}
	})
}

func FuzzPath(f *testing.F) {
	f.Add(`.a[0]["b"].c`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePath(text)
		if err != nil {
			return
		}
		if again, err := ParsePath(p.String()); err != nil || !slices.Equal(p, again) {
			t.Fatalf("%q is written %s, read %v: %v", text, p, again, err)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	text := []byte(`{"id":"9f86d081884c7d65","name":"a small document","tags":["one","two","three"],"price":12.5,"stock":42,"updated":"2026-01-01T00:00:00Z","ok":true}`)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(text, 64); err != nil {
			b.Fatal(err)
		}
	}
}
