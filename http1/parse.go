package http1

// One strict parser for the heads of both sides (RFC 9112 sections 2 to 6). A head is parsed only once it is whole: its
// bytes become one string, and names and values are slices of that string, unless nobody reads them (passed.go). What can be told from an unfinished head,
// that it is malformed already, is told by spoiled, so that nobody waits for the end of nonsense.

import "net/http"

// fault is a reason to refuse a message. Faults are constants of the package, never made per request.
type fault struct {
	status int // what a client is told; the upstream side looks only at tooBig
	tooBig bool
	detail string
}

func (f *fault) Error() string { return f.detail }

func malformed(detail string) *fault { return &fault{status: http.StatusBadRequest, detail: detail} }

var (
	faultLineEnd       = malformed("A line ends in something other than CR LF.")
	faultControl       = malformed("The head holds a control character.")
	faultFold          = malformed("A field line is folded, which RFC 9112 forbids.")
	faultName          = malformed("A field name is not a token, or white space stands before its colon.")
	faultRequestLine   = malformed("The request line is malformed.")
	faultMethod        = malformed("The method is not a token.")
	faultTarget        = malformed("The request target is malformed.")
	faultNoHost        = malformed("The Host field is missing.")
	faultManyHosts     = malformed("There is more than one Host field.")
	faultHost          = malformed("The Host field is malformed.")
	faultLength        = malformed("Content-Length is not one decimal number.")
	faultManyLengths   = malformed("There is more than one Content-Length.")
	faultBothFramings  = malformed("Content-Length and Transfer-Encoding are both present.")
	faultCoding        = malformed("The only transfer coding understood is a single chunked.")
	faultCodingOld     = malformed("Transfer-Encoding is not defined for HTTP/1.0.")
	faultTrailer       = malformed("A trailer field frames or routes the message.")
	faultStatusLine    = malformed("The status line is malformed.")
	faultChunk         = malformed("The chunked body is malformed.")
	faultChunkSize     = malformed("A chunk's size is malformed or too large.")
	faultChunkExt      = malformed("Chunk extensions are malformed or too long.")
	faultVersion       = &fault{http.StatusHTTPVersionNotSupported, false, "Only HTTP/1.1 and HTTP/1.0 are spoken here."}
	faultExpect        = &fault{http.StatusExpectationFailed, false, "The only expectation understood is 100-continue."}
	faultTargetTooLong = &fault{http.StatusRequestURITooLong, true, "The request target is too long."}
	faultHeadTooBig    = &fault{http.StatusRequestHeaderFieldsTooLarge, true, "The header section is too large."}
	faultManyFields    = &fault{http.StatusRequestHeaderFieldsTooLarge, true, "There are too many header fields."}
)

var blankLine = []byte("\r\n\r\n")

// spoiled looks at a head that is not whole yet and tells whether it can still become one.
func spoiled(b []byte) *fault {
	for i := 0; ; i += 2 {
		if i = textEnd(b, i); i >= len(b) {
			return nil
		}
		if f := lineEnd(b, i); f != nil {
			return f
		}
		if i+1 >= len(b) {
			return nil
		}
	}
}

// lineEnd checks that the control at b[i] is the CR of a CR LF. A CR that is the last byte may yet become one.
func lineEnd(b []byte, i int) *fault {
	switch {
	case b[i] == '\n':
		return faultLineEnd
	case b[i] != '\r':
		return faultControl
	case i+1 < len(b) && b[i+1] != '\n':
		return faultLineEnd
	}
	return nil
}

// framing is what the field lines said about the message around them.
type framing struct {
	length    int64 // Content-Length, or -1
	codings   int   // number of Transfer-Encoding lines
	hosts     int
	host      string
	close     bool // Connection: close
	keepAlive bool // Connection: keep-alive
	upgrade   bool // Connection: upgrade and an Upgrade field
	asksTo    bool // an Upgrade field
	names     bool // Connection: upgrade
	others    bool // Connection: anything else
	expect    string
	trailer   http.Header // the fields announced by Trailer
}

// fields parses field lines into a header map.
type fields struct {
	header  http.Header
	values  []string // the memory the map's one-element slices are cut from
	count   int      // number of fields still allowed
	framing framing
	passed  *passed // nil: all go into the map
}

func (f *fields) reset(count int) {
	f.values = f.values[:0]
	f.count = count
	f.framing = framing{}
	f.framing.length = -1
	if f.header == nil || len(f.header) > 64 {
		f.header = make(http.Header)
		return
	}
	clear(f.header)
}

