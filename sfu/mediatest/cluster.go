package mediatest

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// Cluster is servers of LiveKit that share a store, behind one address, as an operator
// runs them: a balancer gives each new connection to the next server that answers.
type Cluster struct {
	URL string

	t           *testing.T
	key, secret string
	store       string

	mu    sync.Mutex
	nodes []*node // that may answer; guarded by mu
	next  int
	open  map[net.Conn]bool
}

// StartCluster runs a cluster of one server on loopback for the time of the test. The
// store is the machine's redis-server.
func StartCluster(t *testing.T, key, secret string) *Cluster {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("LiveKit servers of one cluster share a Redis: install redis-server")
	}
	c := &Cluster{t: t, key: key, secret: secret, store: fmt.Sprintf("127.0.0.1:%d", freeTCP(t)), open: map[net.Conn]bool{}}
	_, port, _ := net.SplitHostPort(c.store)
	redis := &node{address: c.store, ended: make(chan error, 1)}
	run(t, redis, exec.Command(binary, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", t.TempDir()))
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(patience); ; <-poll.C {
		if conn, err := net.Dial("tcp", c.store); err == nil {
			_ = conn.Close()
			break
		}
		if time.Now().After(deadline) || len(redis.ended) > 0 {
			t.Fatal("redis-server does not answer")
		}
	}
	c.Grow()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.URL = "ws://" + l.Addr().String()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { c.balance(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		c.mu.Lock()
		for conn := range c.open {
			_ = conn.Close()
		}
		c.open = nil
		c.mu.Unlock()
		wg.Wait()
	})
	return c
}

// Grow adds a server.
func (c *Cluster) Grow() {
	c.t.Helper()
	n := startNode(c.t, c.key, c.secret, fmt.Sprintf("redis: {address: %q}\n", c.store))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes = append(c.nodes, n)
}

// Lose kills the oldest server without a word and returns when it is gone. A room stays
// on the server it was made on, so that this is where the rooms are that were made
// before the cluster grew.
func (c *Cluster) Lose() {
	c.t.Helper()
	c.mu.Lock()
	n := c.nodes[0]
	c.mu.Unlock()
	if err := n.process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	n.ended <- <-n.ended
}

// keep notes a connection that ends with the test, and tells whether it goes on.
func (c *Cluster) keep(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		_ = conn.Close()
		return false
	}
	c.open[conn] = true
	return true
}

func (c *Cluster) drop(conn net.Conn) {
	_ = conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
}

func (c *Cluster) balance(in net.Conn) {
	if !c.keep(in) {
		return
	}
	defer c.drop(in)
	c.mu.Lock()
	nodes, first := c.nodes, c.next
	c.next++
	c.mu.Unlock()
	for i := range nodes {
		out, err := net.Dial("tcp", nodes[(first+i)%len(nodes)].address)
		if err != nil {
			continue
		}
		if !c.keep(out) {
			return
		}
		defer c.drop(out)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(out, in)
			_ = out.Close()
		}()
		_, _ = io.Copy(in, out)
		_ = in.Close()
		<-done
		return
	}
}
