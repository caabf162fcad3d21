package xsd

import "testing"

func TestBuiltins(t *testing.T) {
	for _, test := range []struct {
		name      string
		good, bad []string
	}{
		{"int", []string{"0", "-0", "+5", " 7 ", "007", "2147483647", "-2147483648"}, []string{"", "2147483648", "-2147483649", "1.0", "1e3", "x", "--1", "1 2"}},
		{"unsignedLong", []string{"18446744073709551615", "0"}, []string{"18446744073709551616", "-1"}},
		{"positiveInteger", []string{"1", "99999999999999999999999999"}, []string{"0", "-1"}},
		{"decimal", []string{"1.5", ".5", "5.", "-0.0", "123456789012345678901234567890.1"}, []string{"1e3", ".", "", "1,5", "NaN"}},
		{"double", []string{"1.5e-3", "1E5", "INF", "-INF", "NaN", ".5"}, []string{"inf", "0x1p3", "1_0", "e5", "1e", "1e5.5"}},
		{"boolean", []string{"true", "false", "1", "0", " true "}, []string{"TRUE", "yes", ""}},
		{"dateTime", []string{"2026-01-02T03:04:05", "2026-01-02T03:04:05.123Z", "-0044-03-15T12:00:00+01:00"}, []string{"2026-01-02", "2026-1-2T03:04:05", "2026-01-02 03:04:05"}},
		{"date", []string{"2026-01-02", "2026-01-02Z"}, []string{"02.01.2026"}},
		{"time", []string{"03:04:05", "03:04:05.5+01:00"}, []string{"3:4"}},
		{"duration", []string{"P1Y2M3DT4H5M6.7S", "-P1D"}, []string{"1 day"}},
		{"base64Binary", []string{"", "AAEC", "AAE=", "AA ==", "AA\n=="}, []string{"A", "AAE", "%%%%", "A=AA", "===="}},
		{"hexBinary", []string{"", "00fF"}, []string{"0", "xx"}},
		{"NCName", []string{"a", "_b.c-1"}, []string{"1a", "a:b", ""}},
		{"NMTOKENS", []string{"a b c", ""}, []string{"a <"}},
		{"string", []string{"", " x "}, nil},
		{"anyURI", []string{"http://a/b c"}, nil},
	} {
		s := builtins[test.name]
		for _, text := range test.good {
			if err := s.Check(text); err != nil {
				t.Errorf("%s %q: %v", test.name, text, err)
			}
		}
		for _, text := range test.bad {
			if s.Check(text) == nil {
				t.Errorf("%s takes %q", test.name, text)
			}
		}
	}
}

