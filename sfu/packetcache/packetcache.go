// Package packetcache keeps the recent packets of one received RTP stream and
// knows which of them are missing.
//
// One cache serves every subscriber of a track: a retransmission request of any
// of them is answered from here, and the gaps seen here are what the engine asks
// the publisher to send again (RFC 4585 §6.2.1).
package packetcache

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// maxMissing bounds the list of sequence numbers that are asked for again: a
// longer gap is a broken stream, for which a key frame is cheaper than repair.
const maxMissing = 64

// keepFor is how long a packet can be asked for at least, if the cache may be large
// enough: three round trips of a link around the world.
const keepFor = time.Second

const (
	// fewest is how many packets a new cache has place for.
	fewest = 64
	// step is by how many bytes a cache grows; chunk divides half of it.
	step  = 32 << 10
	chunk = 4 << 10
	// largest is the size of a packet, in bytes, for which a full cache has place.
	largest = 1280
)

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

// place says where a packet is.
type place struct {
	at   uint64 // how many bytes were written before it
	came int64  // UnixNano
	size uint16
	seq  uint16
	used bool // a packet with this number came
	gone bool // and was written over before the ring grew
}

// Cache is safe for use by several goroutines. It holds the last second of its stream:
// it grows while there is more to hold, up to the number of packets given to New.
type Cache struct {
	mu      sync.Mutex
	most    int
	slots   []place // by sequence number
	ring    []byte  // packets one after the other, none across the end
	touched []int64 // when each chunk of the ring was written to last, UnixNano
	written uint64  // into the ring, with what was left free at its end
	started bool
	first   uint32 // first extended sequence number
	highest uint32 // highest extended sequence number
	stored  uint64
	missing []missing
}

// New returns a cache of at most the last most packets, a power of two.
func New(most int) *Cache {
	if most <= 0 || most&(most-1) != 0 {
		panic("packetcache: size must be a power of two")
	}
	return &Cache{most: most, slots: make([]place, min(most, fewest))}
}

// Store keeps a copy of packet, which came now and whose RTP sequence number is seq.
func (c *Cache) Store(seq uint16, packet []byte, now time.Time) Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.started {
		c.started = true
		// One cycle up, so that a packet from before the first has a number too.
		c.first = 1<<16 | uint32(seq)
		c.highest = c.first
		c.put(seq, packet, now.UnixNano())
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
		c.put(seq, packet, now.UnixNano())
		return Result{New: true, Newest: true, Gap: gap}
	}
	if ext+uint32(len(c.slots)) <= c.highest || ext < c.first {
		return Result{}
	}
	if p := c.slots[int(seq)&(len(c.slots)-1)]; p.used && p.seq == seq {
		return Result{}
	}
	c.put(seq, packet, now.UnixNano())
	for k := range c.missing {
		if c.missing[k].seq == seq {
			c.missing = append(c.missing[:k], c.missing[k+1:]...)
			break
		}
	}
	return Result{New: true}
}

func (c *Cache) put(seq uint16, packet []byte, now int64) {
	c.stored++
	i := int(seq) & (len(c.slots) - 1)
	if old := &c.slots[i]; old.used && now-old.came < int64(keepFor) && len(c.slots) < c.most && c.held(old) {
		c.resize(2*len(c.slots), len(c.ring))
		i = int(seq) & (len(c.slots) - 1)
	}
	at := c.room(len(packet))
	for c.young(at, len(packet), now) {
		c.resize(len(c.slots), len(c.ring)+min(max(len(c.ring), step/2), step))
		at = c.room(len(packet))
	}
	c.slots[i] = place{at: at, came: now, size: uint16(len(packet)), seq: seq, used: true}
	c.write(at, packet, now)
}

// write puts a packet where room said.
func (c *Cache) write(at uint64, packet []byte, now int64) {
	c.written = at + uint64(len(packet))
	if len(packet) == 0 {
		return
	}
	from := int(at % uint64(len(c.ring)))
	copy(c.ring[from:], packet)
	for i := from / chunk; i <= (from+len(packet)-1)/chunk; i++ {
		c.touched[i] = now
	}
}

// room is where size bytes come to stand.
func (c *Cache) room(size int) uint64 {
	if len(c.ring) == 0 {
		return c.written
	}
	if left := len(c.ring) - int(c.written%uint64(len(c.ring))); left < size {
		return c.written + uint64(left)
	}
	return c.written
}

// young tells whether size bytes at a place need a larger ring: they do not fit, or
// would be written over what came less than keepFor ago.
func (c *Cache) young(at uint64, size int, now int64) bool {
	switch {
	case size > len(c.ring):
		return true
	case size == 0 || len(c.ring) >= c.most*largest:
		return false
	}
	from := int(at % uint64(len(c.ring)))
	i, last := from/chunk, (from+size-1)/chunk
	if from%chunk > 0 {
		i++ // was begun in this round
	}
	for ; i <= last; i++ {
		if t := c.touched[i]; t != 0 && now-t < int64(keepFor) {
			return true
		}
	}
	return false
}

// held tells whether a packet was not written over.
func (c *Cache) held(p *place) bool {
	return p.used && !p.gone && c.written <= p.at+uint64(len(c.ring))
}

// resize makes place for more packets and bytes, and moves what is there. Places count
// the bytes written to the ring they were made for: those of packets written over
// before would name others' bytes in the new one.
func (c *Cache) resize(slots, bytes int) {
	known := make([]place, 0, len(c.slots))
	for i := range c.slots {
		if p := c.slots[i]; p.used {
			p.gone = !c.held(&p)
			known = append(known, p)
		}
	}
	slices.SortFunc(known, func(a, b place) int { return cmp.Compare(a.at, b.at) })
	old := c.ring
	if bytes != len(old) {
		c.ring, c.touched, c.written = make([]byte, bytes), make([]int64, bytes/chunk), 0
	}
	if slots != len(c.slots) {
		c.slots = make([]place, slots)
	}
	for _, p := range known {
		if bytes != len(old) && !p.gone {
			from := p.at
			p.at = c.room(int(p.size))
			var packet []byte
			if p.size > 0 {
				packet = old[from%uint64(len(old)):][:p.size]
			}
			c.write(p.at, packet, p.came)
		}
		c.slots[int(p.seq)&(slots-1)] = p
	}
}

// find returns the place of a packet that is kept.
func (c *Cache) find(seq uint16) *place {
	p := &c.slots[int(seq)&(len(c.slots)-1)]
	if p.seq != seq || !c.held(p) || int(uint16(c.highest)-seq) >= len(c.slots) {
		return nil
	}
	return p
}

func (c *Cache) extend(seq uint16) uint32 {
	return c.highest + uint32(int32(int16(seq-uint16(c.highest))))
}

// Get appends the packet with the sequence number to buf[:0] and returns it, or
// nil when it is not kept.
func (c *Cache) Get(seq uint16, buf []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.find(seq)
	if p == nil {
		return nil
	}
	buf = buf[:0]
	if p.size > 0 {
		buf = append(buf, c.ring[p.at%uint64(len(c.ring)):][:p.size]...)
	}
	return buf
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
