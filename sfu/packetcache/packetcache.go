// Package packetcache keeps the recent packets of one received RTP stream and
// knows which of them are missing.
//
// One cache serves every subscriber of a track: a retransmission request of any
// of them is answered from here, and the gaps seen here are what the engine asks
// the publisher to send again (RFC 4585 §6.2.1).
package packetcache

import "sync"

// maxMissing bounds the list of sequence numbers that are asked for again: a
// longer gap is a broken stream, for which a key frame is cheaper than repair.
const maxMissing = 64

// maxTries is how often one missing packet is asked for. After five requests, a
// round trip apart, the receiver's jitter buffer has given it up.
const maxTries = 5

// Result says what a stored packet was.
type Result struct {
	// New is false for a duplicate and for a packet too old to be kept.
	New bool
	// Newest is true when the packet is later than all packets before it.
	Newest bool
	// Gap is the number of packets missing right before this one.
	Gap int
}

type missing struct {
	seq   uint16
	tries int
}

// Cache is safe for use by several goroutines.
type Cache struct {
	mu      sync.Mutex
	slots   [][]byte
	seqs    []uint16
	used    []bool
	started bool
	first   uint32 // first extended sequence number
	highest uint32 // highest extended sequence number
	stored  uint64
	missing []missing
}

// New returns a cache of the last size packets; size is a power of two.
func New(size int) *Cache {
	if size <= 0 || size&(size-1) != 0 {
		panic("packetcache: size must be a power of two")
	}
	return &Cache{slots: make([][]byte, size), seqs: make([]uint16, size), used: make([]bool, size)}
}

// Grow makes the cache keep the last size packets, a power of two; a smaller size than
// it has changes nothing.
func (c *Cache) Grow(size int) {
	if size&(size-1) != 0 {
		panic("packetcache: size must be a power of two")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if size <= len(c.slots) {
		return
	}
	slots, seqs, used := make([][]byte, size), make([]uint16, size), make([]bool, size)
	for i := range c.slots {
		if c.used[i] {
			to := int(c.seqs[i]) & (size - 1)
			slots[to], seqs[to], used[to] = c.slots[i], c.seqs[i], true
		}
	}
	c.slots, c.seqs, c.used = slots, seqs, used
}

// Store keeps a copy of packet, whose RTP sequence number is seq.
func (c *Cache) Store(seq uint16, packet []byte) Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.started {
		c.started = true
		// One cycle up, so that a packet from before the first has a number too.
		c.first = 1<<16 | uint32(seq)
		c.highest = c.first
		c.put(seq, packet)
		return Result{New: true, Newest: true}
	}
	ext := c.extend(seq)
	if ext > c.highest {
		gap := int(ext-c.highest) - 1
		if gap >= maxMissing {
			c.missing = c.missing[:0]
		} else {
			for e := c.highest + 1; e < ext; e++ {
				c.missing = append(c.missing, missing{seq: uint16(e)})
			}
			if n := len(c.missing) - maxMissing; n > 0 {
				c.missing = append(c.missing[:0], c.missing[n:]...)
			}
		}
		c.highest = ext
		c.put(seq, packet)
		return Result{New: true, Newest: true, Gap: gap}
	}
	if ext+uint32(len(c.slots)) <= c.highest || ext < c.first {
		return Result{}
	}
	i := int(seq) & (len(c.slots) - 1)
	if c.used[i] && c.seqs[i] == seq {
		return Result{}
	}
	c.put(seq, packet)
	for k := range c.missing {
		if c.missing[k].seq == seq {
			c.missing = append(c.missing[:k], c.missing[k+1:]...)
			break
		}
	}
	return Result{New: true}
}

func (c *Cache) put(seq uint16, packet []byte) {
	i := int(seq) & (len(c.slots) - 1)
	c.slots[i] = append(c.slots[i][:0], packet...)
	c.seqs[i] = seq
	c.used[i] = true
	c.stored++
}

func (c *Cache) extend(seq uint16) uint32 {
	return c.highest + uint32(int32(int16(seq-uint16(c.highest))))
}

// Get appends the packet with the sequence number to buf[:0] and returns it, or
// nil when it is not kept.
func (c *Cache) Get(seq uint16, buf []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := int(seq) & (len(c.slots) - 1)
	if !c.used[i] || c.seqs[i] != seq {
		return nil
	}
	if d := uint16(c.highest) - seq; int(d) >= len(c.slots) {
		return nil
	}
	return append(buf[:0], c.slots[i]...)
}

// Missing appends to dst the sequence numbers to ask the publisher for now, and
// counts one try for each of them.
func (c *Cache) Missing(dst []uint16) []uint16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := c.missing[:0]
	for _, m := range c.missing {
		if m.tries >= maxTries || int(uint16(c.highest)-m.seq) >= len(c.slots) {
			continue
		}
		m.tries++
		dst = append(dst, m.seq)
		kept = append(kept, m)
	}
	c.missing = kept
	return dst
}

// Stats are the totals of the stream since its first packet (RFC 3550 §6.4.1).
type Stats struct {
	Highest  uint32 // extended highest sequence number
	Expected uint64
	Received uint64
}

// Stats returns the totals; ok is false before the first packet.
func (c *Cache) Stats() (s Stats, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.started {
		return Stats{}, false
	}
	return Stats{
		Highest:  c.highest - 1<<16,
		Expected: uint64(c.highest-c.first) + 1,
		Received: c.stored,
	}, true
}
