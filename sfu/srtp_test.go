package sfu

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/pion/dtls/v3"
	"github.com/pion/srtp/v3"
	"pgregory.net/rapid"
)

// material is what both ends of a handshake export.
type material []byte

func (m material) ExportKeyingMaterial(_ string, _ []byte, n int) ([]byte, error) {
	return bytes.Clone(m[:n]), nil
}

// newMaterial makes keys for one test.
func newMaterial(seed uint64) material {
	r := rand.New(rand.NewPCG(seed, 1))
	m := make(material, 256)
	for i := range m {
		m[i] = byte(r.Uint32())
	}
	return m
}

// remoteContexts are those of the client, by Pion.
func remoteContexts(t testing.TB, profile dtls.SRTPProtectionProfile, m material) (out, in *srtp.Context) {
	t.Helper()
	c := srtp.Config{Profile: srtp.ProtectionProfile(profile)}
	if err := c.ExtractSessionKeysFromDTLS(m, true); err != nil {
		t.Fatal(err)
	}
	out, err := srtp.CreateContext(c.Keys.LocalMasterKey, c.Keys.LocalMasterSalt, c.Profile)
	if err != nil {
		t.Fatal(err)
	}
	in, err = srtp.CreateContext(c.Keys.RemoteMasterKey, c.Keys.RemoteMasterSalt, c.Profile, srtp.SRTPReplayProtection(window))
	if err != nil {
		t.Fatal(err)
	}
	return out, in
}

// What we seal Pion opens, and the other way round, over wrap-arounds, gaps and late
// packets, in each profile.
func TestPacketsAreSealedAsPionSealsThem(t *testing.T) {
	for _, profile := range srtpProfiles {
		m := newMaterial(uint64(profile))
		k, err := newKeys(profile, m)
		if err != nil {
			t.Fatal(err)
		}
		theirs, ours := remoteContexts(t, profile, m)
		s, r := &sender{ssrc: 77}, &receiver{}
		seqs := []uint16{65530, 65531, 65535, 65534, 0, 1, 40, 30, 20000, 50000, 3, 2}
		for i, seq := range seqs {
			payload := bytes.Repeat([]byte{byte(i)}, 1+i*90)
			o := outgoing{pt: 96, marker: i%2 == 0, seq: seq, ts: uint32(i), twccID: uint8(i % 3), twcc: seq}
			var b [sendSlot]byte
			size := o.build(b[:], s.ssrc)
			plain := append(bytes.Clone(b[:size]), payload...)
			n, err := k.seal(s, b[:], size, size+copy(b[size:], payload))
			if err != nil {
				t.Fatalf("%v: number %d: %v", profile, seq, err)
			}
			got, err := ours.DecryptRTP(nil, b[:n], nil)
			if err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("%v: number %d: Pion opens %x, %v", profile, seq, got, err)
			}
			sealed, err := theirs.EncryptRTP(nil, plain, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err = k.open(r, bytes.Clone(sealed), headerSize(sealed))
			if err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("%v: number %d: opened %x, %v", profile, seq, got, err)
			}
			if _, err := k.open(r, bytes.Clone(sealed), headerSize(sealed)); err == nil {
				t.Fatalf("%v: number %d was taken twice", profile, seq)
			}
			for _, at := range []int{1, size, len(sealed) - 1} {
				bad := bytes.Clone(sealed)
				bad[at] ^= 1
				if _, err := k.open(&receiver{}, bad, headerSize(bad)); err == nil {
					t.Fatalf("%v: a changed packet was taken", profile)
				}
			}
		}
	}
}

// Whatever numbers it is asked for, a sender never protects two packets under one
// number of one roll-over: that would give the key stream away.
func TestNoNumberIsSealedTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, err := newKeys(dtls.SRTP_AEAD_AES_128_GCM, newMaterial(5))
		if err != nil {
			t.Fatal(err)
		}
		s := &sender{ssrc: 1}
		used := map[[saltSize]byte]bool{}
		seq := rapid.Uint16().Draw(t, "first")
		last := uint64(0)
		for _, step := range rapid.SliceOfN(rapid.OneOf(
			rapid.IntRange(-3, 3), rapid.IntRange(-2*window, 2*window), rapid.IntRange(-30000, 30000),
		), 1, 300).Draw(t, "steps") {
			seq += uint16(step)
			var b [64]byte
			o := outgoing{pt: 96, seq: seq}
			size := o.build(b[:], s.ssrc)
			_, err := k.seal(s, b[:], size, size+8)
			if err != nil {
				continue
			}
			if used[s.nonce] {
				t.Fatalf("number %d was sealed twice", seq)
			}
			used[s.nonce] = true
			if s.sent.highest < last {
				t.Fatalf("the index fell from %d to %d", last, s.sent.highest)
			}
			last = s.sent.highest
		}
	})
}

func TestSealingTakesNoMemory(t *testing.T) {
	k, err := newKeys(dtls.SRTP_AEAD_AES_128_GCM, newMaterial(6))
	if err != nil {
		t.Fatal(err)
	}
	s, seq := &sender{ssrc: 1}, uint16(0)
	var b [sendSlot]byte
	if n := testing.AllocsPerRun(1000, func() {
		o := outgoing{pt: 96, seq: seq, twccID: 3, twcc: seq}
		size := o.build(b[:], s.ssrc)
		_, _ = k.seal(s, b[:], size, size+1000)
		seq++
	}); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

// FuzzPacket is what the socket does with a datagram of an established link before its
// seal is checked, and with what it carries afterwards.
func FuzzPacket(f *testing.F) {
	var b [64]byte
	o := outgoing{pt: 97, marker: true, seq: 9, ts: 8, twccID: 3, twcc: 7}
	size := o.build(b[:], 5)
	f.Add(b[:size+10], uint8(3))
	f.Add([]byte{0x90, 111, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xbe, 0xde, 0xff, 0xff}, uint8(1))
	f.Add([]byte{0xb0, 0xc8, 0, 1, 0, 0, 0, 2}, uint8(1))
	f.Add([]byte{0x16, 0xfe, 0xfd}, uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, id uint8) {
		if classify(b) != mediaPacket {
			return
		}
		isControl(b)
		size := headerSize(b)
		if size == 0 {
			return
		}
		if size < 12 || size > len(b) {
			t.Fatalf("a header of %d bytes in %d", size, len(b))
		}
		v := extensionOf(b, id)
		if len(v) > len(b)-size && len(v) > size {
			t.Fatal("an extension outside of the header")
		}
		p, err := parseRTP(b, id)
		if err != nil {
			return
		}
		inner := unwrap(bytes.Clone(b), 96, 42)
		if inner == nil {
			return
		}
		got, err := parseRTP(inner, id)
		if err != nil {
			t.Fatalf("what repair carries is no packet: %v", err)
		}
		if got.pt != 96 || got.ssrc != 42 || got.marker != p.marker || got.ts != p.ts ||
			got.seq != binary.BigEndian.Uint16(p.payload) || !bytes.Equal(got.payload, p.payload[2:]) {
			t.Fatalf("got %+v out of %+v", got, p)
		}
	})
}
