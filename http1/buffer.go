package http1

import "sync"

// blockSize is the size of the engine's buffers: what one recv may bring and one send may carry. A block is held only
// while bytes are in it; nobody waits with an empty one in hand, so their number follows the bytes in flight.
const blockSize = 64 << 10

type block [blockSize]byte

var blocks = sync.Pool{New: func() any { return new(block) }}

func takeBlock() *block  { return blocks.Get().(*block) }
func giveBlock(b *block) { blocks.Put(b) }
