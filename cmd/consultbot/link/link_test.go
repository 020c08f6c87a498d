package link_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"testing"
	"time"

	"github.com/consilium-health/consilium/cmd/consultbot/link"
)

// echo answers every connection with what it says.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func open(t *testing.T, to string) (*link.Link, net.Conn) {
	t.Helper()
	l, err := link.Listen("127.0.0.1:0", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, dial(t, l)
}

func dial(t *testing.T, l *link.Link) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

// there sends bytes and reads them back; it returns how long that took.
func there(t *testing.T, c net.Conn, n int) time.Duration {
	t.Helper()
	sent := make([]byte, n)
	_, _ = rand.Read(sent)
	began := time.Now()
	go func() { _, _ = c.Write(sent) }()
	back := make([]byte, n)
	if _, err := io.ReadFull(c, back); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sent, back) {
		t.Fatal("other bytes came back, or in another order")
	}
	return time.Since(began)
}

func TestWhatIsSentArrivesInOrderWhateverTheLink(t *testing.T) {
	l, c := open(t, echo(t))
	there(t, c, 200_000)
	l.Become(link.Shape{Kbits: 4000, Delay: 3 * time.Millisecond, Loss: 0.3})
	// 20 kB take 40 ms each way at 4 Mbit/s; a link that ignored its shape would be far below.
	if took := there(t, c, 20_000); took < 40*time.Millisecond {
		t.Errorf("20 kB in %v over 4 Mbit/s", took)
	}
}

func TestACutEndsEverythingAndNewConnectionsAreWelcome(t *testing.T) {
	l, c := open(t, echo(t))
	there(t, c, 10)
	if n := l.Cut(); n != 1 {
		t.Errorf("%d connections were cut, not 1", n)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection goes on")
	}
	there(t, dial(t, l), 10)
	if l.Made() != 2 {
		t.Errorf("%d connections were made, not 2", l.Made())
	}
}

func TestAShapeIsReadOrRefused(t *testing.T) {
	got, err := link.Parse("kbits=150 delay=60ms loss=0.1")
	if want := (link.Shape{Kbits: 150, Delay: 60 * time.Millisecond, Loss: 0.1}); err != nil || got != want {
		t.Errorf("read as %+v, %v", got, err)
	}
	if got, err := link.Parse(""); err != nil || got != (link.Shape{}) {
		t.Errorf("nothing is read as %+v, %v", got, err)
	}
	for _, bad := range []string{"kbits=-1", "kbits=NaN", "loss=2", "loss=NaN", "delay=60", "delay=-1s", "speed=3", "kbits"} {
		if _, err := link.Parse(bad); err == nil {
			t.Errorf("%q is no shape", bad)
		}
	}
}
