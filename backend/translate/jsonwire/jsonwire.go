// Package jsonwire turns the JSON form of protobuf messages into their wire form and back, without making messages in
// between. For every message of a schema there is a Codec, a table of what its fields are called and how they look on
// either side; the two directions walk the input once and append to the output.
//
//	{"id":"7","tags":["a"]} ──AppendWire──▶ 08 07 12 01 61 ──AppendJSON──▶ {"id":"7","tags":["a"]}
//
// JSON is that of the ProtoJSON specification: protobuf.dev/programming-guides/json, as protojson reads it. What is rare
// is left to protojson itself, which costs a dynamic message: Any, extensions, groups, closed enums, messages with required fields, and
// wire forms that no serializer writes though every parser must read them, such as a field given twice.
//
// What a client sends is held to a depth, valid UTF-8, and no field twice; memory grows with the input alone.
package jsonwire

import (
	"strconv"
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-gateway/sluice/backend/translate/schema"
)

// MaxDepth is how deep messages may stand inside each other, in either direction.
const MaxDepth = 100

// Options are how JSON is read and written. The zero value is the specification's default.
type Options struct {
	DiscardUnknown bool // fields and enum names that are not known are passed over, not refused
	PrintDefaults  bool // fields that are not set are written, too
	ProtoNames     bool // names are written as in the .proto file
	EnumNumbers    bool // enum values are written as numbers
}

// Codecs are the tables of one schema. They are made when they are first needed, and kept.
type Codecs struct {
	set     *schema.Set
	options Options

	mu     sync.RWMutex
	byName map[protoreflect.FullName]*Codec
}

// New makes the codecs of a schema.
func New(set *schema.Set, o Options) *Codecs {
	return &Codecs{set: set, options: o, byName: make(map[protoreflect.FullName]*Codec)}
}

