package jsonwire

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/sluice-gateway/sluice/backend/translate/schema"
)

func set(t testing.TB) *schema.Set {
	t.Helper()
	s, err := schema.FromProtos([]string{"testdata/all.proto"}, nil, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func message(t testing.TB, s *schema.Set, name string) protoreflect.MessageDescriptor {
	t.Helper()
	m, err := s.FindMessageByName(protoreflect.FullName(name))
	if err != nil {
		t.Fatal(err)
	}
	return m.Descriptor()
}

func newCodec(t testing.TB, o Options) (*Codec, *schema.Set) {
	t.Helper()
	s := set(t)
	return New(s, o).For(message(t, s, "test.All")), s
}

// reference is what protojson makes of a text.
func reference(c *Codec, s *schema.Set, o Options, text []byte) (*dynamicpb.Message, error) {
	m := dynamicpb.NewMessage(c.desc)
	err := protojson.UnmarshalOptions{DiscardUnknown: o.DiscardUnknown, Resolver: s, RecursionLimit: MaxDepth}.Unmarshal(text, m)
	return m, err
}

func parsed(t testing.TB, c *Codec, s *schema.Set, wire []byte) *dynamicpb.Message {
	t.Helper()
	m := dynamicpb.NewMessage(c.desc)
	if err := (proto.UnmarshalOptions{Resolver: s}).Unmarshal(wire, m); err != nil {
		t.Fatalf("what was written cannot be read: %v\n%x", err, wire)
	}
	return m
}

// texts are good and bad JSON of test.All; protojson says which is which.
var texts = strings.Split(strings.TrimSpace(`
{}
{"i32":-5,"i64":"-9007199254740993","u32":4294967295,"u64":"18446744073709551615","s32":-2147483648,"s64":"-1"}
{"f32":1,"f64":"2","sf32":-3,"sf64":"-4","fl":1.5,"db":-0.1e-7,"yes":true,"textValue":"häß\n\u0041\ud83d\ude00","raw":"AP8="}
{"text_value":"by its own name","color":"RED"}
{"color":2} 
{"color":-1}
{"color":77}
{"color":"GREEN"}
{"color":"2"}
{"color":1.0}
{"i32":1.0}
{"i32":1e2}
{"i32":"1e2"}
{"i32":"1.5e1"}
{"i32":100e-2}
{"i32":1.5}
{"i32":2147483648}
{"i32":"2147483647"}
{"i32":" 1"}
{"i32":"1 "}
{"i32":""}
{"i32":"x"}
{"i32":01}
{"i32":+1}
{"i32":1.}
{"i32":.5}
{"i32":1e}
{"i32":-}
{"i32":0e99999999999999}
{"i32":1e99999999999999}
{"i32":0.000e-99999999999}
{"u32":-1}
{"u32":-0}
{"u64":"18446744073709551616"}
{"u64":1.8446744073709551615e19}
{"u64":"1e19"}
{"i64":9223372036854775807}
{"i64":9223372036854775808}
{"fl":"NaN","db":"-Infinity"}
{"fl":3.5e38}
{"fl":"3.4e38"}
{"db":1e400}
{"db":"1e400"}
{"db":"Infinity","fl":"Infinity"}
{"db":"inf"}
{"i32":"NaN"}
{"yes":"true"}
{"yes":1}
{"yes":null}
{"textValue":5}
{"textValue":"\ud800"}
{"textValue":"\ud800\u0041"}
{"textValue":"\x41"}
{"textValue":"a	b"}
{"textValue":"\u0000"}
{"raw":"-_8"}
{"raw":"-_8="}
{"raw":"+/8"}
{"raw":"+/8="}
{"raw":"+-8="}
{"raw":"A"}
{"raw":"AA=="}
{"raw":"===="}
{"raw":""}
{"raw":"AQ\r\nID"}
{"child":{"child":{"i32":1}}}
{"child":{}}
{"child":[]}
{"ints":[1,"2",3.0],"longs":["-1",2],"words":["a",""],"colors":["RED",2],"children":[{},{"i32":1}],"doubles":[0.5,"NaN"],"raws":["AA==",""]}
{"ints":[]}
{"ints":null}
{"ints":[null]}
{"ints":[1,]}
{"ints":[,1]}
{"ints":[1 2]}
{"ints":{"a":1}}
{"words":[null]}
{"children":[null]}
{"names":{"a":"1","b":"","":"x"}}
{"names":{"a":"1","a":"2"}}
{"names":{"a":null}}
{"byId":{"1":{"i32":2},"-5":{}}}
{"byId":{"1":{},"01":{}}}
{"byId":{"x":{}}}
{"byId":{"1.0":{},"1":{}}}
{"byId":{"1":null}}
{"byBool":{"true":"RED","false":0}}
{"byBool":{"True":"RED"}}
{"byLong":{"18446744073709551615":1.5}}
{"values":{"a":null,"b":1,"c":"x","d":[true,{}],"e":{"f":{"g":[]}}}}
{"a":"x","b":1}
{"a":"x","b":null}
{"a":null,"b":"7"}
{"c":{"a":""}}
{"nothing":null}
{"nothing":"NULL_VALUE"}
{"nothing":0}
{"maybe":0,"perhaps":""}
{"maybe":null}
{"at":"2024-02-29T12:34:56.789Z","took":"-1.500s"}
{"at":"2024-02-29T12:34:56+02:00","took":"3s"}
{"at":"0001-01-01T00:00:00Z"}
{"at":"0000-12-31T23:59:59Z"}
{"at":"9999-12-31T23:59:59.999999999Z"}
{"at":"9999-12-31T23:59:59.9999999999Z"}
{"at":"9999-12-31T23:59:59-01:00"}
{"at":"2024-02-30T00:00:00Z"}
{"at":"2024-02-28"}
{"at":1}
{"took":"315576000000s"}
{"took":"315576000001s"}
{"took":"1.1234567891s"}
{"took":"1"}
{"took":"s"}
{"took":".s"}
{"took":"01s"}
{"took":"0.5s"}
{"took":"+1s"}
{"took":"-0.000000001s"}
{"took":"1e3s"}
{"mask":"a,fooBar.bazQux"}
{"mask":""}
{"mask":"a_b"}
{"mask":"a,,b"}
{"mask":" a"}
{"mask":"A"}
{"mask":"a.1b"}
{"object":{"a":1,"b":[null,"x"],"c":{"d":false}},"value":[1,2],"list":[{"x":null}]}
{"object":{"a":1,"a":2}}
{"object":null,"value":null,"list":null}
{"object":[]}
{"list":{}}
{"value":1e400}
{"any":{"@type":"type.googleapis.com/test.All","i32":5}}
{"any":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}}
{"any":{"@type":"type.googleapis.com/no.Such"}}
{"any":{}}
{"any":{"i32":5}}
{"empty":{}}
{"empty":{"a":1}}
{"wrappedLong":"5","wrappedText":"","wrappedBool":false,"wrappedDouble":0,"wrappedBytes":"AA==","wrappedFloat":"NaN"}
{"wrappedLong":null}
{"wrappedLong":{"value":1}}
{"times":["2024-01-01T00:00:00Z"],"wrappedInts":[1,"2"],"anyValues":[null,1,"x"]}
{"times":[null]}
{"wrappedInts":[null]}
{"null":null}
{"null":"NULL_VALUE"}
{"other-Name":"x"}
{"renamed":"x"}
{"alias":"NIL"}
{"alias":"ONE"}
{"old":{"must":1,"closed":"A","part":{"text":"x"},"loose":[1,2],"[old.more]":"y"}}
{"old":{"closed":"A"}}
{"old":{"must":1,"Part":{"text":"x"}}}
{"highNumber":1}
{"noSuch":1}
{"child":{"noSuch":{"a":[1,{"b":null}]}}}
{"i32":1,"i32":2}
{"i32":1,"i32":null}
{"i32":null,"i32":1}
{"textValue":"a","text_value":"b"}
{"i32":1}x
{"i32":1} {"i32":2}
{"i32":1
{"i32"
{"i32":
{
[]
null
1
"x"
{"i32":1,}
{,"i32":1}
{"i32" 1}
{i32:1}
{'i32':1}
{"i32":tru}
{"yes":truex}
{"yes":nul}
{"i32":1 // no
`), "\n")

func TestToWireIsWhatProtojsonSays(t *testing.T) {
	for _, o := range []Options{{}, {DiscardUnknown: true}} {
		c, s := newCodec(t, o)
		good := 0
		for _, text := range texts {
			if sameToWire(t, c, s, o, []byte(text)) {
				good++
			}
		}
		if good < 50 {
			t.Errorf("only %d texts are good", good)
		}
	}
}

// sameToWire compares with protojson and reports whether the text is good.
func sameToWire(t *testing.T, c *Codec, s *schema.Set, o Options, text []byte) bool {
	t.Helper()
	want, wantErr := reference(c, s, o, text)
	wire, err := c.AppendWire([]byte("before"), text)
	if err != nil && wantErr == nil && protojsonIsLenient(text) {
		return false
	}
	if (err == nil) != (wantErr == nil) {
		t.Errorf("%s\nerror %v, protojson %v", text, err, wantErr)
		return false
	}
	if err != nil {
		if _, ok := err.(*Error); !ok {
			t.Errorf("%s: %T is nobody's fault: %v", text, err, err)
		}
		return false
	}
	if string(wire[:6]) != "before" {
		t.Errorf("%s: what was there before is gone", text)
	}
	if have := parsed(t, c, s, wire[6:]); !proto.Equal(have, want) {
		t.Errorf("%s\nis %v\nwant %v", text, have, want)
	}
	return true
}

// protojsonIsLenient: it takes a number that ends in its exponent (1e), which is no JSON, and durations without a digit,
// a fraction behind a comma, and exponents that no int holds.
func protojsonIsLenient(text []byte) bool {
	return !json.Valid(text) || bytes.Contains(text, []byte(".s")) || bytes.Contains(text, []byte("Z\"")) && bytes.Contains(text, []byte(",")) || regexp.MustCompile(`"[^"]*[eE][+-]?"`).Match(text)
}

func TestToJSONIsWhatProtojsonSays(t *testing.T) {
	for _, o := range []Options{{}, {PrintDefaults: true}, {ProtoNames: true, EnumNumbers: true}} {
		c, s := newCodec(t, o)
		for _, text := range texts {
			if m, err := reference(c, s, o, []byte(text)); err == nil {
				wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
				if err != nil {
					t.Fatal(err)
				}
				sameToJSON(t, c, s, o, wire)
			}
		}
	}
}

func sameToJSON(t *testing.T, c *Codec, s *schema.Set, o Options, wire []byte) {
	t.Helper()
	m := dynamicpb.NewMessage(c.desc)
	var want []byte
	wantErr := unmarshal(s, wire, m)
	if wantErr == errPanic {
		if have, err := c.AppendJSON(nil, wire); err == nil && !json.Valid(have) {
			t.Errorf("%x is no JSON: %s", wire, have)
		}
		return
	}
	if wantErr == nil {
		want, wantErr = protojson.MarshalOptions{EmitUnpopulated: o.PrintDefaults, UseProtoNames: o.ProtoNames, UseEnumNumbers: o.EnumNumbers, Resolver: s}.Marshal(m)
	}
	have, err := c.AppendJSON([]byte("before"), wire)
	if (err == nil) != (wantErr == nil) {
		t.Errorf("%x\nerror %v, protojson %v: %s", wire, err, wantErr, want)
		return
	}
	if err != nil {
		return
	}
	var a, b any
	if err := decode(have[6:], &a); err != nil {
		t.Errorf("%x\nis no JSON: %s", wire, have)
		return
	}
	if err := decode(want, &b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, a); diff != "" {
		t.Errorf("%x\nis %s\nwant %s", wire, have[6:], want)
	}
}

var errPanic = errors.New("the module protobuf panicked")

func unmarshal(s *schema.Set, wire []byte, m proto.Message) (err error) {
	defer func() {
		if recover() != nil {
			err = errPanic
		}
	}()
	return proto.UnmarshalOptions{Resolver: s, RecursionLimit: MaxDepth}.Unmarshal(wire, m)
}

func decode(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(into)
}

// Every parser must read what no serializer writes.
func TestWireThatNobodyWrites(t *testing.T) {
	varint := func(n protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), v)
	}
	bytesOf := func(n protowire.Number, v string) []byte {
		return protowire.AppendString(protowire.AppendTag(nil, n, protowire.BytesType), v)
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	c, s := newCodec(t, Options{})
	for name, wire := range map[string][]byte{
		"the last value counts":        join(varint(1, 1), varint(1, 2)),
		"zero comes last":              join(varint(1, 1), varint(1, 0)),
		"zero comes first":             join(varint(1, 0), varint(1, 1)),
		"messages are merged":          join(bytesOf(17, string(varint(1, 1))), bytesOf(17, string(varint(2, 2)))),
		"lists in pieces":              join(bytesOf(23, "a"), varint(1, 1), bytesOf(23, "b")),
		"packed and not":               join(varint(21, 1), bytesOf(21, "\x02\x03"), varint(21, 4)),
		"packed that should not":       bytesOf(22, "\x02\x03"),
		"an empty packed list":         join(bytesOf(21, ""), varint(1, 1)),
		"a packed list cut short":      bytesOf(21, "\x80"),
		"two of a oneof":               join(bytesOf(41, "a"), varint(42, 2)),
		"unknown fields":               join(varint(999, 1), bytesOf(998, "x"), varint(1, 1)),
		"a wrong type":                 join(bytesOf(1, "x"), varint(14, 5)),
		"a group":                      join(protowire.AppendTag(nil, 990, protowire.StartGroupType), varint(1, 1), protowire.AppendTag(nil, 990, protowire.EndGroupType)),
		"an end of no group":           protowire.AppendTag(nil, 990, protowire.EndGroupType),
		"a map key twice":              join(bytesOf(31, "\x0a\x01a\x12\x01b"), bytesOf(31, "\x0a\x01a\x12\x01c")),
		"an entry without a key":       bytesOf(31, "\x12\x01b"),
		"an entry without a value":     bytesOf(32, "\x08\x05"),
		"an entry of two keys":         bytesOf(31, "\x0a\x01a\x0a\x01b\x12\x01c"),
		"an entry with more":           bytesOf(31, "\x0a\x01a\x12\x01b\x1a\x00"),
		"an int32 of ten bytes":        varint(1, 1<<63|5),
		"an int32 that is zero":        varint(1, 1<<40),
		"a bool of 2":                  varint(13, 2),
		"an enum not known":            varint(16, 99),
		"invalid UTF-8":                bytesOf(14, "\xff"),
		"an invalid key":               bytesOf(31, "\x0a\x01\xff\x12\x01b"),
		"a timestamp out of range":     bytesOf(51, string(varint(1, 1<<62))),
		"negative nanoseconds":         bytesOf(51, string(varint(2, 1<<64-1))),
		"a duration of two minds":      bytesOf(52, string(join(varint(1, 1), varint(2, 1<<64-1)))),
		"a value of no kind":           bytesOf(55, ""),
		"a value of two kinds":         bytesOf(55, "\x08\x00\x20\x01"),
		"a value that is NaN":          bytesOf(55, "\x11\x00\x00\x00\x00\x00\x00\xf8\x7f"),
		"a struct key twice":           bytesOf(54, "\x0a\x07\x0a\x01a\x12\x02\x20\x01\x0a\x07\x0a\x01a\x12\x02\x20\x00"),
		"a struct entry with no value": bytesOf(54, "\x0a\x03\x0a\x01a"),
		"a mask that cannot be told":   bytesOf(53, "\x0a\x03a_B"),
		"an Any of no known type":      bytesOf(57, "\x0a\x03a/b"),
		"an Any of nothing":            bytesOf(57, ""),
		"a wrapper given twice":        bytesOf(59, "\x08\x01\x08\x02"),
		"field number 0":               {0, 0},
		"cut short":                    {0x0a},
		"a length past the end":        {0x72, 5, 'a'},
		"no required field":            bytesOf(73, ""),
		"negative zero":                {0x61, 0, 0, 0, 0, 0, 0, 0, 0x80},
	} {
		t.Run(name, func(t *testing.T) { sameToJSON(t, c, s, Options{}, wire) })
	}
}

func TestDepth(t *testing.T) {
	c, _ := newCodec(t, Options{})
	for _, form := range []string{`{"child":`, `{"value":[`, `{"values":{"a":{"b":`, `{"noSuch":[`, `{"any":{"@type":"test.All","child":`} {
		deep := strings.Repeat(form, 20000)
		if _, err := c.AppendWire(nil, []byte(deep)); err == nil {
			t.Errorf("%s: 20000 deep is read", form)
		}
	}
	wire := []byte{}
	for range MaxDepth + 1 {
		wire = protowire.AppendBytes(protowire.AppendTag(nil, 17, protowire.BytesType), wire)
	}
	if _, err := c.AppendJSON(nil, wire); err == nil {
		t.Error("a message of 101 levels is told")
	}
}

// Scattered messages inside each other are not gone over as often as they are deep.
func TestScatteredWithinScattered(t *testing.T) {
	c, s := newCodec(t, Options{})
	number := func(to []byte, n uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(to, 1, protowire.VarintType), n)
	}
	var wire []byte
	for range 10_000 {
		wire = protowire.AppendString(protowire.AppendTag(wire, 23, protowire.BytesType), "word")
	}
	const deep = 50
	for range deep {
		inner := wire
		wire = protowire.AppendBytes(protowire.AppendTag(number(nil, 1), 17, protowire.BytesType), inner)
		wire = number(wire, 2)
	}
	sameToJSON(t, c, s, Options{}, wire)
	e := encoder{codecs: c.codecs, left: MaxDepth}
	if _, err := e.message(nil, c, wire); err != nil || e.slow > 9 {
		t.Errorf("%v: %d of %d were told the slow way", err, e.slow, deep)
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	c, _ := newCodec(t, Options{})
	for text, want := range map[string]string{
		`{"noSuch":1}`: "field noSuch: the message test.All has no such field",
		`{"children":[{},{"child":{"i32":"x"}}]}`: "field children[1].child.i32: `x` is no int32",
		`{"byId":{"7":{"yes":1}}}`:                "field byId[7].yes: this is not true or false",
		`{"names":{"k":1}}`:                       "field names[k]: this is not a string",
		`{"color":"GREEN"}`:                       "field color: `GREEN` is no value of the enum test.Color",
		`{"a":"x","b":1}`:                         "field b: another field of the oneof choice is set already",
		`{"ints":[1,2,{}]}`:                       "field ints[2]: this is not a number",
		`{"at":"yesterday"}`:                      "field at: `yesterday` is no timestamp; write 2006-01-02T15:04:05Z",
		`{"object":{"a":{"b":1e999}}}`:            "field object[a][b]: `1e999` is more than a double holds",
		`{"i32":1`:                                "the JSON ends where a comma or the end is due",
		`[`:                                       "this is not an object",
		``:                                        "the JSON ends where an object is due",
	} {
		if _, err := c.AppendWire(nil, []byte(text)); err == nil || err.Error() != want {
			t.Errorf("%s\nis %v\nwant %s", text, err, want)
		}
	}
}

func FuzzToWire(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	c, s := newCodec(f, Options{})
	f.Fuzz(func(t *testing.T, text []byte) {
		sameToWire(t, c, s, Options{}, text)
	})
}

func FuzzToJSON(f *testing.F) {
	c, s := newCodec(f, Options{})
	for _, text := range texts {
		if m, err := reference(c, s, Options{}, []byte(text)); err == nil {
			wire, err := proto.Marshal(m)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(wire)
		}
	}
	f.Fuzz(func(t *testing.T, wire []byte) { sameToJSON(t, c, s, Options{}, wire) })
}
