// Package exchange holds what every part of the data plane shares about one request: the Exchange itself, who the
// caller is, and the two small languages, Selector and Expression, that read it.
package exchange

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/telemetry"
)

// An Exchange is one request and its response inside the gateway. It belongs to one goroutine at a time, and nothing
// of it outlives its finish: whoever needs a part longer takes a copy.
type Exchange struct {
	// In is the request as received. Nobody changes it: its header values are shared with Out. (Its Body alone is
	// replaced, by the proxy and before any filter runs, to enforce the route's limit.)
	In *http.Request
	// Out is the request as it will be forwarded, nil until the proxy has made it. Transform filters edit it.
	Out *http.Request
	// Forwarding is the fields that tell a service how the request came, as lines that end in CR LF, if Out's header lacks
	// them: where nobody reads or edits them, they need not go through a map.
	Forwarding []byte
	// Reads names the fields of a service's answer that somebody here reads or may change; nil: all. Others may be missing
	// from Response.Header, and go to the client beside it.
	Reads []string
	// Response is nil until somebody answers. It exists as a value before it is written, so a response filter edits
	// it or wraps its Body.
	Response *http.Response

	Start     time.Time
	FirstByte time.Duration // from Start until the answer's head was ready; 0: not yet, or nobody logs it
	RequestID string
	Service   string // name of the service that answered or was asked last
	Attempts  []telemetry.Attempt
	Limits    []Limit        // what the rate limits passed so far had to say, in their order
	Failure   *failure.Error // why this is not the answer that was asked for; stays set after it is rendered

	// What follows is learned before the request is sent, and little of it is read again: decision 014.

	Listener string
	Peer     netip.AddrPort // the other end of the connection, or what PROXY protocol said it is
	PeerText string         // the address of Peer in words, if the engine knows it already
	Client   netip.Addr     // who is believed to have asked: Peer, or the rightmost untrusted X-Forwarded-For entry
	Trusted  bool           // Peer is one of the listener's trusted proxies
	TLS      bool           // the connection to us is encrypted
	Relays   bool           // the engine can send fields of an answer that its Header lacks

	Scheme string // as the client saw it: http or https
	Host   string // lower case, without port and final dot
	Port   string // as the client saw it
	Path   string // the canonical path: matched, authorised and forwarded

	Route      string   // name of the route; empty: none matched
	Captures   Captures // path segments bound by the route's pattern
	HashKey    string   // what consistent choices hash on; empty: nothing was asked for
	Identity   *Identity
	Challenges []string // WWW-Authenticate values of schemes that were tried and found no credential

	// Dispatch runs in as an exchange of its own, from the start and on the same listener; take is given its answer while that
	// lives, and reads it. in belongs to the exchange; its Host, and what it says of the way it came, are those of this one.
	// The error is why there was no whole answer: take's own, or what broke it off. Several may run at once. Never nil while
	// a backend runs.
	Dispatch func(ctx context.Context, in *http.Request, take func(*http.Response) error) error
	Depth    int // how many exchanges this one was dispatched through; 0: it came from the client

	// Inform passes a 1xx answer to the client. Never nil while a backend runs.
	Inform func(status int, header http.Header)

	// Carrier is what the proxy carries the exchange in. It is the proxy's alone.
	Carrier any

	identity  Identity
	kept      []kept // what filters keep for their later hooks
	directory *Directory
	room      *Room
}

// Room is where the slices of an exchange begin. Reset clears only what was used of it: at a thousand requests in flight, each
// line of memory that is touched for nothing is one to fetch.
type Room struct {
	attempts [2]telemetry.Attempt
	kept     [1]kept
	limits   [2]Limit
	captures [8]Capture
}

// UseRoom lends x the room in which its slices will begin after a Reset, in place of one of its own.
func (x *Exchange) UseRoom(r *Room) { x.room = r }

// Reset makes x ready for another request, keeping what can be reused.
func (x *Exchange) Reset() {
	room := x.room
	if room == nil {
		room = new(Room)
	}
	clear(x.Attempts)
	clear(x.Captures)
	clear(x.Limits)
	clear(x.kept)
	*x = Exchange{}
	x.room = room
	x.Attempts = room.attempts[:0]
	x.Captures = room.captures[:0]
	x.Limits = room.limits[:0]
	x.kept = room.kept[:0]
}

// Consumers is the directory of the snapshot that this exchange began with.
func (x *Exchange) Consumers() *Directory { return x.directory }

// UseConsumers sets the directory. Only the proxy calls it, once.
func (x *Exchange) UseConsumers(d *Directory) { x.directory = d }

// Identify makes the caller consumer, vouched for by the filter of that name.
func (x *Exchange) Identify(consumer *Consumer, scheme string) {
	x.identity = Identity{Consumer: consumer, Scheme: scheme}
	x.Identity = &x.identity
}

// Tell has the service told something about the caller, in a field that nobody else tells of: beside Out, if that is where
// the like of it goes. A value that would end its line goes into the header, where the transport refuses it.
func (x *Exchange) Tell(name, value string) {
	if len(x.Forwarding) == 0 || strings.ContainsAny(value, "\r\n") {
		x.Out.Header[name] = []string{value}
		return
	}
	x.Forwarding = AppendLine(x.Forwarding, name, value)
}

// AppendLine appends a field as a line of a head (RFC 9112 section 5). The value holds no line end.
func AppendLine(lines []byte, name, value string) []byte {
	lines = append(lines, name...)
	lines = append(lines, ": "...)
	lines = append(lines, value...)
	return append(lines, "\r\n"...)
}

// ResponseLines is where field lines that go to the client beside Response.Header are appended; nil: there is no such place.
// Only fields among Reads may be, by whoever takes them out of the Header.
func (x *Exchange) ResponseLines() *[]byte {
	if b, ok := x.Response.Body.(interface{ Lines() *[]byte }); ok {
		return b.Lines()
	}
	return nil
}

// Fail makes err the exchange's failure. A client that went away is the client's doing whatever broke because of it.
func (x *Exchange) Fail(ctx context.Context, err error) {
	if ctx.Err() != nil && context.Cause(ctx) == context.Canceled {
		err = &failure.Error{Source: failure.Client, Kind: failure.ClientGone, Err: err}
	}
	x.Failure = failure.From(err)
}
