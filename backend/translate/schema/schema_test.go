package schema

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

func files(texts map[string]string) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		if text, ok := texts[name]; ok {
			return []byte(text), nil
		}
		return nil, &fs.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
	}
}

const shop = `syntax = "proto3";
package shop;
import "google/api/annotations.proto";
import "google/protobuf/timestamp.proto";
import "parts/order.proto";
service Orders {
  // Get finds an order.
  rpc Get(GetRequest) returns (Order) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (google.api.http) = {get: "/orders/{id}" additional_bindings {get: "/v1/orders/{id}"}};
  }
  rpc Watch(GetRequest) returns (stream Order);
  rpc Put(stream Order) returns (Order) { option idempotency_level = IDEMPOTENT; }
}
service Other { rpc Nothing(Order) returns (Order); }
message GetRequest { string id = 1; google.protobuf.Timestamp since = 2; }
`

const order = `syntax = "proto3";
package shop;
message Order { string id = 1; }
`

func compiled(t testing.TB) *Set {
	t.Helper()
	s, err := FromProtos([]string{"api/shop.proto"}, []string{"api", "more"}, files(map[string]string{"api/shop.proto": shop, "more/parts/order.proto": order}))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMethods(t *testing.T) {
	s := compiled(t)
	var b strings.Builder
	for _, m := range s.Methods() {
		fmt.Fprintln(&b, m.Name, m.Input.FullName(), m.Output.FullName(), m.ClientStreaming, m.ServerStreaming, m.Idempotent, m.NoSideEffects, len(m.Rules))
	}
	const want = `shop.Orders/Get shop.GetRequest shop.Order false false true true 2
shop.Orders/Put shop.Order shop.Order true false true false 0
shop.Orders/Watch shop.GetRequest shop.Order false true false false 0
shop.Other/Nothing shop.Order shop.Order false false false false 0
`
	if b.String() != want {
		t.Errorf("have\n%swant\n%s", b.String(), want)
	}
	if m := s.Method("/shop.Orders/Get"); m == nil || m != s.Method("shop.Orders/Get") || m.Rules[1].GetGet() != "/v1/orders/{id}" {
		t.Errorf("%+v", m)
	}
	if s.Method("shop.Orders/Got") != nil {
		t.Error("a method that does not exist")
	}
}

func TestSourceInPlace(t *testing.T) {
	const text = `syntax = "proto3"; package p;
import "google/protobuf/empty.proto";
service S { rpc M(google.protobuf.Empty) returns (google.protobuf.Empty); }`
	s, err := FromProtos([]string{text}, nil, files(nil))
	if err != nil || s.Method("p.S/M") == nil {
		t.Error(err)
	}
	if _, err := FromProtos([]string{"syntax = \"proto3\";\nimport \"no.proto\";"}, nil, files(nil)); err == nil || !strings.Contains(err.Error(), "source1.proto:2:8: open no.proto") {
		t.Error(err)
	}
}

func TestTypesForAny(t *testing.T) {
	s := compiled(t)
	for url, known := range map[string]bool{
		"type.googleapis.com/shop.Order":                true,
		"shop.Order":                                    true,
		"type.googleapis.com/google.rpc.BadRequest":     true, // in no descriptor
		"type.googleapis.com/google.protobuf.Timestamp": true,
		"type.googleapis.com/shop.Odor":                 false,
		"type.googleapis.com/":                          false,
		"":                                              false,
	} {
		if _, err := s.FindMessageByURL(url); (err == nil) != known {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// sameSetTwice: what is derived is kept.
func sameSetTwice(s *Schema) bool {
	first := s.Set()
	return s.Set() == first
}

func TestOnly(t *testing.T) {
	whole := Static(compiled(t))
	if part := whole.Only([]string{"shop.Other"}); len(part.Set().Methods()) != 1 || part.Set().Method("shop.Orders/Get") != nil || !sameSetTwice(part) {
		t.Errorf("%v", part.Set().Methods())
	}
	if whole.Only(nil) != whole {
		t.Error("all of it is another")
	}
}

func TestDerivedIsBuiltOnceForEachSet(t *testing.T) {
	s := new(Schema)
	built := 0
	d := Derived[int]{From: s, Build: func(*Set) int { built++; return built }}
	if _, ok := d.Get(); ok {
		t.Error("built of nothing")
	}
	for want := 1; want <= 2; want++ {
		s.set.Store(new(Set))
		for range 3 {
			if n, ok := d.Get(); !ok || n != want {
				t.Errorf("%d, %v, want %d", n, ok, want)
			}
		}
	}
}

func TestDescriptorsAreRefused(t *testing.T) {
	one := func(f *descriptorpb.FileDescriptorProto, more ...*descriptorpb.FileDescriptorProto) []byte {
		data, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: append(more, f)})
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	deep := &descriptorpb.DescriptorProto{Name: proto.String("A")}
	for range maxDepth {
		deep = &descriptorpb.DescriptorProto{Name: proto.String("A"), NestedType: []*descriptorpb.DescriptorProto{deep}}
	}
	many := make([]*descriptorpb.FileDescriptorProto, MaxFiles)
	for i := range many {
		many[i] = &descriptorpb.FileDescriptorProto{Name: proto.String(fmt.Sprint(i, ".proto"))}
	}
	for want, data := range map[string][]byte{
		"it is no descriptor set": []byte("hello"),
		"is empty":                nil,
		"at most":                 make([]byte, MaxBytes+1),
		"x.proto imports y.proto, which is not there": one(&descriptorpb.FileDescriptorProto{Name: proto.String("x.proto"), Dependency: []string{"y.proto"}}),
		"import each other": one(&descriptorpb.FileDescriptorProto{Name: proto.String("x.proto"), Dependency: []string{"y.proto"}},
			&descriptorpb.FileDescriptorProto{Name: proto.String("y.proto"), Dependency: []string{"x.proto"}}),
		"more than 64 deep":   one(&descriptorpb.FileDescriptorProto{Name: proto.String("x.proto"), MessageType: []*descriptorpb.DescriptorProto{deep}}),
		"2001 files":          one(&descriptorpb.FileDescriptorProto{Name: proto.String("x.proto")}, many...),
		`cannot resolve type`: one(&descriptorpb.FileDescriptorProto{Name: proto.String("x.proto"), Syntax: proto.String("proto3"), MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("A"), Field: []*descriptorpb.FieldDescriptorProto{{Name: proto.String("f"), Number: proto.Int32(1), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(), Type: descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), TypeName: proto.String(".no.Such")}}}}}),
	} {
		if _, err := FromDescriptors(data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestBraces(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "{}": 1, "{{}{}}": 2, "}}{": 1, "{>{>{": 3, `"{{{" {`: 1, "// {{{\n{": 1, "/* {{{ */ {": 1, "/* {{{": 0, "// {{{": 0, `"\"{" {`: 1, "a / b {": 1, "\"{\n{": 1,
	} {
		if got := braces([]byte(text)); got != want {
			t.Errorf("%q opens %d, want %d", text, got, want)
		}
	}
}

func FuzzBraces(f *testing.F) {
	f.Add([]byte(shop))
	f.Add([]byte("/* \"{ */ '"))
	f.Fuzz(func(_ *testing.T, text []byte) { braces(text) })
}

// Whatever is read either makes a set or is refused.
func FuzzDescriptors(f *testing.F) {
	data, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{{Name: proto.String("x.proto")}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := FromDescriptors(data); (s == nil) == (err == nil) {
			t.Errorf("%v, %v", s, err)
		}
	})
}
