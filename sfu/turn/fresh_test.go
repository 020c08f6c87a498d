package turn_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/logging"
	pion "github.com/pion/turn/v5"

	"github.com/consilium-health/consilium/cmd/consultbot/link"
	"github.com/consilium-health/consilium/sfu/turn"
)

// overTCP opens an allocation over TCP by way of an address.
func overTCP(t *testing.T, s *turn.Server, at string) net.PacketConn {
	t.Helper()
	stream, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	_, username, password := s.Credentials("narrow", "room")
	factory := logging.NewDefaultLoggerFactory()
	factory.Writer = io.Discard
	c, err := pion.NewClient(&pion.ClientConfig{
		TURNServerAddr: at, STUNServerAddr: at, Conn: pion.NewSTUNConn(stream), Username: username, Password: password, RTO: time.Second, LoggerFactory: factory,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	relay, err := c.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = relay.Close()
		c.Close()
		_ = stream.Close()
	})
	return relay
}

// TestANarrowStreamHearsWhatIsSaidNow sends four times what a client's link carries. What
// it gets must be new: without dropping, the last of five seconds would arrive fifteen
// seconds late.
func TestANarrowStreamHearsWhatIsSaidNow(t *testing.T) {
	engine, err := net.ListenUDP("udp", &net.UDPAddr{IP: loopback.AsSlice()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = engine.Close() }()
	media := engine.LocalAddr().(*net.UDPAddr).AddrPort()
	s := start(t, turn.Config{Media: []netip.AddrPort{media}})
	narrow, err := link.Listen("127.0.0.1:0", s.TCPAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = narrow.Close() }()
	relay := overTCP(t, s, narrow.Addr().String())
	if _, err := relay.WriteTo([]byte("here"), net.UDPAddrFromAddrPort(media)); err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 100)
	_, client, err := engine.ReadFromUDPAddrPort(first)
	if err != nil {
		t.Fatal(err)
	}
	narrow.Become(link.Shape{Kbits: 200})
	const packets, every = 500, 10 * time.Millisecond // 800 kbit/s
	began := time.Now()
	go func() {
		next := time.NewTicker(every)
		defer next.Stop()
		for i := range packets {
			p := make([]byte, 1000)
			binary.BigEndian.PutUint64(p, uint64(i))
			binary.BigEndian.PutUint64(p[8:], uint64(time.Since(began)))
			if _, err := engine.WriteToUDPAddrPort(p, client); err != nil {
				return
			}
			<-next.C
		}
	}()
	buf := make([]byte, 1600)
	last, got, oldest := uint64(0), 0, time.Duration(0)
	_ = relay.SetReadDeadline(time.Now().Add(time.Minute))
	for last < packets-100 {
		n, _, err := relay.ReadFrom(buf)
		if err != nil {
			t.Fatalf("after %d of %d packets: %v", got, packets, err)
		}
		if n != 1000 {
			t.Fatalf("%d bytes", n)
		}
		if i := binary.BigEndian.Uint64(buf); i <= last && got > 0 {
			t.Fatalf("packet %d after %d", i, last)
		} else {
			last = i
		}
		got++
		oldest = max(oldest, time.Since(began)-time.Duration(binary.BigEndian.Uint64(buf[8:])))
	}
	t.Logf("%d packets, the oldest %v old", got, oldest)
	if got < 50 {
		t.Errorf("only %d packets came", got)
	}
	if oldest > 5*time.Second {
		t.Errorf("a packet was %v old", oldest)
	}
}
