package scheduling

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// at is a rule like that of a presence at other minutes.
func (p Presence) at(start, end Minute) Rule {
	r := p.Rule
	r.From, r.Until = nil, nil
	r.Start, r.End = start, end
	return r
}

// file is the calendar file of a presence as the specialist gets it.
func (w *world) file(id PresenceID) string {
	w.t.Helper()
	return w.fileOf(id, w.claire)
}

func (w *world) fileOf(id PresenceID, person identity.PersonID) string {
	w.t.Helper()
	letter, err := w.s.Letter(ctx, identity.System("mail", w.clinic), id, "", person)
	if err != nil {
		w.t.Fatal(err)
	}
	data, _, err := letter.Calendar("s", "d", "en", w.clock())
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.ReplaceAll(string(data), "\r\n ", "")
}

func TestThisAndFollowingEndsTheOldSeriesAndBeginsANew(t *testing.T) {
	w, p := programWorld(t)
	p = w.program(p, Program{Cases: 3, Intake: IntakeCoordinator})
	w.setClock(p.Windows[1].End) // two are past
	moved, err := w.s.MoveWindow(ctx, w.tremblay(), WindowRequest{p.ID, p.Version, p.Windows[6].Occurrence}, Wall{p.Windows[6].Occurrence.Date + 1, 10 * 60}, 0)
	if err != nil {
		t.Fatal(err)
	}
	p, err = w.s.CancelWindow(ctx, w.tremblay(), WindowRequest{p.ID, moved.Version, p.Windows[7].Occurrence})
	if err != nil {
		t.Fatal(err)
	}
	from := p.Windows[4].Occurrence
	// Mondays have no place for what was moved and canceled on Wednesdays.
	mondays := p.at(13*60, 16*60)
	mondays.Days = []Weekday{Monday}
	var orphans *Orphans
	if _, err := w.s.EditSeries(ctx, w.tremblay(), SeriesEdit{Presence: p.ID, Version: p.Version, From: &from, Rule: mondays}); !errors.As(err, &orphans) || len(orphans.Windows) != 2 ||
		orphans.Windows[0].Occurrence != p.Windows[6].Occurrence || orphans.Windows[1].Occurrence != p.Windows[7].Occurrence {
		t.Fatalf("%v, %+v", err, orphans)
	}
	next, err := w.s.EditSeries(ctx, w.tremblay(), SeriesEdit{Presence: p.ID, Version: p.Version, From: &from, Rule: p.at(13*60, 16*60)})
	if err != nil {
		t.Fatal(err)
	}
	old, err := w.s.Presence(ctx, w.otieno(), p.ID)
	if err != nil || len(old.Windows) != 4 || next.ID == p.ID || next.UID == p.UID || next.Program.Cases != 3 || next.Program.Intake != IntakeCoordinator {
		t.Fatalf("%d windows are left, %+v, %v", len(old.Windows), next, err)
	}
	read, err := w.s.Presence(ctx, w.otieno(), next.ID)
	if err != nil || len(old.Windows)+len(read.Windows) != len(p.Windows) {
		t.Fatalf("%d and %d windows of %d, %v", len(old.Windows), len(read.Windows), len(p.Windows), err)
	}
	for i, x := range read.Windows {
		had := p.Windows[4+i]
		switch i {
		case 2:
			if x.State != WindowMoved || !x.Start.Equal(had.Start) {
				t.Errorf("what was moved is %+v, want at %v", x, had.Start)
			}
		case 3:
			if x.State != WindowCanceled {
				t.Errorf("what was canceled is %+v", x)
			}
		default:
			if x.State != WindowOpen || clockOf(t, "Africa/Nairobi", x.Start) != "13:00" || x.End.Sub(x.Start) != 3*time.Hour {
				t.Errorf("window %+v", x)
			}
		}
	}
	if a, b := w.file(p.ID), w.file(next.ID); !strings.Contains(a, "UNTIL=2026122") || strings.Contains(a, next.UID) || !strings.Contains(b, "UID:"+next.UID) || !strings.Contains(b, "RECURRENCE-ID") {
		t.Errorf("files:\n%s\n%s", a, b)
	}
	if !w.wasTold("presence.changed", w.amina) || !w.wasTold("presence.changed", w.claire) {
		t.Error("both sides are not told")
	}
	if _, err := w.s.EditSeries(ctx, w.tremblay(), SeriesEdit{Presence: p.ID, Version: p.Version, From: &from, Rule: p.at(13*60, 16*60)}); !errors.Is(err, ErrVersion) {
		t.Errorf("twice: %v", err)
	}
}

