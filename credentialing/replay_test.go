package credentialing_test

import (
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
}
