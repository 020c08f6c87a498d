package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestReplayCommandEvaluatesPastAnswersAgain runs the command beside a demonstration.
func TestReplayCommandEvaluatesPastAnswersAgain(t *testing.T) {
	dir := dataDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	a, _ := demonstration(t, dir)
	defer a.close()
	say := beside(ctx, a, runReplay)
	out, err := say("--since", "87600h", "--sample", "100")
	if err != nil || !strings.HasSuffix(out, " answers evaluated again, 0 differ\n") || strings.HasPrefix(out, "0 ") {
		t.Fatalf("%s%v, want the answers of the cast and no difference", out, err)
	}
	if _, err := say("acknowledge", "nothing", "--reason", "looked into"); err == nil || !strings.Contains(err.Error(), "no difference of answer nothing") {
		t.Errorf("no difference: %v", err)
	}
	if _, err := say("acknowledge", "nothing"); err == nil || !strings.Contains(err.Error(), "--reason") {
		t.Errorf("no reason: %v", err)
	}
	if _, err := say("again"); !errors.Is(err, errUsage) {
		t.Errorf("an unknown word: %v", err)
	}
}
