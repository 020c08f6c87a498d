package sfu

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtcp"

	"github.com/consilium-health/consilium/sfu/internal/leakcheck"
)

// socketStage is a media socket with a link to a client on another socket.
func socketStage(t *testing.T, address string) (c *mediaConn, client *net.UDPConn, l *link) {
	t.Helper()
	leakcheck.Check(t)
	open := func() *net.UDPConn {
		udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = udp.Close() })
		return udp
	}
	c, err := newMediaConn(open())
	if err != nil {
		t.Fatal(err)
	}
	client = open()
	_ = client.SetReadBuffer(4 << 20)
	l = &link{conn: c, streams: map[uint32]*stream{}}
	k, err := newKeys(dtls.SRTP_AEAD_AES_128_GCM, newMaterial(7))
	if err != nil {
		t.Fatal(err)
	}
	l.keys.Store(k)
	l.move(client.LocalAddr().(*net.UDPAddr).AddrPort())
	return c, client, l
}

// Packets of whatever sizes leave a batch as they were put in, each as a datagram of
// its own and in their order, whether the kernel cuts them or not.
func TestABatchLeavesInOrderAndWhole(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		for _, cut := range []bool{true, false} {
			c, client, l := socketStage(t, address)
			c.out.whole = c.out.whole || !cut
			_, theirs := remoteContexts(t, dtls.SRTP_AEAD_AES_128_GCM, newMaterial(7))
			s := &sender{ssrc: 3}
			var want [][]byte
			for i := range 3 * sendSlots / 2 { // more than a batch holds
				size := 1000
				if i%10 == 9 {
					size = 1 + i
				}
				want = append(want, bytes.Repeat([]byte{byte(i)}, size))
				l.write(s, &outgoing{pt: 96, seq: uint16(i), twccID: 3, twcc: uint16(i)}, want[i], &c.out)
			}
			c.out.flush()
			buf := make([]byte, readSlot)
			_ = client.SetReadDeadline(time.Now().Add(20 * time.Second))
			for i := range want {
				n, err := client.Read(buf)
				if err != nil {
					t.Fatalf("%s, cut %v: packet %d of %d: %v", address, cut, i, len(want), err)
				}
				plain, err := theirs.DecryptRTP(nil, buf[:n], nil)
				if err != nil || !bytes.Equal(plain[20:], want[i]) {
					t.Fatalf("%s, cut %v: packet %d is another: %v", address, cut, i, err)
				}
			}
		}
	}
}

// A batch leaves although the socket is never found empty.
func TestAFloodHoldsNothingBack(t *testing.T) {
	c, client, l := socketStage(t, "127.0.0.1:0")
	_ = c.SetReadBuffer(4 << 20)
	const flood = mostRounds * readBatch
	for range flood + 1 {
		if _, err := client.WriteToUDP([]byte{22, 0xfe, 0xfd}, c.LocalAddr().(*net.UDPAddr)); err != nil {
			t.Fatal(err)
		}
	}
	l.write(&sender{ssrc: 3}, &outgoing{pt: 96, seq: 1}, make([]byte, 100), &c.out)
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	buf := make([]byte, readSlot)
	for i := range flood + 1 {
		if _, _, err := c.ReadFromAddrPort(buf); err != nil {
			t.Fatalf("datagram %d: %v", i, err)
		}
	}
	_ = client.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := client.Read(buf); err != nil || n != 12+100+gcmTag {
		t.Fatalf("%d bytes, %v", n, err)
	}
}

