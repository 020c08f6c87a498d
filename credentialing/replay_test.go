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
	w.forge(old)
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
}

// forge turns a recorded permission into a refusal and makes the hash fit, as somebody
// who owns the database could.
func (w *world) forge(d credentialing.Determination) {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.pg.AdminURL)
	w.must(err)
	defer conn.Close(w.t.Context())
	forged := strings.Replace(string(d.Answer), `"decision":"permit`, `"decision":"deny-permit`, -1)
	if forged == string(d.Answer) {
		w.t.Fatal("the answer permits nothing")
	}
	hash := credentialing.HashOf(d.Facts, []byte(forged))
	_, err = conn.Exec(w.t.Context(), `alter table determination disable trigger user`)
	w.must(err)
	_, err = conn.Exec(w.t.Context(), `update determination set answer = $2, hash = $3 where id = $1`, string(d.ID), forged, hash[:])
	w.must(err)
	_, err = conn.Exec(w.t.Context(), `alter table determination enable trigger user`)
	w.must(err)
}

func TestADraftIsPublishedOnceADifferenceIsExplained(t *testing.T) {
	w := newWorld(t)
	w.cast()
	ctx := t.Context()
	w.jordan()
	answer := w.determine(w.ask(w.tremblay, credentialing.AdvisePhysician))
	draft := w.draft(fixturePack(t, "JO"), time.Time{}, time.Time{})
	ask := w.advice("JO", w.clock.now().Add(48*time.Hour))
	subjects := []credentialing.Subject{{Kind: "appointment", ID: "one", Ask: ask}}
	w.forge(answer)
	w.clock.move(time.Hour)
	if _, err := w.s.ReplayNow(ctx, w.otieno, start, 0); !errors.Is(err, credentialing.ErrForbidden) {
		t.Errorf("by a physician: %v", err)
	}
	var bad *credentialing.Invalid
	if _, err := w.s.ReplayNow(ctx, w.grace, w.clock.now().Add(time.Minute), 0); !errors.As(err, &bad) || bad.Field != "since" {
		t.Errorf("of what is yet to come: %v", err)
	}
	if _, err := w.s.ReplayNow(ctx, w.grace, start, credentialing.MaxReplay+1); !errors.As(err, &bad) || bad.Field != "sample" {
		t.Errorf("too many: %v", err)
	}
	for range 2 { // the second time nobody is told again
		r, err := w.s.ReplayNow(ctx, w.grace, start, 10)
		w.must(err)
		if r.Replayed != 1 || len(r.Differences) != 1 || r.LeftOut != 0 {
			t.Fatalf("the run: %+v", r)
		}
	}
	var told, runs int
	w.must(w.pg.Pool.QueryRow(ctx, `select count(*) filter (where act = 'scope.replay_differs'), count(*) filter (where act = 'scope.replayed')
		from audit_leaf`).Scan(&told, &runs))
	if told != 1 || runs != 2 {
		t.Errorf("%d differences told, %d runs; want 1 and 2", told, runs)
	}
	record, err := w.s.Replays(ctx, w.samuel)
	w.must(err)
	if len(record.Runs) != 2 || record.Runs[0].By != w.grace.Person || record.Runs[0].Replayed != 1 || record.Runs[0].Differing != 1 || record.Runs[0].Sample != 10 {
		t.Errorf("runs %+v", record.Runs)
	}
	if d := record.Open; len(d) != 1 || d[0].Person != w.tremblay.Person || d[0].Now != answer.Decision || d[0].Recorded == d[0].Now || d[0].NowHash != answer.Hash {
		t.Errorf("open %+v", d)
	}
	if _, err := w.s.Replays(ctx, w.tremblay); !errors.Is(err, credentialing.ErrForbidden) {
		t.Errorf("a specialist reads it: %v", err)
	}
	if err := w.s.Publish(ctx, w.samuel, draft, subjects, 1); !errors.Is(err, credentialing.ErrReplayDiffers) {
		t.Fatalf("with a difference: %v, want it refused", err)
	}
	if d := w.decide(w.s, ask); d.Decision != credentialing.Deny {
		t.Errorf("the refused edition decides: %s", d.Decision)
	}
	w.must(w.s.AcknowledgeReplay(ctx, w.third, answer.ID, "Row altered by hand; incident 7."))
	record, err = w.s.Replays(ctx, w.samuel)
	w.must(err)
	if d := record.Closed; len(record.Open) != 0 || len(d) != 1 || d[0].AcknowledgedBy != w.third.Person || !strings.Contains(d[0].Reason, "incident 7") || d[0].Acknowledged.IsZero() {
		t.Errorf("after the acknowledgement: %+v", record)
	}
	w.must(w.s.Publish(ctx, w.samuel, draft, subjects, 1))
	if d := w.decide(w.s, ask); d.Decision != credentialing.PermitWithConditions {
		t.Errorf("the published edition does not decide: %s %v", d.Decision, d.Reasons)
	}
}

