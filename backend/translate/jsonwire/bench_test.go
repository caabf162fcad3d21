package jsonwire

import (
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"
)

const typical = `{"textValue":"o-1842","i64":"9007199254740993","children":[{"textValue":"A-100","i32":2,"db":19.9},{"textValue":"B-7","i32":1,"db":5}],` +
	`"color":"RED","db":44.8,"names":{"channel":"web"},"yes":true,"at":"2024-05-06T07:08:09.5Z"}`

func BenchmarkToWire(b *testing.B) {
	c, _ := newCodec(b, Options{})
	var to []byte
	b.ReportAllocs()
	b.SetBytes(int64(len(typical)))
	for b.Loop() {
		var err error
		if to, err = c.AppendWire(to[:0], []byte(typical)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkToJSON(b *testing.B) {
	c, _ := newCodec(b, Options{})
	wire, err := c.AppendWire(nil, []byte(typical))
	if err != nil {
		b.Fatal(err)
	}
	var to []byte
	b.ReportAllocs()
	b.SetBytes(int64(len(typical)))
	for b.Loop() {
		if to, err = c.AppendJSON(to[:0], wire); err != nil {
			b.Fatal(err)
		}
	}
}

// The way of dynamic messages, for comparison.
func BenchmarkProtojsonBothWays(b *testing.B) {
	c, s := newCodec(b, Options{})
	b.ReportAllocs()
	b.SetBytes(int64(len(typical)))
	for b.Loop() {
		m := dynamicpb.NewMessage(c.desc)
		if err := (protojson.UnmarshalOptions{Resolver: s}).Unmarshal([]byte(typical), m); err != nil {
			b.Fatal(err)
		}
		wire, err := proto.Marshal(m)
		if err != nil {
			b.Fatal(err)
		}
		back := dynamicpb.NewMessage(c.desc)
		if err := proto.Unmarshal(wire, back); err != nil {
			b.Fatal(err)
		}
		if _, err := (protojson.MarshalOptions{Resolver: s}).Marshal(back); err != nil {
			b.Fatal(err)
		}
	}
}
