package sfu

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// srtpProfiles are offered in this order: GCM costs a sixth of the other.
var srtpProfiles = []dtls.SRTPProtectionProfile{
	dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80,
}

const (
	gcmTag   = 16
	saltSize = 12
	// window is how many numbers back a packet may come late, in or out.
	window = 1024
	// sealRoom is what sealing adds at most.
	sealRoom = 16
)

var (
	errSealed = errors.New("sfu: this number was used before")
	errReplay = errors.New("sfu: packet was received before")
)

// history knows which packets of one SSRC there were, by their 48-bit index (RFC 3711
// §3.3.1): the roll-over counter and the sequence number.
type history struct {
	highest uint64
	begun   bool
	seen    [window / 64]uint64
}

// index finds the index of a number; ok is false for one that is too old or was seen.
func (h *history) index(seq uint16) (index uint64, ok bool) {
	if !h.begun {
		// One cycle up would be another key stream than the other side's: counting
		// begins at 0, and what is before the first packet is not known.
		return uint64(seq), true
	}
	d := int64(int16(seq - uint16(h.highest)))
	if d > 0 {
		return h.highest + uint64(d), true
	}
	if -d >= window || uint64(-d) > h.highest {
		return 0, false
	}
	index = h.highest - uint64(-d)
	return index, h.seen[index/64%(window/64)]&(1<<(index%64)) == 0
}

// note marks an index that index returned.
func (h *history) note(index uint64) {
	if !h.begun {
		h.begun, h.highest = true, index
	}
	if index > h.highest {
		if index-h.highest >= window {
			clear(h.seen[:])
		} else {
			for i := h.highest + 1; i < index; i++ {
				h.seen[i/64%(window/64)] &^= 1 << (i % 64)
			}
		}
		h.highest = index
	}
	h.seen[index/64%(window/64)] |= 1 << (index % 64)
}

// sender is one SSRC that we send. With GCM the same number must never protect other
// bytes, so a number that was used is refused, whatever asks for it.
type sender struct {
	mu    sync.Mutex
	ssrc  uint32
	sent  history
	nonce [saltSize]byte
}

// receiver is one SSRC that we receive.
type receiver struct {
	got   history
	nonce [saltSize]byte
}

// keys are the SRTP keys of one link, for one direction each.
type keys struct {
	out, in         cipher.AEAD // nil unless the profile is one of GCM
	outSalt, inSalt [saltSize]byte

	mu          sync.Mutex // of the contexts
	outCM       *srtp.Context
	inCM        *srtp.Context // used by who reads the link
	outRTCP     *srtp.Context
	inRTCP      *srtp.Context
	plainHeader rtp.Header
}

// newKeys derives everything from the finished handshake, in which we were the server.
func newKeys(profile dtls.SRTPProtectionProfile, exporter srtp.KeyingMaterialExporter) (*keys, error) {
	c := srtp.Config{Profile: srtp.ProtectionProfile(profile)}
	if err := c.ExtractSessionKeysFromDTLS(exporter, false); err != nil {
		return nil, fmt.Errorf("media keys: %w", err)
	}
	k := &keys{}
	var err error
	if k.outRTCP, err = srtp.CreateContext(c.Keys.LocalMasterKey, c.Keys.LocalMasterSalt, c.Profile); err != nil {
		return nil, fmt.Errorf("media keys: %w", err)
	}
	if k.inRTCP, err = srtp.CreateContext(c.Keys.RemoteMasterKey, c.Keys.RemoteMasterSalt, c.Profile, srtp.SRTCPReplayProtection(64)); err != nil {
		return nil, fmt.Errorf("media keys: %w", err)
	}
	if profile == dtls.SRTP_AES128_CM_HMAC_SHA1_80 {
		// Pion's contexts; the histories refuse what comes twice.
		if k.outCM, err = srtp.CreateContext(c.Keys.LocalMasterKey, c.Keys.LocalMasterSalt, c.Profile); err != nil {
			return nil, fmt.Errorf("media keys: %w", err)
		}
		if k.inCM, err = srtp.CreateContext(c.Keys.RemoteMasterKey, c.Keys.RemoteMasterSalt, c.Profile); err != nil {
			return nil, fmt.Errorf("media keys: %w", err)
		}
		return k, nil
	}
	if k.out, k.outSalt, err = newGCM(c.Keys.LocalMasterKey, c.Keys.LocalMasterSalt); err != nil {
		return nil, err
	}
	k.in, k.inSalt, err = newGCM(c.Keys.RemoteMasterKey, c.Keys.RemoteMasterSalt)
	return k, err
}

