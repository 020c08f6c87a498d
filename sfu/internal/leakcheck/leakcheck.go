// Package leakcheck fails a test of the media engine that leaves goroutines behind.
package leakcheck

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// patience is how long ends may take: a refused publication of the Go SDK waits ten
// seconds for its answer.
const patience = 20 * time.Second

// marks are the packages whose goroutines must end with the test.
var marks = []string{"consilium/sfu", "github.com/pion/", "livekit/server-sdk-go", "coder/websocket"}

// Check looks after everything else that the test cleans up. Call it first.
func Check(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		deadline := time.Now().Add(patience)
		for {
			left := goroutines()
			if len(left) == 0 {
				return
			}
			if time.Now().After(deadline) {
				t.Errorf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
				return
			}
			<-time.After(20 * time.Millisecond)
		}
	})
}

func goroutines() []string {
	buf := make([]byte, 1<<22)
	buf = buf[:runtime.Stack(buf, true)]
	var left []string
	for g := range strings.SplitSeq(string(buf), "\n\n") {
		if strings.Contains(g, "leakcheck.goroutines") || strings.Contains(g, "testing.(*T).Run(") || strings.Contains(g, "created by testing.") {
			continue
		}
		for _, m := range marks {
			if strings.Contains(g, m) {
				left = append(left, g)
				break
			}
		}
	}
	return left
}