// The reports of a tick leave when it is over, each as a datagram of its own.
func TestReportsLeaveTogether(t *testing.T) {
	c, client, l := socketStage(t, "127.0.0.1:0")
	_, theirs := remoteContexts(t, dtls.SRTP_AEAD_AES_128_GCM, newMaterial(7))
	const n = reportSlots + 9 // more than leave at once
	for i := range uint32(n) {
		if err := l.report(&c.reports, &rtcp.PictureLossIndication{MediaSSRC: i}); err != nil {
			t.Fatal(err)
		}
	}
	c.reports.flush()
	c.reports.flush() // nothing leaves twice
	if err := l.report(nil, &rtcp.PictureLossIndication{MediaSSRC: n}); err != nil {
		t.Fatal(err)
	}
	_ = client.SetReadDeadline(time.Now().Add(20 * time.Second))
	buf := make([]byte, readSlot)
	for want := range uint32(n + 1) {
		size, err := client.Read(buf)
		if err != nil {
			t.Fatalf("report %d: %v", want, err)
		}
		plain, err := theirs.DecryptRTCP(nil, buf[:size], nil)
		if err != nil {
			t.Fatalf("report %d: %v", want, err)
		}
		var got rtcp.PictureLossIndication
		if err := got.Unmarshal(plain); err != nil || got.MediaSSRC != want {
			t.Fatalf("report %d: %+v, %v", want, got, err)
		}
	}
}

// Where the kernel refuses to cut a message, its packets leave one by one.
func TestARefusedTrainLeavesOneByOne(t *testing.T) {
	c, client, l := socketStage(t, "127.0.0.1:0")
	s := &sender{ssrc: 3}
	for i := range 4 {
		l.write(s, &outgoing{pt: 96, seq: uint16(i)}, make([]byte, 100), &c.out)
	}
	c.out.flush()
	c.out.single(&c.out.msgs[0].hdr)
	_ = client.SetReadDeadline(time.Now().Add(20 * time.Second))
	buf := make([]byte, readSlot)
	for i := range 8 {
		if n, err := client.Read(buf); err != nil || n != 12+100+gcmTag || buf[3] != byte(i%4) {
			t.Fatalf("packet %d: number %d, %d bytes, %v", i, buf[3], n, err)
		}
	}
}

// ear is who a link carries packets for.
type ear struct {
	linkUser
	heard   [][]byte
	refused int
}

func (e *ear) rtp(in *stream, b []byte, _ *batch) {
	if in.route.state == routeRefused {
		e.refused++
		return
	}
	e.heard = append(e.heard, bytes.Clone(b))
}

// What a client sends is opened where it is read, and what is no media of a link is
// left to the reader; no client makes us remember more streams than it may have.
func TestTheSocketTakesMediaOfItsLinksAndLeavesTheRest(t *testing.T) {
	c, client, l := socketStage(t, "127.0.0.1:0")
	e := &ear{}
	l.user, l.peer = e, &Peer{}
	out, _ := remoteContexts(t, dtls.SRTP_AEAD_AES_128_GCM, newMaterial(7))
	to := c.LocalAddr().(*net.UDPAddr)
	say := func(b []byte) {
		if _, err := client.WriteToUDP(b, to); err != nil {
			t.Fatal(err)
		}
	}
	for ssrc := range uint32(maxStreams + 6) {
		var b [64]byte
		o := outgoing{pt: 111, seq: 1}
		size := o.build(b[:], ssrc)
		sealed, err := out.EncryptRTP(nil, b[:size+4], nil)
		if err != nil {
			t.Fatal(err)
		}
		say(sealed)
		sealed[len(sealed)-1] ^= 1
		say(sealed)
	}
	dtlsRecord := []byte{22, 0xfe, 0xfd, 1, 2, 3}
	say(dtlsRecord)
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	buf := make([]byte, readSlot)
	n, from, err := c.ReadFromAddrPort(buf)
	if err != nil || !bytes.Equal(buf[:n], dtlsRecord) || from.Port() != client.LocalAddr().(*net.UDPAddr).AddrPort().Port() {
		t.Fatalf("got %x from %v, %v", buf[:n], from, err)
	}
	if len(e.heard) != maxStreams || e.refused != 6 || len(l.streams) != maxStreams {
		t.Errorf("%d streams taken, %d refused, %d remembered", len(e.heard), e.refused, len(l.streams))
	}
	// Another address is another client's.
	l.move(netip.MustParseAddrPort("127.0.0.1:9"))
	say([]byte{0x80, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 9})
	if n, _, err := c.ReadFromAddrPort(buf); err != nil || n != 13 {
		t.Errorf("a packet of nobody: %d bytes, %v", n, err)
	}
}
