package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/scheduling/zoneinfo"
)

func TestOlderZoneDataStopsTheStart(t *testing.T) {
	before := scheduling.ZoneVersion()
	for name, want := range map[string]error{
		filepath.Join("..", "..", "scheduling", "zoneinfo", "testdata", "2025b", "zoneinfo.zip"): zoneinfo.ErrOlder,
		filepath.Join(t.TempDir(), "zoneinfo.zip"):                                               nil,
	} {
		a := &app{cfg: config{ZoneInfo: name}}
		err := a.openZones(context.Background())
		if err == nil || want != nil && !errors.Is(err, want) || !strings.HasPrefix(err.Error(), "CONSILIUM_ZONEINFO: ") {
			t.Errorf("%s: %v", name, err)
		}
		if scheduling.ZoneVersion() != before {
			t.Fatalf("%s is in use", scheduling.ZoneVersion())
		}
	}
	if err := (&app{}).openZones(context.Background()); err != nil {
		t.Error(err)
	}
}
