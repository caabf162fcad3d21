package interop_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sluice-gateway/sluice/gatewaytest"
)

// TestGRPCClientOfREST has a client of grpc-go call a service that speaks HTTP and JSON.
func TestGRPCClientOfREST(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.EscapedPath(), "/hello/")
		w.Header().Set("Content-Type", "application/json")
		switch {
		case name == "nobody":
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(404)
			io.WriteString(w, `{"title":"Not Found","detail":"nobody of that name"}`)
		case strings.HasSuffix(name, "/often"):
			for i := range 3 {
				fmt.Fprintf(w, "\"hello %d\"\n", i)
				w.(http.Flusher).Flush()
			}
		case name == "slow":
			<-r.Context().Done()
		default:
			json.NewEncoder(w).Encode("hello " + name)
		}
	}))
	t.Cleanup(service.Close)
	g := gatewaytest.Start(t, fmt.Sprintf(restGateway, strings.TrimPrefix(service.URL, "http://")))
	c, err := grpc.NewClient(g.Addr("public"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })

	for name, test := range map[string]struct {
		method, name, want string
		code               codes.Code
		message            string
		timeout            time.Duration
	}{
		"unary":                             {"Hello", "a b/c", "hello a%20b%2Fc", codes.OK, "", 0},
		"a problem":                         {"Hello", "nobody", "", codes.NotFound, "nobody of that name", 0},
		"no path":                           {"Hello", "", "", codes.InvalidArgument, "The field value is empty, and the path needs it.", 0},
		"no method":                         {"Bye", "x", "", codes.Unimplemented, "The service has no such method.", 0},
		"the service has no answer in time": {"Hello", "slow", "", codes.DeadlineExceeded, "", 200 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			if test.timeout > 0 {
				var cancel func()
				ctx, cancel = context.WithTimeout(ctx, test.timeout)
				defer cancel()
			}
			answer := new(wrapperspb.StringValue)
			err := c.Invoke(ctx, "/hello.Greeter/"+test.method, wrapperspb.String(test.name), answer)
			s := status.Convert(err)
			if s.Code() != test.code || test.message != "" && s.Message() != test.message || answer.Value != test.want {
				t.Errorf("%q, %v; want %q, %v %s", answer.Value, err, test.want, test.code, test.message)
			}
		})
	}

	stream, err := c.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/hello.Greeter/Often")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(wrapperspb.String("Ada")); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		answer := new(wrapperspb.StringValue)
		if err := stream.RecvMsg(answer); err != nil || answer.Value != fmt.Sprintf("hello %d", i) {
			t.Errorf("%q, %v", answer.Value, err)
		}
	}
	if err := stream.RecvMsg(new(wrapperspb.StringValue)); err != io.EOF {
		t.Errorf("the stream ends with %v", err)
	}
}

const restGateway = `
listeners: [{name: public, address: "127.0.0.1:0"}]
routes:
  - name: greeter
    match: {path: /hello.Greeter/*}
    service: greeter
    translate:
      grpc:
        protos:
          - |
            syntax = "proto3";
            package hello;
            import "google/api/annotations.proto";
            import "google/protobuf/wrappers.proto";
            service Greeter {
              rpc Hello(google.protobuf.StringValue) returns (google.protobuf.StringValue) { option (google.api.http) = {get: "/hello/{value}"}; }
              rpc Often(google.protobuf.StringValue) returns (stream google.protobuf.StringValue) { option (google.api.http) = {get: "/hello/{value}/often"}; }
            }
services: [{name: greeter, endpoints: [{url: "http://%s"}]}]
`
