package grpc

import "encoding/binary"

// Scanner watches frames go by in pieces of any size, and holds none of them. It refuses flags and lengths as soon as it
// sees them, and knows whether a stream that ends here ends between two frames.
type Scanner struct {
	Limit    int // the largest message; 0: none but 4 GiB
	Messages int // frames that have begun

	head [HeaderBytes]byte
	have int   // bytes of the prefix
	left int64 // bytes of the message still to come
}

// Pass looks at the next piece.
func (s *Scanner) Pass(p []byte) error {
	for len(p) > 0 {
		if s.left > 0 {
			n := min(s.left, int64(len(p)))
			s.left -= n
			p = p[n:]
			continue
		}
		n := copy(s.head[s.have:], p)
		s.have += n
		p = p[n:]
		if s.have < HeaderBytes {
			return nil
		}
		s.have = 0
		s.Messages++
		if s.head[0]&^Compressed != 0 {
			return ErrFlags
		}
		s.left = int64(binary.BigEndian.Uint32(s.head[1:]))
		if s.Limit > 0 && s.left > int64(s.Limit) {
			return &TooLargeError{s.Limit}
		}
	}
	return nil
}

// Between reports whether what has passed ends with a whole frame.
func (s *Scanner) Between() bool { return s.have == 0 && s.left == 0 }
