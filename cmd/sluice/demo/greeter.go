package demo

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The greeter in the words of a .proto file:
//
//	package sluice.demo;
//	service Greeter {
//	  rpc SayHello(google.protobuf.StringValue) returns (google.protobuf.StringValue);
//	  rpc SayHelloOften(google.protobuf.StringValue) returns (stream google.protobuf.StringValue);
//	}
//
// With messages that every protobuf runtime has, it needs no generated code.
const (
	greeterName   = "sluice.demo.Greeter"
	sayHello      = "/" + greeterName + "/SayHello"
	sayHelloOften = "/" + greeterName + "/SayHelloOften"
	greetings     = 3
)

type greeting = wrapperspb.StringValue

type greeterServer interface {
	SayHello(context.Context, *greeting) (*greeting, error)
	SayHelloOften(*greeting, grpc.ServerStreamingServer[greeting]) error
}

var greeterDesc = grpc.ServiceDesc{
	ServiceName: greeterName,
	HandlerType: (*greeterServer)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "SayHello", Handler: serveSayHello}},
	Streams:     []grpc.StreamDesc{{StreamName: "SayHelloOften", Handler: serveSayHelloOften, ServerStreams: true}},
}

func serveSayHello(server any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	name := new(greeting)
	if err := decode(name); err != nil {
		return nil, err
	}
	return server.(greeterServer).SayHello(ctx, name)
}

func serveSayHelloOften(server any, stream grpc.ServerStream) error {
	name := new(greeting)
	if err := stream.RecvMsg(name); err != nil {
		return err
	}
	return server.(greeterServer).SayHelloOften(name, &grpc.GenericServerStream[greeting, greeting]{ServerStream: stream})
}

type greeter struct{}

func (greeter) SayHello(ctx context.Context, name *greeting) (*greeting, error) {
	return wrapperspb.String("hello, " + name.GetValue() + arrived(ctx)), nil
}

func (greeter) SayHelloOften(name *greeting, stream grpc.ServerStreamingServer[greeting]) error {
	for i := range greetings {
		text := fmt.Sprintf("hello, %s, %d of %d", name.GetValue(), i+1, greetings)
		if err := stream.Send(wrapperspb.String(text)); err != nil {
			return err
		}
	}
	return nil
}

// arrived shows what the gateway added.
func arrived(ctx context.Context) string {
	fields, _ := metadata.FromIncomingContext(ctx)
	if id := fields.Get("x-request-id"); len(id) > 0 {
		return " (request id " + id[0] + ")"
	}
	return ""
}