func TestAllThatAreToComeAreChangedInPlaceWhenNoneIsPast(t *testing.T) {
	w, p := programWorld(t)
	edit := SeriesEdit{Presence: p.ID, Version: p.Version, Rule: p.at(15*60, 17*60)}
	for name, actor := range map[string]identity.Actor{"the clinic": w.coordinator(), "a physician": w.otieno()} {
		if _, err := w.s.EditSeries(ctx, actor, edit); !errors.Is(err, ErrForbidden) {
			t.Errorf("%s promises the specialist's time: %v", name, err)
		}
	}
	next, err := w.s.EditSeries(ctx, w.tremblay(), edit)
	if err != nil || next.ID != p.ID || next.UID != p.UID {
		t.Fatalf("%+v, %v", next, err)
	}
	read, err := w.s.Presence(ctx, w.otieno(), p.ID)
	if err != nil || len(read.Windows) != len(p.Windows) || read.Sequence <= p.Sequence || clockOf(t, "Africa/Nairobi", read.Windows[3].Start) != "15:00" || read.Version != next.Version {
		t.Errorf("%+v, %v", read, err)
	}
	if n := w.count(`select count(*) from presence`); n != 1 {
		t.Errorf("%d presences", n)
	}
}

func TestWhoStandsInHearsOfAChangedSeries(t *testing.T) {
	w, p := programWorld(t)
	weber := w.person("Dr Jonas Weber", "en", []string{"en"}, "Europe/Berlin")
	p = w.program(p, Program{Substitutes: []identity.PersonID{weber}})
	x, y := p.Windows[3], p.Windows[5]
	q, err := w.s.SubstituteWindow(ctx, w.otieno(), WindowRequest{p.ID, p.Version, x.Occurrence}, weber)
	if err != nil {
		t.Fatal(err)
	}
	n := len(p.Windows)
	if list, err := w.s.Presences(ctx, w.tremblay()); err != nil || len(list) != 1 || len(list[0].Windows) != n || list[0].Windows[3].Person != weber {
		t.Errorf("the specialist does not see who stands in: %+v, %v", list, err)
	}
	for _, c := range []struct {
		who  identity.PersonID
		want int // left out
	}{{w.claire, 1}, {weber, n - 1}, {w.amina, 0}} {
		text := w.fileOf(p.ID, c.who)
		if got := strings.Count(text, "EXDATE"); got != c.want {
			t.Errorf("%d windows are left out of a file, want %d of %d:\n%s", got, c.want, n, text)
		}
	}
	if q, err = w.s.MoveWindow(ctx, w.tremblay(), WindowRequest{p.ID, q.Version, y.Occurrence}, Wall{y.Occurrence.Date + 1, 10 * 60}, 0); err != nil {
		t.Fatal(err)
	}
	// Elsewhere at the new hour: nobody is promised twice.
	day := x.Occurrence.Date
	other, err := w.s.Offer(ctx, w.actor(weber, w.clinic, identity.RoleSpecialist), OfferRequest{Clinic: w.other, Zone: "Africa/Nairobi",
		Rule: Rule{Freq: Weekly, Days: []Weekday{day.Weekday()}, Start: 16 * 60, End: 17 * 60, From: &day, Until: &day}})
	if err != nil {
		t.Fatal(err)
	}
	edit := SeriesEdit{Presence: p.ID, Version: q.Version, Rule: p.at(15*60, 17*60)}
	var taken *SeriesConflict
	if _, err := w.s.EditSeries(ctx, w.tremblay(), edit); !errors.As(err, &taken) || len(taken.Taken) != 1 || taken.Taken[0].Local.Date != day {
		t.Fatalf("%v, %+v", err, taken)
	}
	if _, err := w.s.EndSeries(ctx, w.actor(weber, w.clinic, identity.RoleSpecialist), WindowRequest{other.ID, other.Version, other.Windows[0].Occurrence}); err != nil {
		t.Fatal(err)
	}
	had, err := w.s.Presence(ctx, w.tremblay(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	next, err := w.s.EditSeries(ctx, w.tremblay(), edit)
	if err != nil || next.ID != p.ID {
		t.Fatalf("%+v, %v", next, err)
	}
	if !w.wasTold("presence.changed", weber) {
		t.Error("who stands in is not told")
	}
	read, err := w.s.Presence(ctx, w.tremblay(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	moved := slices.IndexFunc(read.Windows, func(o Window) bool { return o.State == WindowMoved })
	if was := had.Windows[5].Sequence; moved < 0 || read.Windows[moved].Sequence <= was || read.Windows[moved].Sequence > read.Sequence {
		t.Errorf("%+v: the moved window's sequence was %d, the series' is %d", read.Windows, was, read.Sequence)
	}
	if _, err := w.s.EndSeries(ctx, w.tremblay(), WindowRequest{p.ID, read.Version, read.Windows[0].Occurrence}); err != nil || !w.wasTold("presence.ended", weber) {
		t.Errorf("who stands in is not told of the end: %v", err)
	}
}

func TestBookedVisitsAreNotLeftOutsideTheNewWindows(t *testing.T) {
	w, p := programWorld(t)
	x := p.Windows[2]
	a, err := w.placed(w.otieno(), x.Start.Add(time.Hour)) // 15:00
	if err != nil {
		t.Fatal(err)
	}
	var taken *SeriesConflict
	if _, err := w.s.EditSeries(ctx, w.tremblay(), SeriesEdit{Presence: p.ID, Version: p.Version, Rule: p.at(16*60, 18*60)}); !errors.As(err, &taken) || len(taken.Taken) != 1 || taken.Taken[0].Local != x.Occurrence {
		t.Fatalf("%v, %+v", err, taken)
	}
	if n := w.count(`select count(*) from presence_window where state = 'open'`); n != len(p.Windows) {
		t.Errorf("a refusal left %d windows", n)
	}
	if _, err := w.s.EndSeries(ctx, w.otieno(), WindowRequest{p.ID, p.Version, p.Windows[1].Occurrence}); !errors.As(err, &taken) {
		t.Errorf("ending with a visit in it: %v", err)
	}
	next, err := w.s.EditSeries(ctx, w.tremblay(), SeriesEdit{Presence: p.ID, Version: p.Version, Rule: p.at(15*60, 17*60)})
	if err != nil {
		t.Fatal(err)
	}
	if fills, err := w.s.Fills(ctx, w.otieno(), next.ID); err != nil || fills[Wall{x.Occurrence.Date, 15 * 60}].Visits != 1 {
		t.Errorf("%+v, %v", fills, err)
	}
	if got := w.read(a.ID); !got.StartAt.Equal(a.StartAt) || !got.State.Occupies() {
		t.Errorf("the visit is %s at %v", got.State, got.StartAt)
	}
}

func TestSeriesEndsFromAWindowOn(t *testing.T) {
	w, p := programWorld(t)
	w.setClock(p.Windows[1].End)
	ended, err := w.s.EndSeries(ctx, w.coordinator(), WindowRequest{p.ID, p.Version, p.Windows[5].Occurrence})
	if err != nil {
		t.Fatal(err)
	}
	read, err := w.s.Presence(ctx, w.tremblay(), p.ID)
	if err != nil || len(read.Windows) != 5 || read.Version != ended.Version || !w.wasTold("presence.ended", w.claire) {
		t.Errorf("%d windows, %v", len(read.Windows), err)
	}
	if n := w.offers(w.otieno(), p.Windows[5]); n != 0 {
		t.Errorf("%d starts are offered after the end", n)
	}
	if _, err := w.s.EndSeries(ctx, w.coordinator(), WindowRequest{p.ID, ended.Version, p.Windows[0].Occurrence}); !errors.Is(err, ErrPast) {
		t.Errorf("from the past on: %v", err)
	}
	if _, err := w.s.EndSeries(ctx, w.coordinator(), WindowRequest{p.ID, ended.Version, p.Windows[9].Occurrence}); !errors.Is(err, ErrNotFound) {
		t.Errorf("from one that is gone: %v", err)
	}
	// One of which nothing took place is canceled as a whole.
	q, err := w.s.Offer(ctx, w.tremblay(), OfferRequest{Clinic: w.clinic, Zone: "Africa/Nairobi", Rule: Rule{Freq: Weekly, Days: []Weekday{Friday}, Start: 8 * 60, End: 9 * 60,
		From: dateOf(2027, time.January, 1), Until: dateOf(2027, time.March, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.s.EndSeries(ctx, w.tremblay(), WindowRequest{q.ID, q.Version, q.Windows[0].Occurrence}); err != nil {
		t.Fatal(err)
	}
	if text := w.file(q.ID); !strings.Contains(text, "METHOD:CANCEL") || !strings.Contains(text, "STATUS:CANCELLED") {
		t.Errorf("the calendar is not told:\n%s", text)
	}
}

func TestEmptyWindowIsReleasedOrKeptTwoDaysBefore(t *testing.T) {
	w, p := programWorld(t)
	p = w.program(p, Program{Unfilled: UnfilledRelease})
	if _, err := w.placed(w.otieno(), p.Windows[1].Start); err != nil {
		t.Fatal(err)
	}
	look := func(at time.Time) int {
		t.Helper()
		w.setClock(at)
		n, err := w.s.LookAtWindows(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	state := func(i int) WindowState {
		t.Helper()
		read, err := w.s.Presence(ctx, w.otieno(), p.ID)
		if err != nil {
			t.Fatal(err)
		}
		return read.Windows[i].State
	}
	if n := look(p.Windows[0].Start.Add(-UnfilledBefore - time.Second)); n != 0 || state(0) != WindowOpen {
		t.Errorf("%d before it is due", n)
	}
	if n := look(p.Windows[0].Start.Add(-UnfilledBefore)); n != 1 || state(0) != WindowReleased || !w.wasTold("presence.released", w.claire) || !w.wasTold("presence.released", w.amina) {
		t.Errorf("%d, %s", n, state(0))
	}
	if n := look(w.clock()); n != 0 {
		t.Errorf("again: %d", n)
	}
	if n := w.offers(w.otieno(), p.Windows[0]); n != 0 {
		t.Errorf("%d starts are offered in a window that was released", n)
	}
	if n := look(p.Windows[1].Start.Add(-UnfilledBefore)); n != 0 || state(1) != WindowOpen {
		t.Errorf("a filled one: %d, %s", n, state(1))
	}
	read, err := w.s.Presence(ctx, w.otieno(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	w.program(read, Program{Unfilled: UnfilledKeep})
	if n := look(p.Windows[2].Start.Add(-UnfilledBefore)); n != 1 || state(2) != WindowOpen || !w.wasTold("presence.unfilled", w.peter) {
		t.Errorf("kept: %d, %s", n, state(2))
	}
	if text := w.file(p.ID); strings.Count(text, "EXDATE") != 1 {
		t.Errorf("the calendar still holds what was released:\n%s", text)
	}
}

func TestSubstituteOrTheNearestFreeTimeIsProposedForAWindow(t *testing.T) {
	w, p := programWorld(t)
	zhao, weber := w.person("Dr Zhao Li", "en", []string{"en"}, "America/Toronto"), w.person("Dr Jonas Weber", "en", []string{"en"}, "Europe/Berlin")
	p = w.program(p, Program{Substitutes: []identity.PersonID{zhao, weber}})
	x := p.Windows[3]
	// Zhao is promised to another clinic then, and Prof. Tremblay the day before.
	for _, who := range []struct {
		id  identity.PersonID
		day Date
	}{{zhao, x.Occurrence.Date}, {w.claire, x.Occurrence.Date - 1}} {
		if _, err := w.s.Offer(ctx, w.actor(who.id, w.clinic, identity.RoleSpecialist), OfferRequest{Clinic: w.other, Zone: "Africa/Nairobi",
			Rule: Rule{Freq: Weekly, Days: []Weekday{who.day.Weekday()}, Start: 14 * 60, End: 16 * 60, From: &who.day, Until: &who.day}}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := w.s.WindowProposals(ctx, w.otieno(), p.ID, x.Occurrence)
	if err != nil || len(list) != 4 {
		t.Fatalf("%+v, %v", list, err)
	}
	if list[0].Substitute != weber || list[0].Name != "Dr Jonas Weber" || !list[0].Start.Equal(x.Start) {
		t.Errorf("first: %+v", list[0])
	}
	for i, want := range []Date{1, -2, 2} {
		if got := list[1+i]; got.Substitute != "" || got.Local.Date != x.Occurrence.Date+want || got.Local.Minute != 14*60 {
			t.Errorf("proposal %d: %+v, want %d days later", i, got, want)
		}
	}
	if _, err := w.s.SubstituteWindow(ctx, w.otieno(), WindowRequest{p.ID, p.Version, x.Occurrence}, zhao); !errors.Is(err, ErrSlotTaken) {
		t.Errorf("who is elsewhere: %v", err)
	}
	if _, err := w.s.SubstituteWindow(ctx, w.otieno(), WindowRequest{p.ID, p.Version, x.Occurrence}, w.peter); !errors.Is(err, ErrInvalidRequest) {
		t.Errorf("who is not on the list: %v", err)
	}
	q, err := w.s.SubstituteWindow(ctx, w.otieno(), WindowRequest{p.ID, p.Version, x.Occurrence}, weber)
	if err != nil || !w.wasTold("presence.substituted", weber) || !w.wasTold("presence.substituted", w.claire) {
		t.Fatal(err)
	}
	if n := w.offers(w.otieno(), x); n != 0 {
		t.Errorf("%d starts with the specialist who is not there", n)
	}
	answer, err := w.s.Search(ctx, w.otieno(), SearchRequest{Case: w.ref, Kind: Advice, Specialist: weber, From: x.Start, To: x.End, Duration: 30 * time.Minute})
	if err != nil || len(answer.Slots) == 0 {
		t.Errorf("none with who stands in: %+v, %v", answer.WhyNot, err)
	}
	if list, err := w.s.Presences(ctx, w.actor(weber, w.other, identity.RoleSpecialist)); err != nil || len(list) != 1 || list[0].ID != p.ID {
		t.Errorf("who stands in sees %d presences, %v", len(list), err)
	}
	if _, err := w.placed(w.otieno(), p.Windows[4].Start); err != nil {
		t.Fatal(err)
	}
	if _, err := w.s.SubstituteWindow(ctx, w.otieno(), WindowRequest{p.ID, q.Version, p.Windows[4].Occurrence}, weber); !errors.Is(err, ErrWindowUsed) {
		t.Errorf("a window with a visit: %v", err)
	}
}

func TestPresenceWithoutALastDateIsToppedUp(t *testing.T) {
	w, p := programWorld(t)
	q, err := w.s.Offer(ctx, w.tremblay(), OfferRequest{Clinic: w.clinic, Zone: "Africa/Nairobi", Open: true, Rule: Rule{Freq: Weekly, Interval: 2, Days: []Weekday{Friday},
		Start: 8 * 60, End: 9 * 60, From: dateOf(2026, time.December, 4)}})
	if err != nil || len(q.Windows) != openWindows {
		t.Fatalf("%d windows, %v", len(q.Windows), err)
	}
	if text := w.file(q.ID); strings.Contains(text, "UNTIL=2") || !strings.Contains(text, "FREQ=WEEKLY;INTERVAL=2;BYDAY=FR") {
		t.Errorf("the calendar ends:\n%s", text)
	}
	top := func() int {
		t.Helper()
		n, err := w.s.TopUpPresences(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := top(); n != 0 {
		t.Errorf("%d are added at once", n)
	}
	w.setClock(q.Windows[1].End)
	// The specialist promises a later Friday to another clinic.
	next := q.Windows[len(q.Windows)-1].Occurrence.Date + 14
	if _, err := w.s.Offer(ctx, w.tremblay(), OfferRequest{Clinic: w.other, Zone: "Africa/Nairobi", Rule: Rule{Freq: Weekly, Days: []Weekday{Friday}, Start: 8 * 60, End: 10 * 60,
		From: &next, Until: &next}}); err != nil {
		t.Fatal(err)
	}
	if n := top(); n != 2 {
		t.Errorf("%d are added after two, want 2", n)
	}
	read, err := w.s.Presence(ctx, w.otieno(), q.ID)
	if err != nil || len(read.Windows) != openWindows+2 {
		t.Fatalf("%d windows, %v", len(read.Windows), err)
	}
	for i := 1; i < len(read.Windows); i++ {
		if d := read.Windows[i].Occurrence.Date - read.Windows[i-1].Occurrence.Date; d != 14 {
			t.Errorf("%d days between %s and the one before", d, read.Windows[i].Occurrence)
		}
	}
	if n := top(); n != 0 {
		t.Errorf("%d are added again", n)
	}
	if i := slices.IndexFunc(read.Windows, func(x Window) bool { return x.State == WindowCanceled }); i < 0 || read.Windows[i].Occurrence.Date != next || !w.wasTold("presence.topped_up", w.amina) {
		t.Errorf("the one that is taken stands as %d", i)
	}
	if got, err := w.s.Presence(ctx, w.otieno(), p.ID); err != nil || len(got.Windows) != len(p.Windows) {
		t.Error("one with a last date got more")
	}
}

func TestMonthOfAProgramCountsWhatBecameOfItsWindows(t *testing.T) {
	w, p := programWorld(t)
	dec := slices.IndexFunc(p.Windows, func(x Window) bool { return x.Occurrence.Date >= DateOf(2026, 12, 1) }) // 2, 9, 16, 23, 30 December
	var visits []Appointment
	for _, n := range []int{0, 0, 1} {
		a, err := w.placed(w.otieno(), p.Windows[dec+n].Start.Add(time.Duration(len(visits))*30*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		visits = append(visits, a)
	}
	q, err := w.s.MoveWindow(ctx, w.tremblay(), WindowRequest{p.ID, p.Version, p.Windows[dec+2].Occurrence}, Wall{p.Windows[dec+2].Occurrence.Date, 16 * 60}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = w.s.CancelWindow(ctx, w.tremblay(), WindowRequest{p.ID, q.Version, p.Windows[dec+3].Occurrence}); err != nil {
		t.Fatal(err)
	}
	for _, a := range visits[:2] { // both of 2 December; that of the 9th did not take place
		w.admin(`update appointment set state = 'fulfilled' where id = $1`, string(a.ID))
	}
	w.admin(`insert into fair_hours_entry (appointment_id, person_id, organization_id, start_at, zone, weight) values ($1, $2, $3, $4, 'America/Toronto', 90), ($1, $5, $3, $4, 'Africa/Nairobi', 10)`,
		string(visits[0].ID), string(w.claire), string(w.clinic), visits[0].StartAt, string(w.amina))
	w.admin(`update appointment set state = 'no_show' where id = $1`, string(visits[2].ID))
	w.setClock(time.Date(2026, 12, 24, 12, 0, 0, 0, time.UTC))
	list, err := w.s.ProgramReport(ctx, w.coordinator(), 2026, time.December)
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	want := ProgramMonth{Presence: p.ID, Person: w.claire, Held: 1, Unused: 2, Moved: 1, Canceled: 1, Planned: 1, Visits: 2, Cases: 2, Minutes: 60, Ledger: 100}
	if list[0] != want {
		t.Errorf("%+v, want %+v", list[0], want)
	}
	if own, err := w.s.ProgramReport(ctx, w.tremblay(), 2026, time.December); err != nil || len(own) != 1 || own[0] != want {
		t.Errorf("the specialist reads %+v, %v", own, err)
	}
	if none, err := w.s.ProgramReport(ctx, w.actor(w.peter, w.other, identity.RoleCoordinator), 2026, time.December); err != nil || len(none) != 0 {
		t.Errorf("another clinic reads %+v, %v", none, err)
	}
	if none, err := w.s.ProgramReport(ctx, w.coordinator(), 2028, time.June); err != nil || len(none) != 0 {
		t.Errorf("of a month without windows: %+v, %v", none, err)
	}
	if _, err := w.s.ProgramReport(ctx, w.coordinator(), 2026, 13); !errors.Is(err, ErrInvalidRequest) {
		t.Errorf("month 13: %v", err)
	}
}
