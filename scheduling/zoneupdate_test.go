package scheduling

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling/zoneinfo"
)

func oldZones(t testing.TB) *zoneinfo.Data {
	t.Helper()
	d, err := zoneinfo.ReadFile(filepath.Join("zoneinfo", "testdata", "2025b", "zoneinfo.zip"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// booked puts a visit into the database as an edition of the zone data would have
// booked it.
type bookedVisit struct {
	id     string
	zone   string // of the anchor
	anchor identity.PersonID
	other  identity.PersonID
	local  Wall
	start  time.Time
}

func (w *world) booked(d *zoneinfo.Data, list []bookedVisit) []bookedVisit {
	w.t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, w.db.AdminURL)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close(ctx)
	var b pgx.Batch
	for i := range list {
		v := &list[i]
		loc, err := d.Load(v.zone)
		if err != nil {
			w.t.Fatal(err)
		}
		v.id, v.start = uuid.Must(uuid.NewV7()).String(), ResolveWall(loc, v.local)
		b.Queue(`insert into appointment (id, organization_id, kind, start_local, anchor_zone, anchor_person_id, start_at, duration, tzdata_version,
				ical_uid, ical_sequence, state, reason, tasks, note, version, created_at, changed_at)
			values ($1, $2, 'advise_physician', $3, $4, $5, $6, '30 min', $7, $8, 0, 'booked', '', '[]', '', 1, now(), now())`,
			v.id, string(w.clinic), v.local.asUTC(), v.zone, string(v.anchor), v.start, d.Version(), v.id+"@consilium.example")
		for role, p := range map[string]identity.PersonID{"patient": v.anchor, "observer": v.other} {
			b.Queue(`insert into seat (id, organization_id, appointment_id, person_id, role, required, during, kind, response, leg)
				values ($1, $2, $3, $4, $5, true, tstzrange($6::timestamptz, $6::timestamptz + interval '30 min'), 'booking', 'accepted', 0)`,
				uuid.Must(uuid.NewV7()).String(), string(w.clinic), v.id, string(p), role, v.start)
		}
	}
	if err := conn.SendBatch(ctx, &b).Close(); err != nil {
		w.t.Fatal(err)
	}
	return list
}

func (w *world) update(d *zoneinfo.Data) ZoneChange {
	w.t.Helper()
	done, err := w.s.updateZones(context.Background(), d)
	if err != nil {
		w.t.Fatal(err)
	}
	return done
}

func (w *world) coordinator() identity.Actor {
	return w.actor(w.peter, w.clinic, identity.RoleCoordinator)
}

func (w *world) zoneItems() []ZoneItem {
	w.t.Helper()
	list, err := w.s.ZoneItems(context.Background(), w.coordinator())
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// state is everything that an update may change, to compare.
func (w *world) zoneState() (n int) {
	return w.count(`select hashtext(string_agg(t, ';' order by t)) from (
		select a::text as t from appointment a union all select s::text from seat s union all select i::text from zone_update_item i
		union all select u::text from zone_update u union all select index::text from audit_leaf) x`)
}

var changedZones = []string{"America/Vancouver", "America/Edmonton", "America/Winnipeg", "Africa/Casablanca", "America/Havana", "Europe/Chisinau"}

func TestZoneUpdateListsExactlyWhatMovesAndBack(t *testing.T) {
	w := newWorld(t)
	old, data := oldZones(t), zoneinfo.Current()
	if data.Version() != "2026f" {
		t.Fatalf("the binary carries %s: this test compares 2025b with 2026f", data.Version())
	}
	w.update(old) // the old edition is on file
	rnd := rand.New(rand.NewPCG(1, 2))
	zones := append(slices.Clone(changedZones), "Africa/Nairobi", "America/Toronto", "Asia/Kathmandu", "Europe/Berlin", "Australia/Lord_Howe")
	people := map[string]identity.PersonID{}
	for _, z := range zones {
		people[z] = w.person("P "+z, "en", []string{"en"}, z)
	}
	var list []bookedVisit
	for i := range 1000 {
		a := zones[i%len(zones)]
		b := zones[(i+1+rnd.IntN(len(zones)-1))%len(zones)]
		// Each person has one visit a day: at most three hours apart nobody meets another.
		list = append(list, bookedVisit{zone: a, anchor: people[a], other: w.person("Q", "en", []string{"en"}, b),
			local: Wall{DateOf(2026, 12, 1) + Date(i/len(zones)*4), Minute(8*60 + 30*rnd.IntN(16))}})
	}
	list = w.booked(old, list)
	zoneOf := func(p identity.PersonID) string {
		var z string
		if err := w.db.Pool.QueryRow(context.Background(), `select zone from person where id = $1`, string(p)).Scan(&z); err != nil {
			t.Fatal(err)
		}
		return z
	}
	// Which clocks read something else, minute by clock, without the code under test.
	reads := func(d *zoneinfo.Data, zone string, at time.Time) string {
		loc, err := d.Load(zone)
		if err != nil {
			t.Fatal(err)
		}
		return at.In(loc).Format("2006-01-02 15:04")
	}
	want := map[AppointmentID]bool{}
	for _, v := range list {
		other := zoneOf(v.other)
		if reads(old, v.zone, v.start) != reads(data, v.zone, v.start) || reads(old, other, v.start) != reads(data, other, v.start) {
			want[AppointmentID(v.id)] = true
		}
	}
	done := w.update(data)
	items := w.zoneItems()
	if len(want) < 200 || len(items) != len(want) || done.Listed != len(want) || done.Unchanged != len(list)-len(want) || done.Conflicts != 0 {
		t.Fatalf("%d listed, want %d; %+v", len(items), len(want), done)
	}
	byID := map[AppointmentID]bookedVisit{}
	for _, v := range list {
		byID[AppointmentID(v.id)] = v
	}
	for _, i := range items {
		v := byID[i.Appointment]
		if !want[i.Appointment] || !i.OldStart.Equal(v.start) || i.Parties[0].Before != v.local || i.Parties[0].Wall != v.local {
			t.Errorf("item of %s %s: %+v", v.zone, v.local, i)
		}
		for _, p := range i.Parties {
			if p.Before.String() != WallAt(mustZone(t, old, p.Zone), i.OldStart).String() || p.Wall != WallAt(mustZone(t, data, p.Zone), i.NewStart) ||
				p.Instant != WallAt(mustZone(t, data, p.Zone), i.OldStart) {
				t.Errorf("party %+v", p)
			}
		}
	}
	moves := w.count(`select count(*) from zone_update_item where old_start <> new_start`)
	if n := w.count(`select count(*) from seat where upper(during) - lower(during) = interval '90 min'`); n != 2*moves || moves == 0 {
		t.Errorf("%d seats keep both times, want %d", n, 2*moves)
	}
	before := w.zoneState()
	if again := w.update(data); again != (ZoneChange{}) || w.zoneState() != before {
		t.Errorf("running it again: %+v", again)
	}
	// The edition is withdrawn: everything is as it was.
	if back := w.update(old); back.Void != len(want) || back.Listed != 0 {
		t.Errorf("back: %+v", back)
	}
	if n := w.count(`select count(*) from seat s join appointment a on a.id = s.appointment_id
		where s.during <> tstzrange(a.start_at, a.start_at + a.duration)`); n != 0 || len(w.zoneItems()) != 0 {
		t.Errorf("%d seats are not as booked", n)
	}
	// And comes again. Now the clinic decides.
	if done := w.update(data); done.Listed != len(want) {
		t.Errorf("once more: %+v", done)
	}
	settled, left, err := w.s.DecideZoneItems(context.Background(), w.coordinator(), KeepWall, "")
	if err != nil || settled != len(want) || left != 0 {
		t.Fatal(settled, left, err)
	}
	for _, v := range list {
		a, err := w.s.Appointment(context.Background(), w.coordinator(), AppointmentID(v.id))
		if err != nil {
			t.Fatal(err)
		}
		if a.ZoneVersion != data.Version() || a.StartLocal != v.local || !a.StartAt.Equal(ResolveWall(mustZone(t, data, v.zone), v.local)) ||
			(a.Sequence == 1) != !a.StartAt.Equal(v.start) {
			t.Fatalf("%s in %s: %+v", v.local, v.zone, a)
		}
		for _, s := range a.Seats {
			if !s.During.Start.Equal(a.StartAt) || !s.During.End.Equal(a.End()) {
				t.Fatalf("seat %+v of a visit at %v", s, a.StartAt)
			}
		}
	}
	if n := w.count(`select count(*) from audit_leaf where act = 'appointment.clock_moved'`); n != moves {
		t.Errorf("%d told of a move, want %d", n, moves)
	}
	if n := w.count(`select count(*) from zone_update where closed_at is null`); n != 0 {
		t.Errorf("%d updates are open", n)
	}
}

func mustZone(t testing.TB, d *zoneinfo.Data, name string) *time.Location {
	t.Helper()
	loc, err := d.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestZoneConflictWaitsForAPersonAndIsResolvedInOrder(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	old, data := oldZones(t), zoneinfo.Current()
	w.update(old)
	mia := w.person("Mia", "en", []string{"en"}, "America/Vancouver")
	ben := w.person("Ben", "en", []string{"en"}, "Africa/Nairobi")
	kim := w.person("Kim", "en", []string{"en"}, "Africa/Nairobi")
	// An hour apart in Vancouver, whose clocks stay ahead since 2026: both move an hour
	// earlier, one into the other's place. Ben meets a third, in Nairobi, at the new time.
	day := DateOf(2026, 12, 1)
	list := w.booked(old, []bookedVisit{
		{zone: "America/Vancouver", anchor: mia, other: ben, local: Wall{day, 8 * 60}},
		{zone: "America/Vancouver", anchor: mia, other: kim, local: Wall{day, 9 * 60}},
		{zone: "Africa/Nairobi", anchor: kim, other: ben, local: Wall{day, 18 * 60}}, // 15:00 UTC
	})
	if done := w.update(data); done.Listed != 2 || done.Conflicts < 1 || done.Unchanged != 1 {
		t.Fatalf("%+v", done)
	}
	conflict := func(id string) ZoneItem {
		for _, i := range w.zoneItems() {
			if string(i.Appointment) == id {
				return i
			}
		}
		t.Fatalf("%s is not listed", id)
		return ZoneItem{}
	}
	first := conflict(list[0].id)
	if !first.Conflict {
		t.Errorf("%+v: Ben sits in Nairobi's visit then", first)
	}
	for who, actor := range map[string]identity.Actor{"a specialist": w.actor(w.claire, w.other, identity.RoleSpecialist), "a guest": {Person: w.salma, Seat: "x", Organization: w.clinic}} {
		if err := w.s.DecideZoneItem(ctx, actor, first.ID, KeepInstant); !errors.Is(err, ErrForbidden) {
			t.Errorf("%s: %v", who, err)
		}
	}
	if err := w.s.DecideZoneItem(ctx, w.actor(w.peter, w.other, identity.RoleCoordinator), first.ID, KeepWall); !errors.Is(err, ErrNotFound) {
		t.Errorf("another clinic's: %v", err)
	}
	before := w.zoneState()
	if err := w.s.DecideZoneItem(ctx, w.coordinator(), first.ID, KeepWall); !errors.Is(err, ErrSlotTaken) || w.zoneState() != before {
		t.Errorf("into a taken hour: %v", err)
	}
	if err := w.s.DecideZoneItem(ctx, w.coordinator(), first.ID, KeepInstant); err != nil {
		t.Fatal(err)
	}
	a, err := w.s.Appointment(ctx, w.coordinator(), AppointmentID(list[0].id))
	if err != nil || !a.StartAt.Equal(list[0].start) || a.StartLocal != (Wall{day, 9 * 60}) || a.Sequence != 0 || a.ZoneVersion != data.Version() {
		t.Errorf("kept instant: %+v, %v", a, err)
	}
	// Mia's own clock reads another hour: she is asked anew; Ben's reads what it read.
	if s, _ := a.Seat(mia); s.Response != NeedsAction {
		t.Errorf("Mia's answer %s", s.Response)
	}
	if s, _ := a.Seat(ben); s.Response != Accepted {
		t.Errorf("Ben's answer %s", s.Response)
	}
	if err := w.s.DecideZoneItem(ctx, w.coordinator(), first.ID, KeepInstant); !errors.Is(err, ErrNotFound) {
		t.Errorf("decided twice: %v", err)
	}
	// The second would now move onto the first; it can only keep its instant.
	if err := w.s.DecideZoneItem(ctx, w.coordinator(), conflict(list[1].id).ID, KeepWall); !errors.Is(err, ErrSlotTaken) {
		t.Errorf("the second: %v", err)
	}
}

func TestBackToBackVisitsMoveTogether(t *testing.T) {
	w := newWorld(t)
	old, data := oldZones(t), zoneinfo.Current()
	w.update(old)
	mia := w.person("Mia", "en", []string{"en"}, "America/Vancouver")
	var list []bookedVisit
	for i := range 6 {
		list = append(list, bookedVisit{zone: "America/Vancouver", anchor: mia, other: w.person("Q", "en", []string{"en"}, "Africa/Nairobi"),
			local: Wall{DateOf(2026, 12, 1), Minute(8*60 + 30*i)}})
	}
	w.booked(old, list)
	if done := w.update(data); done.Listed != 6 || done.Conflicts == 0 {
		t.Fatalf("%+v", done)
	}
	if done, left, err := w.s.DecideZoneItems(context.Background(), w.coordinator(), KeepWall, ""); err != nil || done != 6 || left != 0 {
		t.Errorf("%d settled, %d left, %v", done, left, err)
	}
}

func TestBookedTimeThatNewRulesJumpOverKeepsItsOffset(t *testing.T) {
	for _, c := range []struct{ zone, wall, want string }{
		{"America/New_York", "2026-03-08T02:30", "2026-03-08T07:30:00Z"},    // 03:30, as RFC 5545 §3.3.5 reads 02:30 EST
		{"Africa/Cairo", "2026-04-24T00:30", "2026-04-23T22:30:00Z"},        // 01:30
		{"America/New_York", "2026-11-01T01:30", "2026-11-01T05:30:00Z"},    // twice: the first
		{"America/Vancouver", "2026-12-01T08:00", "2026-12-01T15:00:00Z"},   // no gap
		{"Australia/Lord_Howe", "2026-10-04T02:10", "2026-10-03T15:40:00Z"}, // half an hour
	} {
		w, err := ParseWall(c.wall)
		if err != nil {
			t.Fatal(err)
		}
		if got := shifted(mustZone(t, zoneinfo.Current(), c.zone), w).Format(time.RFC3339); got != c.want {
			t.Errorf("%s in %s: %s, want %s", c.wall, c.zone, got, c.want)
		}
	}
}
