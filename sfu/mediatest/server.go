package mediatest

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// LiveKitVersion is the release of LiveKit's server that the contract runs on.
const LiveKitVersion = "v1.13.5"

// LiveKitServer returns the binary of LiveKit's server, building it the first time:
// some minutes of CPU. It is kept in the user's cache directory.
func LiveKitServer() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "consilium", "livekit-server-"+LiveKitVersion)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "server")
	// One builder at a time; the others wait for it.
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	build := exec.Command("nice", "go", "install", "github.com/livekit/livekit-server/cmd/server@"+LiveKitVersion)
	build.Dir = dir // outside of this module
	build.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=", "GOWORK=off", "GOMAXPROCS=2")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build livekit-server: %w\n%s", err, out)
	}
	return binary, nil
}

// StartLiveKit runs LiveKit's server on loopback for the time of the test and returns
// its address. Rooms are made by RoomService alone.
func StartLiveKit(t *testing.T, key, secret string) (url string) {
	t.Helper()
	return "ws://" + startNode(t, key, secret, "").address
}

// node is one running server of LiveKit.
type node struct {
	address string // of its HTTP port
	process *os.Process
	ended   chan error
}

// startNode runs one server with further lines of configuration, and waits until it
// answers.
func startNode(t *testing.T, key, secret, more string) *node {
	t.Helper()
	binary, err := LiveKitServer()
	if err != nil {
		t.Fatal(err)
	}
	port, tcp, udp, stun := freeTCP(t), freeTCP(t), freeUDP(t), freeUDP(t)
	config := filepath.Join(t.TempDir(), "livekit.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, `port: %d
bind_addresses: ["127.0.0.1"]
keys: {%s: "%s"}
room: {auto_create: false}
logging: {level: error}
rtc: {udp_port: %d, tcp_port: %d, use_external_ip: false, use_mdns: false, enable_loopback_candidate: true,
  stun_servers: ["127.0.0.1:%d"], interfaces: {includes: ["lo"]}, ips: {includes: ["127.0.0.1/32"]}}
%s`, port, key, secret, udp, tcp, stun, more), 0o600); err != nil {
		t.Fatal(err)
	}
	n := &node{address: fmt.Sprintf("127.0.0.1:%d", port), ended: make(chan error, 1)}
	run(t, n, exec.Command(binary, "--config", config))
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(patience); ; <-poll.C {
		if res, err := http.Get("http://" + n.address + "/"); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return n
			}
		}
		if time.Now().After(deadline) || len(n.ended) > 0 {
			t.Fatal("livekit-server does not answer")
		}
	}
}

// run starts a process for the time of the test; what it said is shown if the test fails.
func run(t *testing.T, n *node, cmd *exec.Cmd) {
	t.Helper()
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n.process = cmd.Process
	go func() { n.ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = n.process.Signal(syscall.SIGTERM)
		select {
		case <-n.ended:
		case <-time.After(patience): // it waits for participants that are gone
			_ = n.process.Kill()
			<-n.ended
		}
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(cmd.Path), log.String())
		}
	})
}

func freeTCP(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func freeUDP(t *testing.T) int {
	t.Helper()
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.LocalAddr().(*net.UDPAddr).Port
}
