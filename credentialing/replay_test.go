package credentialing_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing"
)

func TestATamperedAnswerIsFoundAtNight(t *testing.T) {
	w := newWorld(t)
	w.cast()
	ctx := t.Context()
	old := w.determine(w.ask(w.tremblay, credentialing.AdvisePhysician))
	w.clock.move(30 * time.Hour)
	since := w.clock.now()
	w.determine(w.ask(w.tremblay, credentialing.JointVideoVisit))
	w.determine(w.ask(w.weber, credentialing.AdvisePhysician))
	r, err := w.s.ReplayAll(ctx, since, 100)
	w.must(err)
	if r.Replayed != 3 || len(r.Differs) != 0 {
		t.Fatalf("%d replayed, %v differ; want 3 and none", r.Replayed, r.Differs)
	}
	if r, err = w.s.ReplayAll(ctx, since, 0); err != nil || r.Replayed != 2 {
		t.Fatalf("%d of the last day, %v; want 2", r.Replayed, err)
	}
	// Somebody who owns the database turns a permission into a refusal, and makes the
	// hash fit.
	conn, err := pgx.Connect(ctx, w.pg.AdminURL)
	w.must(err)
	defer conn.Close(ctx)
	forged := strings.Replace(string(old.Answer), `"decision":"permit`, `"decision":"deny-permit`, 1)
	if forged == string(old.Answer) {
		t.Fatal("the answer permits nothing")
	}
	hash := credentialing.HashOf(old.Facts, []byte(forged))
	for _, sql := range []string{`alter table determination disable trigger user`, `update determination set answer = $2, hash = $3 where id = $1`,
		`alter table determination enable trigger user`} {
		var args []any
		if strings.HasPrefix(sql, "update") {
			args = []any{string(old.ID), forged, hash[:]}
		}
		_, err := conn.Exec(ctx, sql, args...)
		w.must(err)
	}
	r, err = w.s.ReplayAll(ctx, since, 100)
	w.must(err)
	if r.Replayed != 3 || len(r.Differs) != 1 || r.Differs[0] != old.ID {
		t.Errorf("%d replayed, %v differ; want the forged one", r.Replayed, r.Differs)
	}
	var events int
	w.must(w.pg.Pool.QueryRow(ctx, `select count(*) from audit_leaf where act = 'scope.replay_differs'`).Scan(&events))
	if events != 1 {
		t.Errorf("%d events, want 1", events)
	}
	if d := r.Differences; len(d) != 1 || d[0].ID != old.ID || d[0].Fault != "differs" || d[0].RecordedHash == d[0].NowHash || d[0].Recorded == "" || d[0].Now == "" {
		t.Errorf("differences %+v", d)
	}
	// It is found once, stops publishing, and is acknowledged in writing once.
	if _, err := w.s.ReplayAll(ctx, since, 100); err != nil {
		t.Fatal(err)
	}
	open, err := w.s.UnexplainedReplays(ctx, w.grace)
	if err != nil || len(open) != 1 || open[0].ID != old.ID || open[0].FoundAt.IsZero() {
		t.Fatalf("not acknowledged: %+v, %v", open, err)
	}
	if err := w.s.Publish(ctx, w.grace, credentialing.DraftID(old.ID), nil, 0); !errors.Is(err, credentialing.ErrReplayDiffers) {
		t.Errorf("publish: %v, want it stopped", err)
	}
	var bad *credentialing.Invalid
	if err := w.s.AcknowledgeReplay(ctx, w.grace, old.ID, "  "); !errors.As(err, &bad) || bad.Field != "reason" {
		t.Errorf("without a reason: %v", err)
	}
	if err := w.s.AcknowledgeReplay(ctx, w.tremblay, old.ID, "never mind"); !errors.Is(err, credentialing.ErrForbidden) {
		t.Errorf("by a specialist: %v", err)
	}
	if err := w.s.AcknowledgeReplay(ctx, w.grace, credentialing.DeterminationID("no id"), "never mind"); !errors.Is(err, credentialing.ErrNotFound) {
		t.Errorf("of nothing: %v", err)
	}
	w.must(w.s.AcknowledgeReplay(ctx, w.grace, old.ID, "Row altered by hand on the database; incident 7."))
	if err := w.s.AcknowledgeReplay(ctx, w.grace, old.ID, "again"); !errors.Is(err, credentialing.ErrExists) {
		t.Errorf("twice: %v", err)
	}
	if open, err := w.s.UnexplainedReplays(ctx, w.grace); err != nil || len(open) != 0 {
		t.Errorf("still open: %+v, %v", open, err)
	}
	if err := w.s.Publish(ctx, w.grace, credentialing.DraftID(old.ID), nil, 0); !errors.Is(err, credentialing.ErrNotFound) {
		t.Errorf("publish a draft that is not there, afterwards: %v", err)
	}
}
