package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/sluice-gateway/sluice/backend/translate/grpc"
	"github.com/sluice-gateway/sluice/backend/translate/jsonwire"
	"github.com/sluice-gateway/sluice/backend/translate/schema"
)

const echoProto = `syntax = "proto3";
package bench;
import "google/api/annotations.proto";
service Echo { rpc Unary(Order) returns (Order) { option (google.api.http) = {post: "/v1/orders" body: "*"}; } }
message Order {
  string id = 1;
  int64 customer = 2;
  repeated Line lines = 3;
  State state = 4;
  double total = 5;
  map<string, string> labels = 6;
  bool paid = 7;
}
message Line { string sku = 1; int32 count = 2; double price = 3; }
enum State { NEW = 0; SENT = 1; }
`

const order = `{"id":"o-1842","customer":"9007199254740993","lines":[{"sku":"A-100","count":2,"price":19.9},{"sku":"B-7","count":1,"price":5}],` +
	`"state":"SENT","total":44.8,"labels":{"channel":"web"},"paid":true}`

// transcoding compares an order as JSON, which becomes gRPC and JSON again, with the same order as gRPC passed through:
// both over HTTP/2 and TLS, to one origin that answers with what it is asked.
func transcoding(r *rig, c benchCase) error {
	if err := r.orderFiles(); err != nil {
		return err
	}
	file := func(name string) string { return filepath.Join(r.Dir, name) }
	through, translated := sluiceWith("gRPC through", "sluice-grpc.yaml"), sluiceWith("JSON ↔ gRPC", "sluice-grpc.yaml")
	loads := map[string]generator{
		through.name: h2load{url: "https://" + r.TLS + "/bench.Echo/Unary", clients: 4, streams: 32, data: file("order.frame"),
			headers: []string{"content-type: application/grpc", "te: trailers"}},
		translated.name: r.ordersAsJSON(),
	}
	peers := []peer{through, translated}
	samples := make(map[string][]sample)
	for round := range r.rounds {
		for i := range peers {
			p := peers[(i+round)%len(peers)]
			s, err := r.measure(p, loads[p.name])
			if err != nil {
				return err
			}
			samples[p.name] = append(samples[p.name], s)
			fmt.Fprintf(os.Stderr, "\rcase %d: round %d of %d, %-14s", c.number, round+1, r.rounds, p.name)
		}
	}
	fmt.Fprint(os.Stderr, "\r\033[K")
	c.print(peers, samples)
	return nil
}

func (r *rig) ordersAsJSON() generator {
	return h2load{url: "https://" + r.TLS + "/v1/orders", clients: 4, streams: 32, data: filepath.Join(r.Dir, "order.json"),
		headers: []string{"content-type: application/json"}}
}

func (r *rig) orderFiles() error {
	set, err := schema.FromProtos([]string{echoProto}, nil, os.ReadFile)
	if err != nil {
		return err
	}
	wire, err := jsonwire.New(set, jsonwire.Options{}).For(set.Method("bench.Echo/Unary").Input).AppendWire(nil, []byte(order))
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		"echo.proto": []byte(echoProto), "order.json": []byte(order), "order.frame": append(grpc.AppendHeader(nil, 0, len(wire)), wire...),
	} {
		if err := os.WriteFile(filepath.Join(r.Dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
