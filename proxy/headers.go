package proxy

import (
	"net/http"
	"strings"

	"github.com/sluice-gateway/sluice/exchange"
)

// removeHopByHop deletes the fields that speak of one connection only (RFC 9110 section 7.6.1), and those that
// Connection names. It comes before anything of ours is set, so that nobody can name a field of ours away.
// Upgrade stays in a 101, where it says what the tunnel speaks.
func removeHopByHop(h http.Header, switching bool) {
	deleteNamed(h, h["Connection"], switching)
	for name := range h {
		if isHopByHop(name) && !(switching && name == "Upgrade") {
			delete(h, name)
		}
	}
	if switching {
		h["Connection"] = []string{"Upgrade"}
	}
}

func isHopByHop(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Transfer-Encoding", "Trailer", "Upgrade":
		return true
	}
	return false
}

// deleteNamed deletes the fields that Connection names. Its usual words name none that is not deleted anyhow.
func deleteNamed(h http.Header, connection []string, switching bool) {
	for _, line := range connection {
		if line == "keep-alive" || line == "close" {
			continue
		}
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); name != "" && !(switching && strings.EqualFold(name, "upgrade")) {
				h.Del(name)
			}
		}
	}
}

// fate is what becomes of a request field on its way from In to Out.
type fate uint8

const (
	pass  fate = iota
	hop        // belongs to the client's connection
	ours       // we say it, whoever sent it
	proxy      // kept from a trusted proxy, dropped from anybody else
)

// fateOf sorts a field by its canonical name. A switch on strings costs a comparison of lengths for nearly all names.
func fateOf(name string) fate {
	if isHopByHop(name) {
		return hop
	}
	switch name {
	case "Content-Length", "Host", "Expect", "Http2-Settings": // settled on each connection by itself
		return hop
	case "Forwarded", "X-Real-Ip", "X-Request-Id", "X-Consumer-Name", "X-Consumer-Groups", "X-Attempt", "X-Mirror":
		return ours
	case "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix":
		return proxy
	}
	return pass
}

// drops reports whether a field of the client's is not to be forwarded. Services behind CGI-like interfaces read
// X_Forwarded_For as X-Forwarded-For, so a name with underscores shares the fate of the one with dashes; spelled so it
// comes from nobody honest, and a trusted proxy is no excuse.
func drops(name string, trusted bool) bool {
	switch fateOf(name) {
	case hop, ours:
		return true
	case proxy:
		return !trusted
	}
	return strings.IndexByte(name, '_') >= 0 && fateOf(http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))) != pass
}

// copyFields puts what may pass from in to out, sharing the values.
func copyFields(out, in http.Header, trusted bool) {
	for name, values := range in {
		if !drops(name, trusted) {
			out[name] = values
		}
	}
	deleteNamed(out, in["Connection"], false)
}

// forwarding is what setForwarding says of a request on which nobody has said anything of the kind that is believed, as
// field lines.
func (l *life) forwarding() []byte {
	x, peer := l.x, l.peerText()
	b := exchange.AppendLine(l.lines[:0], "X-Forwarded-For", peer)
	b = exchange.AppendLine(b, "X-Forwarded-Proto", x.Scheme)
	if x.In.Host != "" {
		b = exchange.AppendLine(b, "X-Forwarded-Host", x.In.Host)
	}
	b = exchange.AppendLine(b, "X-Forwarded-Port", port(x))
	b = exchange.AppendLine(b, "X-Real-Ip", peer)
	b = exchange.AppendLine(b, "X-Request-Id", x.RequestID)
	return exchange.AppendLine(b, "Via", via(x.In))
}

// setForwarding says who asked, how and through whom.
func (l *life) setForwarding(out http.Header) {
	x := l.x
	peer := l.peerText()
	client := peer
	if x.Client != x.Peer.Addr().Unmap() {
		client = x.Client.String()
	}
	if before := l.told(out, "X-Forwarded-For"); len(before) > 0 {
		out["X-Forwarded-For"] = l.one(strings.Join(before, ", ") + ", " + peer)
	} else {
		out["X-Forwarded-For"] = l.one(peer)
	}
	out["X-Real-Ip"] = l.one(client)
	out["X-Request-Id"] = l.one(x.RequestID)
	l.setUntold(out, "X-Forwarded-Proto", x.Scheme)
	l.setUntold(out, "X-Forwarded-Host", x.In.Host)
	l.setUntold(out, "X-Forwarded-Port", port(x))
	if before := out["Via"]; len(before) > 0 {
		out["Via"] = append(before[:len(before):len(before)], via(x.In))
	} else {
		out["Via"] = l.one(via(x.In))
	}
}

// peerText is the peer's address in words. The engine, which has had it since the connection was made, may know it.
func (l *life) peerText() string {
	if l.x.PeerText == "" {
		l.x.PeerText = l.x.Peer.Addr().Unmap().String()
	}
	return l.x.PeerText
}

// one is a field's only value, in memory that is used again for the next request. Its capacity is used up, so that
// whoever appends gets memory of their own.
func (l *life) one(value string) []string {
	if l.used == len(l.values) {
		return []string{value}
	}
	l.values[l.used] = value
	l.used++
	return l.values[l.used-1 : l.used : l.used]
}

// told is what a trusted proxy said in a field of fate proxy. What anybody else said was not copied.
func (l *life) told(out http.Header, name string) []string {
	if !l.x.Trusted {
		return nil
	}
	return out[name]
}

func (l *life) setUntold(out http.Header, name, value string) {
	if value != "" && l.told(out, name) == nil {
		out[name] = l.one(value)
	}
}

// port is the one the client spoke to: what it named, or its scheme's own.
func port(x *exchange.Exchange) string {
	switch {
	case x.Port != "":
		return x.Port
	case x.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}

// via names the version received and us (RFC 9110 section 7.6.3).
func via(in *http.Request) string {
	switch {
	case in.ProtoMajor == 2:
		return "2.0 sluice"
	case in.ProtoMajor == 3:
		return "3.0 sluice"
	case in.ProtoMinor == 0:
		return "1.0 sluice"
	default:
		return "1.1 sluice"
	}
}

const maxLoops = 8 // Via entries naming us; one more is a loop

// loops counts how often a request has come through a gateway of our name.
func loops(in http.Header) int {
	n := 0
	for _, line := range in["Via"] {
		for entry := range strings.SplitSeq(line, ",") {
			fields := strings.Fields(entry)
			if len(fields) >= 2 && fields[1] == "sluice" {
				n++
			}
		}
	}
	return n
}