// parse reads the lines of b, whose text is also s, from i to the blank line that ends both.
func (f *fields) parse(b []byte, s string, i int) *fault {
	for i < len(b)-2 {
		end := textEnd(b, i)
		if bad := lineEnd(b, end); bad != nil {
			return bad
		}
		if f.count--; f.count < 0 {
			return faultManyFields
		}
		if bad := f.line(s[i:end]); bad != nil {
			return bad
		}
		i = end + 2
	}
	return nil
}

// line takes one field line, RFC 9112 section 5.
func (f *fields) line(s string) *fault {
	n, canonical := scanName(s)
	if n == 0 || n == len(s) || s[n] != ':' {
		if s != "" && (s[0] == ' ' || s[0] == '\t') {
			return faultFold
		}
		return faultName
	}
	name, r := s[:n], ordinary
	if canonical {
		r = roleOf(name)
	} else {
		name, r = canonicalName(name)
	}
	value := trimSpace(s[n+1:])
	if r != ordinary {
		kept, bad := f.steer(r, value)
		if !kept || bad != nil {
			return bad
		}
	}
	if f.passed != nil {
		f.pass(name, value, r)
	} else {
		f.add(name, value)
	}
	return nil
}

func (f *fields) add(name, value string) {
	if old, ok := f.header[name]; ok {
		f.header[name] = append(old, value)
		return
	}
	n := len(f.values)
	f.values = append(f.values, value)
	f.header[name] = f.values[n : n+1 : n+1]
}

// steer notes what a field says about connection and framing. Host, Transfer-Encoding and Trailer leave the map, as in
// net/http; they live on in Request.Host, ContentLength and Trailer.
func (f *fields) steer(r role, value string) (kept bool, bad *fault) {
	m := &f.framing
	switch r {
	case roleHost:
		m.hosts++
		m.host = value
		return false, nil
	case roleConnection:
		eachToken(value, m.connection)
	case roleContentLength:
		if m.length >= 0 {
			return false, faultManyLengths
		}
		m.length, bad = parseLength(value)
	case roleTransferEncoding:
		m.codings++
		if m.codings > 1 || !equalFold(value, "chunked") {
			return false, faultCoding
		}
		return false, nil
	case roleTrailer:
		return false, m.announce(value)
	case roleExpect:
		m.expect = value
	case roleUpgrade:
		m.asksTo = true
	}
	return true, bad
}

func (m *framing) connection(token string) {
	switch {
	case equalFold(token, "close"):
		m.close = true
	case equalFold(token, "keep-alive"):
		m.keepAlive = true
	case equalFold(token, "upgrade"):
		m.names = true
	default:
		m.others = true
	}
}

// announce takes a Trailer field, RFC 9110 section 6.6.2.
func (m *framing) announce(value string) (bad *fault) {
	eachToken(value, func(name string) {
		if !validToken(name) || barredFromTrailers(name) {
			bad = faultTrailer
			return
		}
		if m.trailer == nil {
			m.trailer = make(http.Header)
		}
		m.trailer[http.CanonicalHeaderKey(name)] = nil
	})
	return bad
}

// parseLength takes 1*DIGIT and nothing else (RFC 9110 section 8.6): no sign, no list, no 64-bit overflow.
func parseLength(s string) (int64, *fault) {
	if s == "" || len(s) > 18 {
		return -1, faultLength
	}
	var n int64
	for i := range len(s) {
		c := s[i] - '0'
		if c > 9 {
			return -1, faultLength
		}
		n = n*10 + int64(c)
	}
	return n, nil
}

// settle makes the checks that need the whole head. minor is the version's second digit.
func (m *framing) settle(minor int) *fault {
	m.upgrade = m.asksTo && m.names && minor > 0
	if m.codings == 0 {
		m.trailer = nil // only chunks can be followed by any
		return nil
	}
	if m.length >= 0 {
		return faultBothFramings
	}
	if minor == 0 {
		return faultCodingOld
	}
	return nil
}

// parseVersion takes "HTTP/1.x". A version of the right shape that is not spoken here is a fault of its own.
func parseVersion(s string) (minor int, bad *fault) {
	switch {
	case s == "HTTP/1.1":
		return 1, nil
	case s == "HTTP/1.0":
		return 0, nil
	case len(s) == 8 && s[:5] == "HTTP/" && s[6] == '.' && s[5]-'0' <= 9 && s[7]-'0' <= 9:
		return 0, faultVersion
	}
	return 0, faultRequestLine
}
