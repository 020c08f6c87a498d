package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/scheduling"
)

// runReplay evaluates past answers again beside a running service, as the job of the
// night does, and shows each that comes out otherwise; or it notes in writing why one does.
func runReplay(ctx context.Context, e environment, args []string) error {
	f := flags("replay")
	since := f.Duration("since", 25*time.Hour, "all answers given within this time, such as 720h")
	sample := f.Int("sample", replaySample, "how many older ones, drawn by chance")
	reason := f.String("reason", "", "acknowledge: what was found out about the difference")
	rest, err := parse(e, f, args)
	if err != nil {
		return err
	}
	acknowledge := len(rest) == 2 && rest[0] == "acknowledge"
	if !acknowledge && len(rest) != 0 || *since < 0 || *sample < 0 {
		f.Usage()
		return errUsage
	}
	c, err := load(false, e.getenv)
	if err != nil {
		return err
	}
	db, done, err := openRunning(ctx, c)
	if err != nil {
		return err
	}
	defer done()
	s, err := credentialing.New(credentialing.Config{DB: db, Zones: scheduling.LoadZone})
	if err != nil {
		return err
	}
	if acknowledge {
		var bad *credentialing.Invalid
		err := s.AcknowledgeReplay(ctx, operator, credentialing.DeterminationID(rest[1]), *reason)
		switch {
		case errors.As(err, &bad):
			return errors.New("replay: --reason is needed, up to 2000 characters: what was found out about the difference")
		case errors.Is(err, credentialing.ErrNotFound):
			return fmt.Errorf("replay: no difference of answer %s was found", rest[1])
		case errors.Is(err, credentialing.ErrExists):
			return fmt.Errorf("replay: the difference of answer %s is acknowledged already", rest[1])
		case err != nil:
			return err
		}
		fmt.Fprintf(e.out, "the difference of answer %s is acknowledged; it stays in the record\n", rest[1])
		return nil
	}
	r, err := s.ReplayAll(ctx, db.Now().Add(-*since), *sample)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%d answers evaluated again, %d differ\n", r.Replayed, len(r.Differences))
	for _, d := range r.Differences {
		fmt.Fprintf(e.out, "%s  %s\n  recorded %s  %s\n  now      %s  %s\n", d.ID, d.Fault, d.Recorded, hex.EncodeToString(d.RecordedHash[:]),
			said(d.Now), saidHash(d.NowHash))
	}
	open, err := s.UnexplainedReplays(ctx, operator)
	if err != nil {
		return err
	}
	if len(open) > 0 {
		fmt.Fprintf(e.out, "%d not acknowledged: no edition of a pack is published until each is (consilium replay acknowledge ID --reason TEXT)\n", len(open))
	}
	if len(r.Differences) > 0 {
		return errFailed
	}
	return nil
}

func said(d credentialing.Decision) string {
	if d == "" {
		return "cannot be evaluated"
	}
	return string(d)
}

func saidHash(h [sha256.Size]byte) string {
	if h == ([sha256.Size]byte{}) {
		return ""
	}
	return hex.EncodeToString(h[:])
}
