package http1

import "sync"

// blockSize is the size of the engine's buffers: what one recv may bring and one send may carry. A block is held only
// while bytes are in it; nobody waits with an empty one in hand, so their number follows the bytes in flight.
const blockSize = 64 << 10

type block [blockSize]byte

var blocks = sync.Pool{New: func() any { return new(block) }}

func takeBlock() *block  { return blocks.Get().(*block) }
func giveBlock(b *block) { blocks.Put(b) }

// sendBlocks are those that an answer is written in, while another holds what came of it: with a pool of its own either is found
// in the one place that a sync.Pool reaches without a queue.
var sendBlocks = sync.Pool{New: func() any { return new(block) }}

// cupSize is the size of the buffer for a wait that cannot do without one, because it is a read of somebody else's.
const cupSize = 4 << 10

type cup [cupSize]byte

var cups = sync.Pool{New: func() any { return new(cup) }}

// vessel is the buffer of a loop of such reads: a cup, and a block for the read after one that filled the cup, since
// then more is there.
type vessel struct {
	blk *block
	cup *cup
}

func (v *vessel) take(full bool) []byte {
	if full {
		v.blk = takeBlock()
		return v.blk[:]
	}
	v.cup = cups.Get().(*cup)
	return v.cup[:]
}

func (v *vessel) give() {
	if v.blk != nil {
		giveBlock(v.blk)
	}
	if v.cup != nil {
		cups.Put(v.cup)
	}
	*v = vessel{}
}