func TestAppendNumber(t *testing.T) {
	for text, want := range map[string]string{
		"1": "1", "+1": "1", "-1": "-1", "007": "7", "-000": "-0", ".5": "0.5", "5.": "5", "1.50": "1.50", "00.1E+05": "0.1E+05",
		"123456789012345678901234567890.12345678901234567890": "123456789012345678901234567890.12345678901234567890",
		"INF": "", "NaN": "", "": "", ".": "",
	} {
		got, ok := AppendNumber(nil, text)
		if ok != (want != "") || ok && string(got) != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// compile reads a schema with a type T and compiles it.
func compile(t *testing.T, inner string) *Type {
	t.Helper()
	n, err := Parse("t.xsd", []byte(`<xs:schema targetNamespace="urn:t" xmlns:t="urn:t" xmlns:xs="`+Namespace+`">`+inner+`</xs:schema>`))
	if err != nil {
		t.Fatal(err)
	}
	s := NewSet()
	if err := s.Add(n, ""); err != nil {
		t.Fatal(err)
	}
	name, _ := n.QName("t:T")
	typ, err := s.Named(n, name)
	if err != nil {
		t.Fatal(err)
	}
	return typ
}

func TestFacets(t *testing.T) {
	for _, test := range []struct{ facets, base, good, bad string }{
		{`<xs:minInclusive value="2.50"/>`, "decimal", "2.5", "2.49"},
		{`<xs:minExclusive value="2.50"/>`, "decimal", "2.51", "2.5"},
		{`<xs:maxInclusive value="-3"/>`, "integer", "-3", "-2"},
		{`<xs:maxExclusive value="1e2"/>`, "double", "99", "100"},
		{`<xs:totalDigits value="3"/>`, "decimal", "012.30", "12.34"},
		{`<xs:fractionDigits value="1"/>`, "decimal", "1.50", "1.55"},
		{`<xs:length value="2"/>`, "string", "äö", "a"},
		{`<xs:minLength value="1"/>`, "base64Binary", "AA==", ""},
		{`<xs:enumeration value="a"/><xs:enumeration value=" b"/>`, "string", " b", "b"},
		{`<xs:pattern value="a$|b\d"/><xs:pattern value="c"/>`, "string", "a$", "ac"},
		{`<xs:pattern value="[a-z-[aeiou]]"/>`, "string", "a", ""}, // not checked: we lack subtraction
	} {
		s := compile(t, `<xs:simpleType name="T"><xs:restriction base="xs:`+test.base+`">`+test.facets+`</xs:restriction></xs:simpleType>`).Simple
		if err := s.Check(test.good); err != nil {
			t.Errorf("%s: %q: %v", test.facets, test.good, err)
		}
		if s.Check(test.bad) == nil && test.bad != "" {
			t.Errorf("%s takes %q", test.facets, test.bad)
		}
	}
}

// What stands how often follows from the groups around it.
func TestBounds(t *testing.T) {
	for _, test := range []struct {
		particle  string
		required  bool
		many      bool
		wantBound int
	}{
		{`<xs:sequence><xs:element name="a"/></xs:sequence>`, true, false, 1},
		{`<xs:sequence minOccurs="0"><xs:element name="a"/></xs:sequence>`, false, false, 1},
		{`<xs:sequence maxOccurs="unbounded"><xs:element name="a"/></xs:sequence>`, true, true, Unbounded},
		{`<xs:sequence maxOccurs="2"><xs:element name="a" maxOccurs="3"/></xs:sequence>`, true, true, 6},
		{`<xs:choice><xs:element name="a"/><xs:element name="b"/></xs:choice>`, false, false, 1},
		{`<xs:choice><xs:element name="a"/><xs:sequence><xs:element name="a"/><xs:element name="b"/></xs:sequence></xs:choice>`, true, false, 1},
		{`<xs:sequence><xs:element name="a"/><xs:element name="b"/><xs:element name="a" minOccurs="0"/></xs:sequence>`, true, true, 2},
		{`<xs:all><xs:element name="a" minOccurs="0"/></xs:all>`, false, false, 1},
	} {
		f := compile(t, `<xs:complexType name="T">`+test.particle+`</xs:complexType>`).Fields[0]
		if f.Required != test.required || f.Many != test.many || f.Max != test.wantBound {
			t.Errorf("%s: required %v, many %v, at most %d", test.particle, f.Required, f.Many, f.Max)
		}
	}
}

// The order is found again, whatever there is of each.
func TestArrange(t *testing.T) {
	for _, test := range []struct {
		particle string
		left     []int
		want     string
	}{
		{`<xs:sequence><xs:element name="a"/><xs:element name="b" minOccurs="0"/></xs:sequence>`, []int{1, 1}, "ab"},
		{`<xs:sequence maxOccurs="unbounded"><xs:element name="a"/><xs:element name="b"/></xs:sequence>`, []int{2, 2}, "abab"},
		{`<xs:sequence maxOccurs="unbounded"><xs:element name="a"/><xs:element name="b"/></xs:sequence>`, []int{2, 1}, "`b` is missing"},
		{`<xs:choice maxOccurs="unbounded"><xs:element name="a"/><xs:element name="b"/></xs:choice>`, []int{2, 1}, "aab"},
		{`<xs:choice><xs:element name="a"/><xs:element name="b"/></xs:choice>`, []int{1, 1}, "`b` cannot stand beside what else is there"},
		{`<xs:choice><xs:element name="a"/><xs:element name="b"/></xs:choice>`, []int{0, 0}, "one of `a`, `b` is missing"},
		{`<xs:choice><xs:sequence><xs:element name="a"/><xs:element name="b"/></xs:sequence><xs:sequence><xs:element name="a"/><xs:element name="c"/></xs:sequence></xs:choice>`, []int{1, 0, 1}, "ac"},
		{`<xs:sequence><xs:element name="a" minOccurs="2" maxOccurs="2"/></xs:sequence>`, []int{1}, "`a` stands 1 times, at least 2 are needed"},
		{`<xs:sequence><xs:element name="a" maxOccurs="2"/></xs:sequence>`, []int{3}, "`a` may stand at most 2 times"},
		{`<xs:sequence minOccurs="1000000000" maxOccurs="unbounded"><xs:element name="a" minOccurs="0"/></xs:sequence>`, []int{0}, ""},
	} {
		typ := compile(t, `<xs:complexType name="T">`+test.particle+`</xs:complexType>`)
		got := ""
		err := typ.Arrange(test.left, 0, func(field int) error {
			got += typ.Fields[field].Key
			return nil
		})
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.particle, got, test.want)
		}
	}
}

func TestEncodings(t *testing.T) {
	for name, data := range map[string][]byte{
		"latin1":    []byte("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a b=\"\xe4\"/>"),
		"utf-8 BOM": []byte("\xef\xbb\xbf<a b=\"ä\"/>"),
		"utf-16le":  {0xff, 0xfe, '<', 0, 'a', 0, ' ', 0, 'b', 0, '=', 0, '"', 0, 0xe4, 0, '"', 0, '/', 0, '>', 0},
		"utf-16be":  {0xfe, 0xff, 0, '<', 0, 'a', 0, ' ', 0, 'b', 0, '=', 0, '"', 0, 0xe4, 0, '"', 0, '/', 0, '>'},
	} {
		n, err := Parse("f", data)
		if err != nil || n.Get("b") != "ä" {
			t.Errorf("%s: %v %v", name, n, err)
		}
	}
}
