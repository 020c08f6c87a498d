//go:build promise

package sfu_test

import (
	"bufio"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"
	"github.com/pion/webrtc/v4"
	"golang.org/x/sys/unix"

	"github.com/consilium-health/consilium/sfu"
)

// namespace is a network of its own, with one cable to this one. Its sockets are made
// by threads that went there; they stay in it.
type namespace struct {
	*stdnet.Net
	file        *os.File
	cable       string     // its end on this side
	here, there netip.Addr // the addresses of the cable's ends
}

var _ transport.Net = (*namespace)(nil)

// newNamespace needs root. It is gone with the test.
func newNamespace(t *testing.T) *namespace {
	t.Helper()
	pid := os.Getpid()
	n := &namespace{
		cable: "promise" + strconv.Itoa(pid),
		here:  netip.AddrFrom4([4]byte{10, 213, byte(pid >> 6), byte(pid<<2) | 1}),
	}
	n.there = n.here.Next()
	// The namespace lasts as long as somebody is in it: until the pipe is closed.
	holder := exec.Command("unshare", "--net", "sh", "-c", "echo here; exec cat >/dev/null")
	stop, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stop.Close()
		_ = holder.Wait()
	})
	if line, err := bufio.NewReader(said).ReadString('\n'); err != nil {
		t.Fatalf("no network namespace, which needs root: %q, %v", line, err)
	}
	in := strconv.Itoa(holder.Process.Pid)
	command(t, "ip", "link", "add", n.cable, "type", "veth", "peer", "name", "eth0", "netns", in)
	t.Cleanup(func() { _ = exec.Command("ip", "link", "delete", n.cable).Run() })
	command(t, "ip", "address", "add", n.here.String()+"/30", "dev", n.cable)
	command(t, "ip", "link", "set", n.cable, "up")
	command(t, "nsenter", "--net", "-t", in, "ip", "address", "add", n.there.String()+"/30", "dev", "eth0")
	command(t, "nsenter", "--net", "-t", in, "ip", "link", "set", "eth0", "up")
	if n.file, err = os.Open("/proc/" + in + "/ns/net"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.file.Close() })
	n.do(func() { n.Net, err = stdnet.NewNet() })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// do calls f on a thread of the namespace, which ends with it.
func (n *namespace) do(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			panic(err)
		}
		f()
	}()
	<-done
}

func (n *namespace) ListenPacket(network, address string) (c net.PacketConn, err error) {
	n.do(func() { c, err = n.Net.ListenPacket(network, address) })
	return c, err
}

func (n *namespace) ListenUDP(network string, address *net.UDPAddr) (c transport.UDPConn, err error) {
	n.do(func() { c, err = n.Net.ListenUDP(network, address) })
	return c, err
}

// TestPromise05 is a listener's line of 200 kbit/s, made by the kernel: there is room for
// the voice alone, and for the picture again when the line is as before.
func TestPromise05ANarrowLineKeepsTheVoiceAlone(t *testing.T) {
	_, _ = start(t, none, none) // looks for what is left behind
	away := newNamespace(t)
	server, _ := another(t, sfu.Config{UDP: away.here.String() + ":0"}, none, none)
	at := func(n transport.Net, name string) *webrtc.API {
		return browserAPIOn(t, func(se *webrtc.SettingEngine) {
			se.SetNet(n)
			se.SetInterfaceFilter(func(i string) bool { return i == name })
			se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
		})
	}
	local, err := stdnet.NewNet()
	if err != nil {
		t.Fatal(err)
	}
	beside := newBystandersOn(t, server, at(local, away.cable))
	a := newClient(t, server, "a", nil, at(local, away.cable))
	b := newClient(t, server, "b", nil, at(away, "eth0"))
	a.speak()
	a.film(600_000)
	b.until("picture and sound", patience, func() bool { return b.videos.Load() > 50 && b.redSeen.Load() > 50 })
	sid := sidOf(t, b, "b")
	beside.longest()

	command(t, "tc", "qdisc", "add", "dev", away.cable, "root", "tbf", "rate", "200kbit", "burst", "5kb", "latency", "400ms")
	paused := b.until("the picture is said to be paused", patience, func() bool {
		s, _ := b.state()
		return s == livekit.StreamState_PAUSED
	})
	last := b.until("no more of the picture comes", patience, func() bool { return time.Since(time.Unix(0, b.last.Load())) > time.Second })
	alone := paused + last - time.Second
	twin := beside.longest()[1]
	b.sound()
	began, sent := b.redSeen.Load(), pictureSent(t, server)
	b.until("the voice goes on", time.Minute, func() bool { return b.redSeen.Load()-began > 15*45 })
	share, late := b.sound()
	sent = pictureSent(t, server) - sent
	t.Logf("paused after %v, voice alone after %v: then %.1f%% of it came, 95%% within %v, beside %d packets of the picture", paused, alone, share*100, late, sent)
	if paused > 5*time.Second+twin || alone > 5*time.Second+twin {
		t.Errorf("the picture was said to be paused after %v, and the voice alone after %v", paused, alone)
	}
	// The line's own queue holds 400 ms, and probes fill it now and then.
	if share < 0.97 || late > 800*time.Millisecond+beside.longest()[1] {
		t.Errorf("%.1f%% of the voice came, 95%% within %v", share*100, late)
	}
	if sent > 0 {
		t.Errorf("%d packets of the picture were sent beside the voice", sent)
	}

	command(t, "tc", "qdisc", "delete", "dev", away.cable, "root")
	back := b.until("the picture is back after relief", time.Minute, func() bool {
		s, _ := b.state()
		return s == livekit.StreamState_ACTIVE && time.Since(time.Unix(0, b.last.Load())) < 200*time.Millisecond
	})
	twin = beside.longest()[1]
	t.Logf("the picture is back %v after relief", back)
	if back > 10*time.Second+twin {
		t.Errorf("the picture was back %v after relief", back)
	}
	pictures := b.videos.Load()
	b.until("the picture stays", patience, func() bool { return b.videos.Load()-pictures > 100 })
	b.stayed("b", sid)
	beside.unharmed()
}

// pictureSent counts the packets of a picture that b was sent. At the client it would
// not do: Pion hands out what was sent again when the next packet comes, here a probe.
func pictureSent(t *testing.T, server *sfu.Server) (n uint64) {
	t.Helper()
	b, ok := participantOf(server, "b")
	if !ok {
		t.Fatal("b is gone")
	}
	for _, r := range b.Receives {
		if r.Source == livekit.TrackSource_CAMERA.String() {
			n += uint64(r.Packets) - r.Padding + r.Resent
		}
	}
	return n
}
