package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/sessions/workspace"
	"github.com/consilium-health/consilium/web/mail"
)

// book makes the case of the demonstration's main job ready and books a visit of this
// kind with its specialist, at the first time after so long.
func (s seeder) book(ctx context.Context, t *testing.T, otieno identity.Actor, kind scheduling.Kind, after time.Duration) scheduling.Appointment {
	t.Helper()
	a, people := s.a, s.cast
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	list, err := a.workspace.ListFor(ctx, otieno)
	must(err)
	id := list[0].ID
	must(a.workspace.ConfirmPlace(ctx, otieno, id, "KE", "asked_by_phone"))
	for _, c := range s.consents("tremblay", "CA-ON", []workspace.Class{workspace.ClassHistory}, "en") {
		_, err := a.workspace.RecordConsent(ctx, otieno, id, c)
		must(err)
	}
	must(a.workspace.Submit(ctx, otieno, id))
	tremblay := people.People["tremblay"]
	found, err := a.scheduling.Search(ctx, otieno, scheduling.SearchRequest{Case: scheduling.CaseRef(id), Kind: kind, Specialist: tremblay, From: a.db.Now().Add(after), Limit: 1})
	must(err)
	if len(found.Slots) == 0 {
		t.Fatalf("no time: %+v", found.WhyNot)
	}
	visit, err := a.scheduling.Book(ctx, otieno, scheduling.BookRequest{Key: uuid.NewString(), Case: scheduling.CaseRef(id), Kind: kind, Specialist: tremblay, Start: found.Slots[0].Start})
	must(err)
	return visit
}

// mainVisit books the visit of the demonstration's main job, and the interpreter
// promises to come: the patient hears of a visit, and of what becomes of it, then.
func (s seeder) mainVisit(ctx context.Context, t *testing.T, otieno identity.Actor) scheduling.Appointment {
	t.Helper()
	visit := s.book(ctx, t, otieno, scheduling.JointVideoVisit, 24*time.Hour)
	aziz, err := s.as(ctx, "aziz")
	if err != nil {
		t.Fatal(err)
	}
	for _, seat := range visit.Seats {
		if seat.Role == scheduling.RoleInterpreter {
			if _, err := s.a.scheduling.Accept(ctx, aziz, seat.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	return visit
}

// TestReportedSuspensionReachesTheVisitAndThePeopleByItself books the demonstration's
// main visit and reports a suspension. Nobody asks for anything more: the running
// service sets the visit aside and writes to all concerned.
func TestReportedSuspensionReachesTheVisitAndThePeopleByItself(t *testing.T) {
	a, people := demonstration(t, dataDir(t))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s := seeder{a: a, file: people.file, cast: people, actors: map[string]identity.Actor{}}
	otieno, err := s.as(ctx, "otieno")
	must(err)
	wanjiru, err := s.as(ctx, "wanjiru")
	must(err)
	visit := s.mainVisit(ctx, t, otieno)
	reported := time.Now()
	_, err = a.credentialing.ReportStatus(ctx, wanjiru, credentialing.StatusReport{Credential: people.Credentials["DEMO-CA-0001"],
		Status: credentialing.StatusSuspended, From: visit.StartAt.Add(-time.Hour), Source: "CPSO"})
	must(err)
	seen := errors.New("seen")
	err = a.db.Follow(ctx, 0, func(l audit.Leaf) error {
		if l.Event.Act == "appointment.set_aside" && l.Event.Objects["appointment"] == string(visit.ID) {
			if l.Event.Reason != "forbid:ZZ-012" {
				t.Errorf("set aside for %q", l.Event.Reason)
			}
			return seen
		}
		return nil
	})
	if !errors.Is(err, seen) {
		t.Fatal(err)
	}
	if took := time.Since(reported); took > time.Minute {
		t.Errorf("set aside after %v, want a minute at most", took)
	}
	got, err := a.scheduling.Appointment(ctx, otieno, visit.ID)
	must(err)
	if got.State != scheduling.StateNeedsAttention || !got.StartAt.Equal(visit.StartAt) {
		t.Errorf("the visit is %s at %v", got.State, got.StartAt)
	}
	want := map[string]string{"Dr Amina Otieno": "A visit needs attention", "Peter Mwangi": "A visit needs attention",
		"Prof. Claire Tremblay": "Un rendez-vous demande votre attention", "Salma Idris": "زيارة تحتاج إلى انتباه", "Layla Aziz": "زيارة تحتاج إلى انتباه"}
	ticker := time.NewTicker(50 * time.Millisecond) // the outbox tells nobody when a mail comes
	defer ticker.Stop()
	for len(want) > 0 {
		select {
		case <-ctx.Done():
			t.Fatalf("not written to: %v", want)
		case <-ticker.C:
		}
		var mails []mail.Captured
		mails, err = a.outbox.List(ctx, "", 50)
		must(err)
		for _, m := range mails {
			if want[m.To] == m.Subject {
				delete(want, m.To)
			}
		}
	}
}

func TestNightlyIsTheNextTwoOClock(t *testing.T) {
	for at, want := range map[string]string{
		"2026-11-25T01:59:59Z":      "2026-11-25T02:00:00Z",
		"2026-11-25T02:00:00Z":      "2026-11-26T02:00:00Z",
		"2026-12-31T23:00:00-05:00": "2027-01-02T02:00:00Z",
	} {
		from, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := (nightly{}).Next(from).Format(time.RFC3339); got != want {
			t.Errorf("after %s: %s, want %s", at, got, want)
		}
	}
}

func TestBenchPrintsItsFigures(t *testing.T) {
	var out, failed bytes.Buffer
	e := environment{getenv: env(), out: &out, err: &failed}
	// Beyond twice a target is a figure too; a busy machine is no fault of the test.
	if err := run(t.Context(), e, []string{"bench", "credentialing", "--bookings", "100"}); err != nil && !errors.Is(err, errFailed) {
		t.Fatal(err)
	}
	for _, want := range []string{"Evaluate, one place", "100 bookings looked at again, nothing changed", "100 bookings set aside by suspensions", "target 2s"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := run(t.Context(), e, []string{"bench", "scheduling", "--practitioners", "20", "--appointments", "100", "--bookings", "100"}); err != nil && !errors.Is(err, errFailed) {
		t.Fatal(err)
	}
	for _, want := range []string{"20 practitioners and 100 appointments stored", "search of 5 parties over 60 days", "free starts over HTTP, p99", "a booking, 16 at once"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	for _, args := range [][]string{{"bench"}, {"bench", "nothing"}, {"bench", "credentialing", "--bookings", "1"}} {
		if err := run(t.Context(), e, args); !errors.Is(err, errUsage) {
			t.Errorf("%v: %v, want usage", args, err)
		}
	}
}
