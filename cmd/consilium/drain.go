package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/consilium-health/consilium/sfu"
)

// errDraining is what /readyz says while running consults end.
var errDraining = errors.New("draining")

// hurried is how long is left after a second signal; a third ends the wait at once.
const hurried = 10 * time.Second

// drain waits until nobody is in a room of the engine: as long as limit, less after
// further signals. New rooms are refused from its beginning on.
func drain(ctx context.Context, engine *sfu.Server, limit time.Duration, log *slog.Logger) {
	if engine == nil || limit <= 0 {
		return
	}
	engine.Drain()
	clients := engine.Clients()
	if clients == 0 {
		return
	}
	log.InfoContext(ctx, "draining: running consults may go on", "participants", clients, "limit", limit)
	again := make(chan os.Signal, 2)
	signal.Notify(again, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(again)
	end := time.NewTimer(limit)
	defer end.Stop()
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for signals := 0; ; {
		select {
		case <-look.C:
			if engine.Clients() == 0 {
				log.InfoContext(ctx, "drained")
				return
			}
		case <-end.C:
			log.WarnContext(ctx, "the time to drain is over", "participants", engine.Clients())
			return
		case <-again:
			if signals++; signals > 1 {
				return
			}
			end.Reset(hurried)
		}
	}
}
