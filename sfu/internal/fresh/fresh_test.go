package fresh_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/consilium-health/consilium/cmd/consultbot/link"
	"github.com/consilium-health/consilium/sfu/internal/fresh"
)

func accepted(t *testing.T) (l net.Listener, conns <-chan net.Conn) {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tcp.Close() })
	ch := make(chan net.Conn, 1)
	go func() {
		if c, err := fresh.Listen(tcp).Accept(); err == nil {
			ch <- c
		}
	}()
	return tcp, ch
}

// TestWhatWaitsIsDroppedWholeAndTheRestIsNew writes four times what the link carries:
// without dropping, the last of it would be some twelve seconds old.
func TestWhatWaitsIsDroppedWholeAndTheRestIsNew(t *testing.T) {
	l, conns := accepted(t)
	narrow, err := link.Listen("127.0.0.1:0", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = narrow.Close() }()
	narrow.Become(link.Shape{Kbits: 200})
	client, err := net.Dial("tcp", narrow.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	_ = client.SetDeadline(time.Now().Add(time.Minute))
	conn := <-conns
	defer func() { _ = conn.Close() }()
	const packets, size = 400, 1000
	began := time.Now()
	go func() {
		next := time.NewTicker(10 * time.Millisecond)
		defer next.Stop()
		for i := range uint64(packets) {
			b := make([]byte, size)
			binary.BigEndian.PutUint64(b, i)
			binary.BigEndian.PutUint64(b[8:], uint64(time.Since(began)))
			if _, err := conn.Write(b); err != nil {
				return
			}
			<-next.C
		}
	}()
	got, oldest, last := 0, time.Duration(0), uint64(0)
	for b := make([]byte, size); last < packets-60; got++ {
		if _, err := io.ReadFull(client, b); err != nil {
			t.Fatalf("after %d datagrams: %v", got, err)
		}
		n := binary.BigEndian.Uint64(b)
		if got > 0 && n <= last || n >= packets {
			t.Fatalf("datagram %d after %d", n, last)
		}
		last = n
		oldest = max(oldest, time.Since(began)-time.Duration(binary.BigEndian.Uint64(b[8:])))
	}
	t.Logf("%d of %d datagrams, the oldest %v old", got, packets, oldest)
	if oldest > 5*time.Second {
		t.Errorf("a datagram was %v old", oldest)
	}
}

func TestAClosedConnectionTakesNothing(t *testing.T) {
	l, conns := accepted(t)
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	conn := <-conns
	if _, err := conn.Write([]byte("here")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4)
	if _, err := io.ReadFull(client, b); err != nil || string(b) != "here" {
		t.Fatalf("%q, %v", b, err)
	}
	_ = conn.Close()
	for range 2 * fresh.Most {
		if _, err := conn.Write([]byte("gone")); err != nil {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("closed: %v", err)
			}
			return
		}
	}
	t.Error("a closed connection takes datagrams")
}