// For is the codec of a message. Callers keep it: finding it takes a lock.
func (c *Codecs) For(m protoreflect.MessageDescriptor) *Codec {
	c.mu.RLock()
	codec := c.byName[m.FullName()]
	c.mu.RUnlock()
	if codec != nil {
		return codec
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.compile(m)
}

// Codec is the table of one message.
type Codec struct {
	codecs *Codecs
	desc   protoreflect.MessageDescriptor
	form   form
	fields []field
	byName map[string]*field
	byNum  []*field // by number, for the low ones
	high   map[protowire.Number]*field
}

// Descriptor is the message that the codec is for.
func (c *Codec) Descriptor() protoreflect.MessageDescriptor { return c.desc }

// Codecs are those that this one is of.
func (c *Codec) Codecs() *Codecs { return c.codecs }

// form is how a message looks in JSON.
type form uint8

const (
	object form = iota // by its fields
	rare               // as protojson says
	timestamp
	duration
	fieldMask
	wrapper   // its one field's value
	structure // google.protobuf.Struct: any object
	value     // google.protobuf.Value: any value
	list      // google.protobuf.ListValue: any array
)

var forms = map[protoreflect.FullName]form{
	"google.protobuf.Any":         rare,
	"google.protobuf.Timestamp":   timestamp,
	"google.protobuf.Duration":    duration,
	"google.protobuf.FieldMask":   fieldMask,
	"google.protobuf.Struct":      structure,
	"google.protobuf.Value":       value,
	"google.protobuf.ListValue":   list,
	"google.protobuf.DoubleValue": wrapper,
	"google.protobuf.FloatValue":  wrapper,
	"google.protobuf.Int64Value":  wrapper,
	"google.protobuf.UInt64Value": wrapper,
	"google.protobuf.Int32Value":  wrapper,
	"google.protobuf.UInt32Value": wrapper,
	"google.protobuf.BoolValue":   wrapper,
	"google.protobuf.StringValue": wrapper,
	"google.protobuf.BytesValue":  wrapper,
}

type shape uint8

const (
	single shape = iota
	repeated
	mapping
)

// field is a field of a message, a key or a value of a map.
type field struct {
	desc     protoreflect.FieldDescriptor
	index    int
	json     string // the name that clients write
	label    string // the name that we write, quoted and with its colon
	kind     protoreflect.Kind
	shape    shape
	packed   bool
	presence bool
	oneof    int // -1: none
	wire     protowire.Type
	tag      []byte // number and type of one value
	bunch    []byte // number and type of packed values
	message  *Codec
	enum     *enum
	key, val *field // of a map
}

// enum knows the names of its values.
type enum struct {
	byName   map[string]int32
	byNumber map[int32]string // quoted
	null     bool             // google.protobuf.NullValue
}

const lowNumbers = 128

// compile makes the codec of a message, and first all that it refers to. mu is held.
func (c *Codecs) compile(m protoreflect.MessageDescriptor) *Codec {
	if known := c.byName[m.FullName()]; known != nil {
		return known
	}
	codec := &Codec{codecs: c, desc: m, form: formOf(m)}
	c.byName[m.FullName()] = codec // before its fields: messages refer to themselves
	fields := m.Fields()
	codec.fields = make([]field, fields.Len())
	codec.byName = make(map[string]*field, 2*fields.Len())
	for i := range codec.fields {
		f := &codec.fields[i]
		*f = c.field(fields.Get(i))
		codec.put(f)
	}
	for i := range codec.fields { // a JSON name wins over a name that another field has in the source
		codec.byName[codec.fields[i].json] = &codec.fields[i]
	}
	return codec
}

func (c *Codec) put(f *field) {
	c.byName[f.desc.TextName()] = f
	n := f.desc.Number()
	if n >= lowNumbers {
		if c.high == nil {
			c.high = make(map[protowire.Number]*field)
		}
		c.high[n] = f
		return
	}
	for len(c.byNum) <= int(n) {
		c.byNum = append(c.byNum, nil)
	}
	c.byNum[n] = f
}

func (c *Codec) number(n protowire.Number) *field {
	if n < protowire.Number(len(c.byNum)) {
		return c.byNum[n]
	}
	return c.high[n]
}

func formOf(m protoreflect.MessageDescriptor) form {
	if f, special := forms[m.FullName()]; special {
		return f
	}
	if m.RequiredNumbers().Len() > 0 || m.ExtensionRanges().Len() > 0 {
		return rare
	}
	for i := range m.Fields().Len() {
		if f := m.Fields().Get(i); f.Kind() == protoreflect.GroupKind || closed(f) || f.IsMap() && closed(f.MapValue()) {
			return rare
		}
	}
	return object
}

// closed: values of the enum that are not known are not values (proto2).
func closed(f protoreflect.FieldDescriptor) bool { return f.Enum() != nil && f.Enum().IsClosed() }

func (c *Codecs) field(d protoreflect.FieldDescriptor) field {
	f := field{
		desc: d, index: d.Index(), json: d.JSONName(), kind: d.Kind(), packed: d.IsPacked(), presence: d.HasPresence(), oneof: -1,
		wire: wireOf(d.Kind()),
	}
	name := f.json
	if c.options.ProtoNames {
		name = d.TextName()
	}
	f.label = string(append(appendString(nil, name), ':'))
	f.tag = protowire.AppendTag(nil, d.Number(), f.wire)
	f.bunch = protowire.AppendTag(nil, d.Number(), protowire.BytesType)
	if o := d.ContainingOneof(); o != nil {
		f.oneof = o.Index()
	}
	switch {
	case d.IsMap():
		key, val := c.field(d.MapKey()), c.field(d.MapValue())
		f.shape, f.key, f.val = mapping, &key, &val
		return f
	case d.IsList():
		f.shape = repeated
	}
	if d.Enum() != nil {
		f.enum = newEnum(d.Enum())
	}
	if d.Message() != nil {
		f.message = c.compile(d.Message())
	}
	return f
}

func wireOf(k protoreflect.Kind) protowire.Type {
	switch k {
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	default:
		return protowire.VarintType
	}
}

func newEnum(d protoreflect.EnumDescriptor) *enum {
	values := d.Values()
	e := &enum{
		byName: make(map[string]int32, values.Len()), byNumber: make(map[int32]string, values.Len()),
		null: d.FullName() == "google.protobuf.NullValue",
	}
	for i := range values.Len() {
		v := values.Get(i)
		e.byName[string(v.Name())] = int32(v.Number())
		if _, alias := e.byNumber[int32(v.Number())]; !alias {
			e.byNumber[int32(v.Number())] = strconv.Quote(string(v.Name()))
		}
	}
	return e
}

// Error is an input that does not fit the message, and where.
type Error struct {
	Field  string // order.items[2].price; empty: the whole
	Reason string
}

func (e *Error) Error() string {
	if e.Field == "" {
		return e.Reason
	}
	return "field " + e.Field + ": " + e.Reason
}

// within tells an error of a part as one of what holds it.
func within(err error, part string) error {
	e, ok := err.(*Error)
	if !ok {
		return err
	}
	switch {
	case e.Field == "":
		e.Field = part
	case e.Field[0] == '[':
		e.Field = part + e.Field
	default:
		e.Field = part + "." + e.Field
	}
	if len(e.Field) > maxShown { // the innermost is what helps
		e.Field = "…" + strings.ToValidUTF8(e.Field[len(e.Field)-maxShown:], "")
	}
	return e
}

const maxShown = 200

func withinItem(err error, i int) error { return within(err, "["+strconv.Itoa(i)+"]") }

// bits is a set of small numbers that costs nothing while they are below 64.
type bits struct {
	low  uint64
	high []uint64
}

// add reports whether i was in the set before.
func (b *bits) add(i int) bool {
	if i < 64 {
		was := b.low&(1<<i) != 0
		b.low |= 1 << i
		return was
	}
	i -= 64
	for len(b.high) <= i/64 {
		b.high = append(b.high, 0)
	}
	was := b.high[i/64]&(1<<(i%64)) != 0
	b.high[i/64] |= 1 << (i % 64)
	return was
}

func (b *bits) has(i int) bool {
	if i < 64 {
		return b.low&(1<<i) != 0
	}
	i -= 64
	return i/64 < len(b.high) && b.high[i/64]&(1<<(i%64)) != 0
}
