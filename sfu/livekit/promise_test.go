//go:build promise && !race

package livekit_test

import (
	"testing"
	"time"

	"github.com/consilium-health/consilium/sfu/livekit"
	"github.com/consilium-health/consilium/sfu/mediatest"
)

// TestPromise11 kills the LiveKit server that carries a consult. As with resume, the
// race detector would report Pion's.
func TestPromise11AnotherNodeCarriesTheConsultOn(t *testing.T) {
	cluster := mediatest.StartCluster(t, key, secret)
	media := livekit.New(livekit.Config{URL: cluster.URL, Key: key, Secret: secret})
	defer media.Stop()
	mediatest.NodeLost(t, mediatest.Engine{Media: media, Limits: limits}, 8*time.Second, cluster.Grow, cluster.Lose)
}
