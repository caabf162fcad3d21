// Package desync tries to make the gateway and its neighbours disagree about where a message begins and ends. It has a
// client and an origin that speak raw bytes, and a parser of its own, stricter than any real one, so that what the gateway
// sends is judged by somebody who shares no code with it.
//
//	go test ./test/desync                                    some 30 s: 200 slow connections, 10 s of churn
//	SLUICE_SOAK=5m go test -race -run Churn -v ./test/desync
//	SLUICE_SOAK=5m go test -run Slow -v ./test/desync        5,000 slow connections, with the latency of the others
//
// What is held against every message, hostile or not:
//
//   - the origin gets the requests that were meant, each once, and no other: their ids say which they are
//   - what it gets parses strictly, and every body ends at its own mark
//   - what the client gets parses as strictly, and an answer carries the id of its request, whoever
//     used the connection before
//   - afterwards the pool's only connection is neither poisoned nor lost: the next request is answered
package desync
