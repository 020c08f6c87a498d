//go:build promise && !race

package livekit_test

import (
	"testing"

	"github.com/consilium-health/consilium/sfu/livekit"
	"github.com/consilium-health/consilium/sfu/mediatest"
)

func TestResumeContract(t *testing.T) {
	media := livekit.New(livekit.Config{URL: mediatest.StartLiveKit(t, key, secret), Key: key, Secret: secret})
	defer media.Stop()
	mediatest.Run(t, mediatest.Engine{Media: media, Limits: limits, Only: []string{resume}})
}
