package http1

import (
	"bytes"
	"time"
)

// inbound is the receiving half of a connection: the socket, and the bytes that came and are not consumed yet. data
// lies in blk, or, while a head or chunk is incomplete and the rest is waited for, in memory of its own size: a slow
// peer must not hold a whole block.
type inbound struct {
	sock socket
	data []byte
	blk  *block

	scanned int // how much of data was searched in vain for the end of a head
}

// headEnd returns the index behind the head that data begins with, or -1 if the rest has not come. What has come is
// checked, so that nobody waits for the end of nonsense; and once only, so that a head sent byte by byte costs no more.
func (in *inbound) headEnd() (int, *fault) {
	from := max(0, in.scanned-len(blankLine)+1)
	if i := bytes.Index(in.data[from:], blankLine); i >= 0 {
		in.scanned = 0
		return from + i + len(blankLine), nil
	}
	from = in.scanned
	if from > 0 && in.data[from-1] == '\r' {
		from--
	}
	in.scanned = len(in.data)
	return -1, spoiled(in.data[from:])
}

// consume drops n bytes, and the block with the last of them.
func (in *inbound) consume(n int) {
	in.data, in.scanned = in.data[n:], 0
	if len(in.data) == 0 {
		in.release()
	}
}

func (in *inbound) release() {
	in.data, in.scanned = nil, 0
	if in.blk != nil {
		giveBlock(in.blk)
		in.blk = nil
	}
}

// accept adds what a fill brought.
func (in *inbound) accept(blk *block, n int) {
	if len(in.data) == 0 {
		in.release()
		in.blk, in.data = blk, blk[:n]
		return
	}
	in.park()
	in.data = append(in.data, blk[:n]...)
	giveBlock(blk)
}

// park moves unconsumed bytes out of their block.
func (in *inbound) park() {
	if in.blk == nil {
		return
	}
	in.data = append(make([]byte, 0, 2*len(in.data)+512), in.data...)
	giveBlock(in.blk)
	in.blk = nil
}

// more waits for more bytes than there are.
func (in *inbound) more(wait time.Duration) error {
	in.park()
	blk, n, err := in.sock.fill(wait)
	if n > 0 {
		in.accept(blk, n)
		return nil
	}
	return err
}

// direct reads into p past the buffer, which must be empty.
func (in *inbound) direct(p []byte, wait time.Duration) (int, error) {
	return in.sock.read(p, wait)
}

// skip reads and drops what comes, at most n bytes, until the peer closes.
func (in *inbound) skip(n int, until moment) {
	in.release()
	for n > 0 {
		left := time.Duration(until - now())
		if left <= 0 {
			return
		}
		blk, got, err := in.sock.fill(left)
		if got > 0 {
			giveBlock(blk)
			n -= got
		}
		if err != nil {
			return
		}
	}
}