// TestAnAnswerAlteredAgainStopsPublishingAgain: what was explained is one alteration, not
// the answer for ever.
func TestAnAnswerAlteredAgainStopsPublishingAgain(t *testing.T) {
	w := newWorld(t)
	w.cast()
	ctx := t.Context()
	w.jordan()
	answer := w.determine(w.ask(w.tremblay, credentialing.AdvisePhysician))
	other := w.determine(w.ask(w.tremblay, credentialing.JointVideoVisit))
	draft := w.draft(fixturePack(t, "JO"), time.Time{}, time.Time{})
	w.clock.move(time.Hour)
	// found runs a replay and says what nobody has explained and how often people were told.
	found := func() (open []credentialing.ReplayDifference, told int) {
		t.Helper()
		_, err := w.s.ReplayAll(ctx, start, 0)
		w.must(err)
		open, err = w.s.UnexplainedReplays(ctx, w.grace)
		w.must(err)
		w.must(w.pg.Pool.QueryRow(ctx, `select count(*) from audit_leaf where act = 'scope.replay_differs'`).Scan(&told))
		return open, told
	}
	explain := func(why string) {
		t.Helper()
		w.clock.move(time.Minute)
		w.must(w.s.AcknowledgeReplay(ctx, w.third, answer.ID, why))
		if err := w.s.AcknowledgeReplay(ctx, w.third, answer.ID, why); !errors.Is(err, credentialing.ErrExists) {
			t.Errorf("explained twice: %v", err)
		}
	}
	w.forge(answer)
	if open, told := found(); len(open) != 1 || told != 1 {
		t.Fatalf("altered: %d open, %d told", len(open), told)
	}
	explain("Row altered by hand; incident 7.")
	if open, told := found(); len(open) != 0 || told != 1 {
		t.Errorf("explained and the same still: %d open, %d told", len(open), told)
	}
	altered := []byte(string(answer.Answer) + " ")
	w.alter(`update determination set answer = $2, hash = $3 where id = $1`, string(answer.ID), string(altered), func() []byte {
		hash := credentialing.HashOf(answer.Facts, altered)
		return hash[:]
	}())
	if open, told := found(); len(open) != 1 || open[0].ID != answer.ID || told != 2 {
		t.Fatalf("altered again: %d open, %d told", len(open), told)
	}
	if err := w.s.Publish(ctx, w.samuel, draft, nil, 0); !errors.Is(err, credentialing.ErrReplayDiffers) {
		t.Errorf("published over an answer that was altered again: %v", err)
	}
	w.alter(`update determination set decision = 'deny' where id = $1`, string(answer.ID)) // and a third time before anybody looked: one line, not two
	if open, told := found(); len(open) != 1 || told != 3 {
		t.Errorf("altered a third time: %d open, %d told", len(open), told)
	}
	w.forge(other)
	if open, _ := found(); len(open) != 2 {
		t.Errorf("two answers differ: %d open", len(open))
	}
	explain("And again; incident 8.")
	if open, _ := found(); len(open) != 1 || open[0].ID != other.ID {
		t.Errorf("the other is still open: %+v", open)
	}
	w.must(w.s.AcknowledgeReplay(ctx, w.grace, other.ID, "Incident 9."))
	w.must(w.s.Publish(ctx, w.samuel, draft, nil, 0))
	record, err := w.s.Replays(ctx, w.samuel)
	w.must(err)
	said := map[string]bool{}
	for _, d := range record.Closed {
		said[d.Reason] = true
	}
	for _, want := range []string{"Row altered by hand; incident 7.", "And again; incident 8.", "Incident 9."} {
		if !said[want] {
			t.Errorf("%q is not on record", want)
		}
	}
}

// alter changes a recorded answer as somebody who owns the database could.
func (w *world) alter(update string, args ...any) {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.pg.AdminURL)
	w.must(err)
	defer conn.Close(w.t.Context())
	_, err = conn.Exec(w.t.Context(), `alter table determination disable trigger user`)
	w.must(err)
	_, err = conn.Exec(w.t.Context(), update, args...)
	w.must(err)
	_, err = conn.Exec(w.t.Context(), `alter table determination enable trigger user`)
	w.must(err)
}

// An answer that rests on an edition that is no longer in force is worked out by that
// edition, however many such answers there are.
func TestManyAnswersUnderOldEditionsAreReplayed(t *testing.T) {
	w := newWorld(t)
	w.jordan()
	w.must(w.s.Publish(t.Context(), w.samuel, w.draft(fixturePack(t, "JO"), time.Time{}, time.Time{}), nil, 0))
	ask := w.advice("JO", start.AddDate(0, 0, 3))
	for range 20 {
		w.decide(w.s, ask)
	}
	next := strings.NewReplacer("fixture.1", "fixture.2", "keeps the decision.", "has the decision.").Replace(string(fixturePack(t, "JO")))
	w.clock.move(time.Hour)
	w.must(w.s.Publish(t.Context(), w.samuel, w.draft([]byte(next), time.Time{}, time.Time{}), nil, 0))
	r, err := w.s.ReplayNow(t.Context(), w.grace, start, 0)
	w.must(err)
	if r.Replayed != 20 || len(r.Differs) != 0 {
		t.Errorf("%d replayed, %v differ", r.Replayed, r.Differs)
	}
}
