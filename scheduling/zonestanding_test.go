package scheduling

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling/zoneinfo"
)

// vancouver books visits in Vancouver by the old rules, a day apart from first on, and
// lists them.
func (w *world) vancouver(first Date, n int) []bookedVisit {
	w.t.Helper()
	old, data := oldZones(w.t), zoneinfo.Current()
	w.update(old)
	mia := w.person("Mia", "en", []string{"en"}, "America/Vancouver")
	list := make([]bookedVisit, n)
	for i := range list {
		list[i] = bookedVisit{zone: "America/Vancouver", anchor: mia, other: w.person("Q", "en", []string{"en"}, "Africa/Nairobi"), local: Wall{first + Date(i), 8 * 60}}
	}
	list = w.booked(old, list)
	if done := w.update(data); done.Listed != n || done.Conflicts != 0 {
		w.t.Fatalf("%+v", done)
	}
	return list
}

func (w *world) settle() int {
	w.t.Helper()
	n, err := w.s.SettleZones(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func TestUndecidedVisitIsAlertedOfOnceAndWaitsWithoutAStandingDecision(t *testing.T) {
	w := newWorld(t)
	list := w.vancouver(DateOf(2026, 12, 10), 2)
	item := w.zoneItems()[0]
	w.setClock(item.Due().Add(-time.Second))
	if n := w.settle(); n != 0 {
		t.Errorf("%d before it is due", n)
	}
	w.setClock(item.Due())
	if n := w.settle(); n != 1 || w.count(`select count(*) from audit_leaf where act = 'zone_update.due'`) != 1 {
		t.Errorf("%d alerted of, want the first", n)
	}
	before := w.zoneState()
	if n := w.settle(); n != 0 || w.zoneState() != before {
		t.Errorf("running it again did %d", n)
	}
	if got := w.zoneItems(); len(got) != 2 {
		t.Errorf("%d wait, want both: nobody decided", len(got))
	}
	a, err := w.s.Appointment(ctx, w.coordinator(), AppointmentID(list[0].id))
	if err != nil || !a.StartAt.Equal(list[0].start) || a.Sequence != 0 {
		t.Errorf("moved without a decision: %v, %v", a.StartAt, err)
	}
	// Put on file later, it applies to what is due.
	if _, err := w.s.SetZoneStanding(ctx, w.coordinator(), KeepWall, 0); err != nil {
		t.Fatal(err)
	}
	if n := w.settle(); n != 1 || len(w.zoneItems()) != 1 {
		t.Errorf("%d settled", n)
	}
}

func TestStandingDecisionMovesOnlyWhatIsDueAndSaysWhoseItIs(t *testing.T) {
	for _, c := range []struct {
		d     ZoneDecision
		moves time.Duration
		act   string
	}{{KeepWall, -time.Hour, "appointment.clock_moved"}, {KeepInstant, 0, "appointment.clock_kept"}} {
		t.Run(string(c.d), func(t *testing.T) {
			w := newWorld(t)
			set, err := w.s.SetZoneStanding(ctx, w.coordinator(), c.d, 0)
			if err != nil || set.Version != 1 {
				t.Fatal(set, err)
			}
			list := w.vancouver(DateOf(2026, 12, 10), 3)
			w.setClock(w.zoneItems()[1].Due())
			if n := w.settle(); n != 4 { // two alerts, two decisions
				t.Errorf("%d done, want 4", n)
			}
			for i, v := range list {
				a, err := w.s.Appointment(ctx, w.coordinator(), AppointmentID(v.id))
				if err != nil {
					t.Fatal(err)
				}
				want, sequence := v.start, 0
				if i < 2 && c.moves != 0 {
					want, sequence = v.start.Add(c.moves), 1
				}
				if !a.StartAt.Equal(want) || a.Sequence != sequence {
					t.Errorf("visit %d at %v, sequence %d, want %v, %d", i, a.StartAt, a.Sequence, want, sequence)
				}
				for _, s := range a.Seats {
					if i < 2 && (!s.During.Start.Equal(a.StartAt) || !s.During.End.Equal(a.End())) {
						t.Errorf("visit %d: seat %v", i, s.During)
					}
				}
			}
			history, err := w.s.ZoneHistory(ctx, w.coordinator(), 10)
			if err != nil || len(history) != 2 || history[0].By != w.peter || !history[0].Standing || history[0].Decision != c.d || !history[0].At.Equal(w.clock()) {
				t.Errorf("%+v, %v", history, err)
			}
			if n := w.count(`select count(*) from audit_leaf where act = $1`, c.act); n != 2 {
				t.Errorf("%d events %s, want 2", n, c.act)
			}
			if n := w.count(`select count(*) from audit_leaf where act = 'zone_update.standing'`); n != 2 {
				t.Errorf("%d alerts, want 2", n)
			}
		})
	}
}

func TestStandingDecisionIsTheCoordinatorsAndOfTheVersionRead(t *testing.T) {
	w := newWorld(t)
	for name, actor := range map[string]identity.Actor{"a physician": w.otieno(), "a specialist": w.actor(w.claire, w.other, identity.RoleSpecialist),
		"a guest": {Person: w.salma, Seat: "x", Organization: w.clinic, Roles: []identity.Role{identity.RoleCoordinator}}} {
		if _, err := w.s.SetZoneStanding(ctx, actor, KeepWall, 0); !errors.Is(err, ErrForbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.s.SetZoneStanding(ctx, w.coordinator(), "both", 0); !errors.Is(err, ErrInvalidRequest) {
		t.Errorf("no decision: %v", err)
	}
	if _, err := w.s.SetZoneStanding(ctx, w.coordinator(), KeepWall, 1); !errors.Is(err, ErrVersion) {
		t.Errorf("a version that never was: %v", err)
	}
	if _, err := w.s.SetZoneStanding(ctx, w.coordinator(), KeepWall, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := w.s.SetZoneStanding(ctx, w.coordinator(), KeepInstant, 0); !errors.Is(err, ErrVersion) {
		t.Errorf("a stale version: %v", err)
	}
	set, err := w.s.SetZoneStanding(ctx, w.coordinator(), DecideLater, 1)
	if err != nil || set.Version != 2 {
		t.Fatal(set, err)
	}
	if got, err := w.s.ZoneStandingOf(ctx, w.otieno()); err != nil || got != set {
		t.Errorf("%+v, %v, want %+v", got, err, set)
	}
	if got, err := w.s.ZoneStandingOf(ctx, w.actor(w.peter, w.other, identity.RoleCoordinator)); err != nil || got.Version != 0 {
		t.Errorf("another clinic's: %+v, %v", got, err)
	}
}

// Of visits back to back none is said to be a conflict that only another's move stands
// against; one that truly has no room is left to a person, once.
func TestStandingDecisionLeavesTrueConflictsToAPerson(t *testing.T) {
	w := newWorld(t)
	old, data := oldZones(t), zoneinfo.Current()
	w.update(old)
	mia := w.person("Mia", "en", []string{"en"}, "America/Vancouver")
	ben := w.person("Ben", "en", []string{"en"}, "Africa/Nairobi")
	kim := w.person("Kim", "en", []string{"en"}, "Africa/Nairobi")
	day := DateOf(2026, 12, 10)
	list := w.booked(old, []bookedVisit{
		{zone: "America/Vancouver", anchor: mia, other: kim, local: Wall{day, 9 * 60}},
		{zone: "America/Vancouver", anchor: mia, other: kim, local: Wall{day, 9*60 + 30}},
		{zone: "America/Vancouver", anchor: mia, other: kim, local: Wall{day, 10 * 60}},
		{zone: "America/Vancouver", anchor: mia, other: ben, local: Wall{day, 13 * 60}},
		{zone: "Africa/Nairobi", anchor: kim, other: ben, local: Wall{day, 23 * 60}}, // 20:00 UTC, where the fourth moves
	})
	w.update(data)
	if _, err := w.s.SetZoneStanding(ctx, w.coordinator(), KeepWall, 0); err != nil {
		t.Fatal(err)
	}
	w.setClock(list[4].start.Add(-UndecidedBefore))
	for range 3 {
		w.settle()
	}
	left := w.zoneItems()
	if len(left) != 1 || string(left[0].Appointment) != list[3].id || !left[0].Conflict {
		t.Fatalf("left: %+v", left)
	}
	if n := w.count(`select count(*) from audit_leaf where act = 'zone_update.standing'`); n != 4 {
		t.Errorf("%d alerts, want one a visit", n)
	}
	// The other goes away: the standing decision applies after all.
	a, err := w.s.Appointment(ctx, w.coordinator(), AppointmentID(list[4].id))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.s.Cancel(ctx, w.coordinator(), a.ID, a.Version, ReasonOther); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if left := w.zoneItems(); len(left) != 0 {
		t.Errorf("still left: %+v", left)
	}
}

// The service dies again and again while it lists, settles and goes back. What stands in
// the end is what one run without a death leaves.
func TestZoneUpdateThatIsKilledGoesOnWhereItStopped(t *testing.T) {
	w := newWorld(t)
	old, data := oldZones(t), zoneinfo.Current()
	w.update(old)
	var list []bookedVisit
	for i := range 600 {
		zone := changedZones[i%len(changedZones)]
		list = append(list, bookedVisit{zone: zone, anchor: w.person("P", "en", []string{"en"}, zone), other: w.person("Q", "en", []string{"en"}, "Africa/Nairobi"),
			local: Wall{DateOf(2026, 12, 1) + Date(i%60), 8 * 60}})
	}
	list = w.booked(old, list)
	kill := func() {
		w.admin(`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and usename = 'consilium_app'`)
	}
	until := func(do func() bool) {
		t.Helper()
		var dying sync.WaitGroup
		for range 6 {
			dying.Go(kill)
			do()
		}
		dying.Wait()
		for range 60 { // connections that died idle fail once
			if do() {
				return
			}
		}
		t.Fatal("it does not end")
	}
	to := func(d *zoneinfo.Data) func() bool {
		return func() bool { _, err := w.s.updateZones(context.Background(), d); return err == nil }
	}
	until(to(data))
	want := 0
	for _, v := range list {
		if !ResolveWall(mustZone(t, data, v.zone), v.local).Equal(v.start) {
			want++
		}
	}
	items := w.zoneItems()
	if len(items) != want || want < 100 {
		t.Fatalf("%d listed, want %d", len(items), want)
	}
	if n := w.count(`select count(*) from (select from zone_update_item group by appointment_id having count(*) > 1) x`); n != 0 {
		t.Error("a visit is listed twice")
	}
	// Half is settled by the standing decision, then the edition is withdrawn.
	if _, err := w.s.SetZoneStanding(ctx, w.coordinator(), KeepWall, 0); err != nil {
		if _, err = w.s.SetZoneStanding(ctx, w.coordinator(), KeepWall, 0); err != nil {
			t.Fatal(err)
		}
	}
	w.setClock(items[len(items)/2].OldStart.Add(-UndecidedBefore))
	now := w.clock()
	until(func() bool { n, err := w.s.SettleZones(ctx); return err == nil && n == 0 })
	for _, i := range w.zoneItems() {
		if !i.Due().After(now) {
			t.Errorf("due and not settled: %+v", i)
		}
	}
	until(to(old))
	back := w.zoneItems()
	moved := slices.DeleteFunc(slices.Clone(back), func(i ZoneItem) bool { return i.delta() == 0 })
	if n := w.count(`select count(*) from appointment where ical_sequence = 1 and start_at > $1`, now); n != len(moved) {
		t.Errorf("%d are listed to move back, want the %d that moved", len(moved), n)
	}
	for {
		done, _, err := w.s.DecideZoneItems(ctx, w.coordinator(), KeepWall, "")
		if err != nil {
			t.Fatal(err)
		}
		if done == 0 {
			break
		}
	}
	for _, v := range list {
		a, err := w.s.Appointment(ctx, w.coordinator(), AppointmentID(v.id))
		if err != nil {
			t.Fatal(err)
		}
		if v.start.Before(now) {
			continue // frozen: what was, was
		}
		if !a.StartAt.Equal(v.start) || a.StartLocal != v.local || a.ZoneVersion != old.Version() {
			t.Fatalf("%s %s: %v by %s, want %v by %s", v.zone, v.local, a.StartAt, a.ZoneVersion, v.start, old.Version())
		}
		for _, s := range a.Seats {
			if !s.During.Start.Equal(a.StartAt) || !s.During.End.Equal(a.End()) {
				t.Fatalf("seat %v of a visit at %v", s.During, a.StartAt)
			}
		}
	}
}
