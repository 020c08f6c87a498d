package sfu

import "crypto/rand"

// Frames that are encrypted end to end pass untouched: what is read of a payload (the
// descriptor of VP8, the NAL header of H.264) stands in front of what is encrypted, and
// nothing else is written. Only what this engine makes itself must be told from it:
// clients look for the trailer that the join response names, and decode a frame of
// silence in front of it without a key.

// trailerSize is long enough that no cipher text ends like it by chance.
const trailerSize = 24

// injectedSize is the size of the one frame of silence that clients accept.
const injectedSize = 80

// newTrailer makes the trailer of a room.
func newTrailer() []byte {
	b := make([]byte, trailerSize)
	_, _ = rand.Read(b) // never fails
	return b
}

// injected is a frame of silence among encrypted ones.
func (r *Room) injected() []byte {
	b := make([]byte, injectedSize, injectedSize+len(r.trailer))
	copy(b, silence)
	return append(b, r.trailer...)
}

// ending is the frame that ends a track's sound when it is withheld.
func (t *Track) ending() []byte {
	if t.sealed != nil {
		return t.sealed
	}
	return silence
}
