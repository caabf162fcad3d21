package aggregate

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/template"
)

// What of a request's fields goes to a call:
//
//   - what the gateway itself says: X-Forwarded-…, X-Real-IP, X-Request-Id, Via, the consumer, and whatever a filter has set.
//     Such a field does not share its values with the request as received.
//   - of what the client said, the fields of tracing, and those that `forward` names.
//   - never what belongs to a connection or a body, and never what would make a call's answer other than whole and plain:
//     conditions, ranges, codings.

// traced are the client's fields that go to every call.
var traced = map[string]bool{
	"Traceparent": true, "Tracestate": true, "Baggage": true, "B3": true,
	"X-B3-Traceid": true, "X-B3-Spanid": true, "X-B3-Parentspanid": true, "X-B3-Sampled": true, "X-B3-Flags": true,
	// Kept from a trusted proxy, these stand in the request as it was received.
	"X-Forwarded-For": true, "X-Forwarded-Proto": true, "X-Forwarded-Host": true, "X-Forwarded-Port": true, "X-Forwarded-Prefix": true,
}

// never are the fields that are not for `forward` or a filter to pass, and why.
func never(name string) string {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Upgrade",
		"Http2-Settings", "Transfer-Encoding", "Trailer", "Expect", "Host":
		return "belongs to one connection"
	case "Content-Length", "Content-Encoding", "Content-Range", "Content-Type":
		return "belongs to the client's body, which is not sent"
	case "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Range":
		return "would have the service answer with less than the whole"
	case "Accept-Encoding":
		return "would have the service answer in a coding that nobody here reads"
	case "Accept":
		return "is what the call's format says"
	}
	return ""
}

// ours are the fields that the gateway alone says.
func ours(name string) bool {
	switch name {
	case "Forwarded", "Via", "X-Real-Ip", "X-Request-Id", "X-Consumer-Name", "X-Consumer-Groups", "X-Attempt":
		return true
	}
	return strings.HasPrefix(name, "X-Forwarded-")
}

// settable says whether a call may set a field.
func settable(name string) error {
	canonical := http.CanonicalHeaderKey(name)
	switch why := never(canonical); {
	case !httpguts.ValidHeaderFieldName(name):
		return fmt.Errorf("%q cannot be the name of a header field", name)
	case canonical == "Content-Type":
		return errors.New("the type of the body has a key of its own: contentType")
	case canonical == "Accept":
		return nil
	case why != "":
		return fmt.Errorf("%s %s", canonical, why)
	case ours(canonical):
		return fmt.Errorf("%s is for the gateway alone to say", canonical)
	}
	return nil
}

// forwarded are the client's fields that go with a call.
func (p *planner) forwarded(q *plan) map[string]bool {
	all := make(map[string]bool)
	p.forward(all, q.Forward)
	for _, name := range p.a.spec.Forward {
		all[http.CanonicalHeaderKey(name)] = true
	}
	return all
}

func (p *planner) forward(into map[string]bool, names []string) {
	for i, name := range names {
		canonical := http.CanonicalHeaderKey(name)
		at := fmt.Sprintf("forward[%d]", i)
		switch why := never(canonical); {
		case !httpguts.ValidHeaderFieldName(name):
			p.wrong(at, fmt.Errorf("%q cannot be the name of a header field", name))
		case why != "":
			p.wrong(at, fmt.Errorf("%s %s", canonical, why))
		}
		into[canonical] = true
	}
}

// depends notes what of the client an answer depends on by the texts of its calls, whatever the services say of it.
func (a *Aggregate) depends(r *template.Reference) {
	switch r.Root {
	case "header":
		if name := http.CanonicalHeaderKey(r.Path[0].Name); !slices.Contains(a.varies, name) {
			a.varies = append(a.varies, name)
		}
	case "consumer", "claim", "cookie", "client", "requestId":
		a.personal = true
	}
}

// field is one that goes to every call.
type field struct {
	name   string
	values []string
}

// collect finds the fields that go to every call, once for all of them.
func (r *run) collect() {
	x := r.x
	r.lines = append(r.lines[:0], x.Forwarding...)
	for name, values := range x.Out.Header {
		if len(values) > 0 && (traced[name] || !shared(values, x.In.Header[name])) && never(name) == "" && !r.write(name, values) {
			r.fields = append(r.fields, field{name, values})
		}
	}
}

// isBroken reports whether a value could not stand in a head.
func isBroken(value string) bool { return !httpguts.ValidHeaderFieldValue(value) }

// write writes a field as lines; false: it may not be. One that could not stand in a head goes into the header, where the
// transport refuses it, and so does one in another spelling than all the rules here are for: there it frames nothing.
func (r *run) write(name string, values []string) bool {
	if !r.a.lines || r.a.own[name] || !httpguts.ValidHeaderFieldName(name) || http.CanonicalHeaderKey(name) != name ||
		slices.ContainsFunc(values, isBroken) {
		return false
	}
	for _, v := range values {
		r.lines = exchange.AppendLine(r.lines, name, v)
	}
	return true
}

// setFields fills a call's header, and its lines.
func (q *plan) setFields(u *unit) {
	r, h := u.from.r, u.header
	u.lines = append(append(u.lines[:0], r.lines...), q.lines...)
	for _, f := range r.fields {
		h[f.name] = f.values
	}
	for name := range q.forward {
		if values := r.x.Out.Header[name]; len(values) > 0 {
			h[name] = values
		}
	}
	if q.lines == nil {
		h["Accept"], h["Accept-Encoding"] = q.accept, identity
	}
	if q.body != nil {
		h["Content-Type"] = q.contentType
	}
}

// shared reports whether the values of a field are those that the client sent: the proxy and the filters never write into
// them, they put new ones in their place.
func shared(values, received []string) bool { return len(received) > 0 && &received[0] == &values[0] }

// writeLines settles which fields need not go through a header, if the services take them so: but for those that a call may
// say otherwise, all.
func (p *planner) writeLines() {
	a := p.a
	for _, q := range a.calls {
		if q.Service == nil || !q.Service.TakesLines() {
			return
		}
	}
	a.lines, a.own = true, make(map[string]bool)
	for _, q := range a.calls {
		maps.Copy(a.own, q.forward)
		for _, h := range q.headers {
			a.own[h.name] = true
		}
		q.lines = exchange.AppendLine(nil, "Accept-Encoding", identity[0])
		if !slices.ContainsFunc(q.headers, func(h namedTemplate) bool { return h.name == "Accept" }) {
			q.lines = exchange.AppendLine(q.lines, "Accept", q.accept[0])
		}
		q.reads = read
	}
}

// read are the fields of an answer that are read here, and the one that the attempt loop judges by.
var read = []string{"Content-Type", "Content-Encoding", "Cache-Control", "Expires", "Date", "Age", "Vary", "Www-Authenticate", "Grpc-Status"}

var identity = []string{"identity"}

var accepts = map[Format][]string{
	JSON: {"application/json"}, XML: {"application/xml, text/xml;q=0.9"}, Text: {"text/plain, */*;q=0.1"},
}