// newGCM makes the cipher of RTP from a master key (RFC 7714 §11, RFC 3711 §4.3).
func newGCM(key, salt []byte) (a cipher.AEAD, s [saltSize]byte, err error) {
	session, err := derive(0, key, salt, len(key))
	if err != nil {
		return nil, s, err
	}
	block, err := aes.NewCipher(session)
	if err != nil {
		return nil, s, fmt.Errorf("media keys: %w", err)
	}
	if a, err = cipher.NewGCM(block); err != nil {
		return nil, s, fmt.Errorf("media keys: %w", err)
	}
	sessionSalt, err := derive(2, key, salt, saltSize)
	copy(s[:], sessionSalt)
	return a, s, err
}

// derive is the pseudo-random function of RFC 3711 §4.3.3 with a derivation rate of 0.
func derive(label byte, key, salt []byte, n int) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("media keys: %w", err)
	}
	var iv [aes.BlockSize]byte
	copy(iv[:14], salt)
	iv[7] ^= label
	out := make([]byte, n)
	cipher.NewCTR(block, iv[:]).XORKeyStream(out, out)
	return out, nil
}

func makeNonce(n *[saltSize]byte, salt *[saltSize]byte, ssrc uint32, index uint64) {
	n[0], n[1] = 0, 0
	binary.BigEndian.PutUint32(n[2:], ssrc)
	binary.BigEndian.PutUint32(n[6:], uint32(index>>16))
	binary.BigEndian.PutUint16(n[10:], uint16(index))
	for i := range n {
		n[i] ^= salt[i]
	}
}

// seal protects an RTP packet of b's first n bytes, whose header has size bytes, in
// place, and returns its new length. There must be sealRoom bytes behind it.
func (k *keys) seal(s *sender, b []byte, size, n int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	index, ok := s.sent.index(binary.BigEndian.Uint16(b[2:]))
	if !ok {
		return 0, errSealed
	}
	s.sent.note(index)
	if k.out == nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		sealed, err := k.outCM.EncryptRTP(b[:0], b[:n], nil)
		if err != nil {
			return 0, fmt.Errorf("seal packet: %w", err)
		}
		return copy(b[:len(sealed)], sealed), nil
	}
	makeNonce(&s.nonce, &k.outSalt, s.ssrc, index)
	return len(k.out.Seal(b[:size], s.nonce[:], b[size:n], b[:size])), nil
}

// open opens a received RTP packet in place. Whoever reads the link calls it.
func (k *keys) open(r *receiver, b []byte, size int) ([]byte, error) {
	index, ok := r.got.index(binary.BigEndian.Uint16(b[2:]))
	if !ok {
		return nil, errReplay
	}
	var plain []byte
	var err error
	if k.in == nil {
		plain, err = k.inCM.DecryptRTP(nil, b, &k.plainHeader)
	} else {
		makeNonce(&r.nonce, &k.inSalt, binary.BigEndian.Uint32(b[8:]), index)
		plain, err = k.in.Open(b[:size], r.nonce[:], b[size:], b[:size])
	}
	if err != nil {
		return nil, fmt.Errorf("open packet: %w", err)
	}
	r.got.note(index)
	return plain, nil
}

// headerSize finds where the header of an RTP packet ends; 0 is no packet.
func headerSize(b []byte) int {
	if len(b) < 12 || b[0]>>6 != 2 {
		return 0
	}
	at := 12 + 4*int(b[0]&0x0f)
	if b[0]&0x10 != 0 {
		if len(b) < at+4 {
			return 0
		}
		at += 4 + 4*int(binary.BigEndian.Uint16(b[at+2:]))
	}
	if len(b) < at {
		return 0
	}
	return at
}
