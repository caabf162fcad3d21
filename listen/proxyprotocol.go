package listen

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"
)

const (
	proxyV1Max    = 107 // the longest line of version 1, CR LF included
	proxyV2Prefix = 16  // signature, version, family, length
	proxyV2Max    = proxyV2Prefix + 4096
	proxyWait     = 10 * time.Second // where headerTimeout is 0: a header that never comes must not wait for ever
)

var (
	errNoProxyHeader   = errors.New("the connection does not begin with a PROXY protocol header")
	errProxyHeaderSize = errors.New("the PROXY protocol header is too long")
	errProxyTransport  = errors.New("the PROXY protocol header speaks of a datagram")
)

// readProxyHeader takes exactly the PROXY protocol header (version 1 or 2) off c, and no byte that follows it. The peer
// it names is returned, or the one given if it names none: LOCAL, UNKNOWN and unix sockets. The connection's read
// deadline holds. io.EOF: the client closed before it sent a byte.
func readProxyHeader(c net.Conn, peer netip.AddrPort) (netip.AddrPort, error) {
	var head [proxyV1Max]byte
	n, err := peek(c, head[:], proxyHeaderSeen, nil)
	if err != nil {
		return peer, err
	}
	size, err := proxyHeaderSize(head[:n])
	if err != nil {
		return peer, err
	}
	buf := make([]byte, size)
	if _, err := io.ReadFull(c, buf); err != nil {
		return peer, err
	}
	header, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(buf), size))
	if err != nil {
		return peer, err
	}
	return proxiedPeer(header, peer)
}

// proxyHeaderSeen: enough to know the header's size, or that it is none.
func proxyHeaderSeen(seen []byte) bool {
	_, err := proxyHeaderSize(seen)
	return !errors.Is(err, io.ErrShortBuffer)
}

// proxyHeaderSize is the whole length of the header that seen begins with; io.ErrShortBuffer asks for more.
func proxyHeaderSize(seen []byte) (int, error) {
	switch {
	case begins(seen, proxyproto.SIGV2):
		if len(seen) < proxyV2Prefix {
			return 0, io.ErrShortBuffer
		}
		size := proxyV2Prefix + int(binary.BigEndian.Uint16(seen[proxyV2Prefix-2:]))
		if size > proxyV2Max {
			return 0, errProxyHeaderSize
		}
		return size, nil
	case begins(seen, proxyproto.SIGV1):
		if end := bytes.IndexByte(seen, '\n'); end >= 0 {
			return end + 1, nil
		}
		if len(seen) >= proxyV1Max {
			return 0, errProxyHeaderSize
		}
		return 0, io.ErrShortBuffer
	default:
		return 0, errNoProxyHeader
	}
}

// begins reports whether seen begins with prefix, or may yet.
func begins(seen, prefix []byte) bool {
	n := min(len(seen), len(prefix))
	return bytes.Equal(seen[:n], prefix[:n])
}

func proxiedPeer(h *proxyproto.Header, peer netip.AddrPort) (netip.AddrPort, error) {
	if h.Command.IsLocal() || h.TransportProtocol.IsUnspec() {
		return peer, nil
	}
	if !h.TransportProtocol.IsStream() {
		return peer, errProxyTransport
	}
	if addr, ok := h.SourceAddr.(*net.TCPAddr); ok {
		return plainAddrPort(addr.AddrPort()), nil
	}
	return peer, nil
}

// plainAddrPort is an address in the form in which it is compared with prefixes: no IPv4 inside IPv6, no zone.
func plainAddrPort(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
