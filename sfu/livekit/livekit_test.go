package livekit_test

import (
	"testing"

	"github.com/consilium-health/consilium/sfu/livekit"
	"github.com/consilium-health/consilium/sfu/mediatest"
)

const key, secret = "testkey", "a-secret-of-at-least-32-characters"

func TestContract(t *testing.T) {
	media := livekit.New(livekit.Config{URL: mediatest.StartLiveKit(t, key, secret), Key: key, Secret: secret})
	defer media.Stop()
	mediatest.Run(t, mediatest.Engine{Media: media, Limits: mediatest.Limits{RevokedConnects: true, DataToAll: true}})
}
