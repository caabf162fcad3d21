package jsonwire

import (
	"errors"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"
)

// rarely reads one value by way of protojson and a dynamic message.
func (d *decoder) rarely(to []byte, c *Codec) ([]byte, error) {
	text, err := d.skip(d.left)
	if err != nil {
		return to, err
	}
	m := dynamicpb.NewMessage(c.desc)
	o := protojson.UnmarshalOptions{DiscardUnknown: d.codecs.options.DiscardUnknown, Resolver: d.codecs.set, RecursionLimit: max(d.left, 1)}
	if err := o.Unmarshal(text, m); err != nil {
		return to, &Error{Reason: plain(err)}
	}
	return proto.MarshalOptions{}.MarshalAppend(to, m)
}

// rarely writes a message by way of a dynamic one. The module protobuf panics on an entry of google.protobuf.Struct
// without a key, and what a service sends must not end a request that way.
func (e *encoder) rarely(to []byte, c *Codec, wire []byte) (_ []byte, err error) {
	defer func() {
		if recover() != nil {
			err = errWire
		}
	}()
	m := dynamicpb.NewMessage(c.desc)
	o := proto.UnmarshalOptions{RecursionLimit: max(e.left, 1), Resolver: e.codecs.set}
	if err := o.Unmarshal(wire, m); err != nil {
		return to, errWire
	}
	options := &e.codecs.options
	to, err = protojson.MarshalOptions{
		EmitUnpopulated: options.PrintDefaults, UseProtoNames: options.ProtoNames, UseEnumNumbers: options.EnumNumbers,
		Resolver: e.codecs.set,
	}.MarshalAppend(to, m)
	if err != nil {
		return to, errors.New("the message cannot be told as JSON: " + plain(err))
	}
	return to, nil
}

// plain takes from an error of protojson the mark of its module and the position in a text that nobody has seen.
func plain(err error) string {
	s := strings.TrimLeft(strings.TrimPrefix(err.Error(), "proto:"), " \u00a0")
	if rest, ok := strings.CutPrefix(s, "syntax error "); ok {
		s = rest
	}
	if strings.HasPrefix(s, "(line ") {
		if _, rest, ok := strings.Cut(s, "): "); ok {
			s = rest
		}
	}
	return clip(s)
}
