package credentialing_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// sameTasks compares the queue's tasks about credentials with the plain reading of all
// that is on file.
func (w *world) sameTasks(when string) {
	w.t.Helper()
	all, err := w.s.Queue(w.t.Context(), w.grace)
	w.must(err)
	got := slices.DeleteFunc(all, func(q credentialing.QueueItem) bool { return q.Credential == "" })
	want, err := w.s.CredentialTasks(w.t.Context(), w.grace)
	w.must(err)
	order := func(a, b credentialing.QueueItem) int {
		return strings.Compare(a.Task+string(a.Credential)+a.Since.String(), b.Task+string(b.Credential)+b.Since.String())
	}
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if !reflect.DeepEqual(got, want) && len(got)+len(want) > 0 {
		w.t.Fatalf("%s: the queue has\n%+v\nand there is to do\n%+v", when, got, want)
	}
}

// TestTheQueueMissesNothing lets credentials end around the days at which the queue
// begins to name them, in several zones and spellings, and walks through the days.
func TestTheQueueMissesNothing(t *testing.T) {
	w := newWorld(t)
	zones := []string{"", "Pacific/Kiritimati", "Pacific/Honolulu", "Africa/Nairobi"}
	for i, days := range []int{1, 3, 89, 90, 91, 92, 93, 94, 120} {
		end := start.AddDate(0, 0, days)
		req := license(w.otieno, "KE", fmt.Sprintf("D-%d", i), credentialing.Date(end.Year(), end.Month(), end.Day()))
		req.Claim.Timezone = zones[i%len(zones)]
		if i%3 == 2 {
			req.Claim.ValidTo = credentialing.Instant(end.Add(time.Duration(i) * time.Hour))
		}
		if i == 4 { // nobody has asked the source
			_, err := w.s.EnterClaim(t.Context(), w.grace, req)
			w.must(err)
			continue
		}
		w.onFile(req)
	}
	w.sameTasks("at first")
	renewed := license(w.otieno, "KE", "D-2", credentialing.Date(2030, 1, 1))
	renewed.Claim.ValidFrom = credentialing.Date(2027, 2, 1)
	w.onFile(renewed)
	expiring := 0
	for range 40 {
		w.clock.move(11 * time.Hour)
		w.sameTasks(w.clock.now().String())
		all, err := w.s.Queue(t.Context(), w.grace)
		w.must(err)
		for _, q := range all {
			if q.Task == credentialing.TaskExpiring {
				expiring++
			}
		}
	}
	if expiring == 0 {
		t.Error("nothing ever ends")
	}
	// A year later everything is overdue, lists are old, and most has ended.
	w.clock.move(400 * 24 * time.Hour)
	w.sameTasks("a year later")
	all, err := w.s.Queue(t.Context(), w.grace)
	w.must(err)
	for _, task := range []string{credentialing.TaskOverdue, credentialing.TaskCheckList, credentialing.TaskVerify} {
		if !slices.ContainsFunc(all, func(q credentialing.QueueItem) bool { return q.Task == task && q.Person == w.otieno.Person }) {
			t.Errorf("no task %q: %+v", task, all)
		}
	}
}

// TestWhatWaitsIsCountedAsEachQuestionAlone compares the count of what waits for each
// task with asking each question by itself.
func TestWhatWaitsIsCountedAsEachQuestionAlone(t *testing.T) {
	w := newWorld(t)
	registration := w.cast()
	cover, _ := w.enter(credentialing.ClaimRequest{Person: w.weber.Person, Kind: credentialing.KindMalpractice, Issuer: "insurer", Number: "W-1",
		Claim: credentialing.Claim{ValidFrom: credentialing.Date(2026, 1, 1), ValidTo: credentialing.Date(2028, 1, 1), Territories: []string{"DE", "KE"}}})
	w.clock.move(time.Hour)
	_, err := w.s.ReportStatus(t.Context(), w.grace, credentialing.StatusReport{Credential: registration.Credential, Status: credentialing.StatusSuspended, Source: "alert"})
	w.must(err)
	_, err = w.s.ReportStatus(t.Context(), w.grace, credentialing.StatusReport{Credential: registration.Credential, Status: credentialing.StatusActive, Source: "letter"})
	w.must(err)
	w.must(w.s.CheckExclusions(t.Context(), w.grace, credentialing.ExclusionCheck{Person: w.kamau.Person, Lists: []string{"LEIE"},
		Hits: []credentialing.ExclusionHit{{List: "LEIE", Entry: "E-1", Strong: true}}}))
	queue, err := w.s.Queue(t.Context(), w.samuel)
	w.must(err)
	queue = append(queue, credentialing.QueueItem{Task: credentialing.TaskCheckList, Person: w.weber.Person})
	for _, task := range []credentialing.QueueItem{{Task: credentialing.TaskReinstate, Credential: registration.Credential},
		{Task: credentialing.TaskVerify, Credential: cover.Credential}, {Task: credentialing.TaskMatch, Person: w.kamau.Person}} {
		if !slices.ContainsFunc(queue, func(q credentialing.QueueItem) bool {
			return q.Task == task.Task && (q.Credential == task.Credential || q.Person == task.Person)
		}) {
			t.Fatalf("no task %+v in %+v", task, queue)
		}
	}
	helped := 0
	rapid.Check(t, func(t *rapid.T) {
		subjects := w.drawSubjects(t)
		for i := range subjects { // one booking of several questions counts once
			if rapid.Bool().Draw(t, "the same") {
				subjects[i].Kind, subjects[i].ID = "appointment", "one"
			}
		}
		want, err := w.s.Helped(t.Context(), w.samuel, queue, subjects)
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.s.WaitingFor(t.Context(), w.samuel, queue, subjects, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Of, want) {
			t.Fatalf("%v wait, each asked alone %v, for %+v", got.Of, want, queue)
		}
		for _, n := range want {
			helped += n
		}
	})
	if helped == 0 {
		t.Error("no task ever helps")
	}
	if _, err := w.s.WaitingFor(t.Context(), w.otieno, queue, nil, nil); err == nil {
		t.Error("a physician reads what waits for officers")
	}
	var none identity.Actor
	if _, err := w.s.Queue(t.Context(), none); err == nil {
		t.Error("nobody reads the queue")
	}
}
