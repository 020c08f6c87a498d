package scheduling

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/scheduling/zoneinfo"
)

func TestHardnessWeighsTheClockAndDaysOff(t *testing.T) {
	day := DateOf(2026, 12, 2)
	work := map[Date]bool{day: true}
	for _, c := range []struct {
		why  string
		wall Wall
		min  int
		work map[Date]bool
		want int
	}{
		{"the middle of the day", Wall{day, 10 * 60}, 30, work, 0},
		{"early", Wall{day, 6 * 60}, 30, work, 30},
		{"from the day into the evening", Wall{day, 17*60 + 45}, 30, work, 15},
		{"night", Wall{day, 21 * 60}, 30, work, 90},
		{"over midnight into a day off", Wall{day, 23*60 + 45}, 30, work, 15*3 + 15*4},
		{"a day off", Wall{day + 3, 10 * 60}, 30, work, 30},
		{"nothing published", Wall{day + 3, 10 * 60}, 30, nil, 0},
	} {
		if got := hardness(c.wall, time.Duration(c.min)*time.Minute, c.work); got != c.want {
			t.Errorf("%s: %d, want %d", c.why, got, c.want)
		}
	}
}

// tookPlace lets a booked visit begin and end.
func (w *world) tookPlace(a Appointment) {
	w.t.Helper()
	w.admin(`update appointment set state = 'in_progress' where id = $1`, string(a.ID))
	for range 2 { // the second changes nothing
		err := w.audit.Write(context.Background(), audit.Scope{Organization: string(w.clinic)}, func(tx *audit.Tx) error {
			return w.s.Fulfill(context.Background(), tx, a.ID)
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

func TestLedgerIsWrittenOnceWhenAVisitTookPlace(t *testing.T) {
	w := newWorld(t)
	a := w.book()
	if n := w.count(`select count(*) from fair_hours_entry`); n != 0 {
		t.Fatalf("%d entries of a visit that is planned", n)
	}
	w.tookPlace(a)
	if n := w.count(`select count(*) from fair_hours_entry where appointment_id = $1`, string(a.ID)); n != len(a.Seats) {
		t.Errorf("%d entries, want one a seat", n)
	}
	for _, s := range a.Seats {
		zone := map[Role]string{RoleSpecialist: "America/Toronto", RoleInterpreter: "Asia/Beirut"}[s.Role]
		if zone == "" {
			zone = "Africa/Nairobi"
		}
		loc := mustZone(t, zoneinfo.Current(), zone)
		want := hardness(WallAt(loc, a.StartAt), a.Duration, nil)
		if got := w.count(`select weight from fair_hours_entry where person_id = $1`, string(s.Person)); got != want {
			t.Errorf("%s: %d, want %d by the clock of %s", s.Role, got, want, zone)
		}
	}
}

func TestFairestStartSparesWhoCarriedMostAndHidesNone(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	// Toronto offers its early hours as well: 07:00 is 15:00 in Nairobi.
	w.hours(w.claire, week("America/Toronto", "06:00", "12:00"))
	before, err := w.s.Search(ctx, w.otieno(), w.search())
	if err != nil || len(before.Slots) < 10 {
		t.Fatal(len(before.Slots), err)
	}
	if len(before.Fair) != 0 || len(before.Fairest) != 3 {
		t.Errorf("without history: %+v", before.Fair)
	}
	carry := func(who string, n int, weight int) {
		for i := range n {
			a := uuid.Must(uuid.NewV7()).String()
			at := w.clock().AddDate(0, 0, -1-i)
			w.admin(`insert into appointment (id, organization_id, kind, start_local, anchor_zone, anchor_person_id, start_at, duration, tzdata_version,
					ical_uid, ical_sequence, state, reason, tasks, note, version, created_at, changed_at)
				values ($1, $2, 'advise_physician', '2026-11-24 12:00', 'UTC', $4, $3, '30 min', '2026f', $5, 0, 'fulfilled', '', '[]', '', 1, now(), now())`,
				a, string(w.clinic), at, who, a)
			w.admin(`insert into fair_hours_entry (appointment_id, person_id, organization_id, start_at, zone, weight) values ($1, $2, $3, $4, 'UTC', $5)`,
				a, who, string(w.clinic), at, weight)
		}
	}
	carry(string(w.claire), 4, 90)
	carry(string(w.claire), 1, 0)
	carry(string(w.amina), 2, 0)
	after, err := w.s.Search(ctx, w.otieno(), w.search())
	if err != nil {
		t.Fatal(err)
	}
	if len(after.Slots) != len(before.Slots) {
		t.Errorf("%d slots, were %d", len(after.Slots), len(before.Slots))
	}
	if len(after.Fair) != 2 || after.Fair[0].Person != w.claire || after.Fair[0].Balance != 360 || after.Fair[0].Visits != 5 || after.Fair[0].Hard != 4 ||
		after.Fair[0].Name != "Prof. Claire Tremblay" {
		t.Errorf("%+v", after.Fair)
	}
	for _, s := range after.Fairest {
		for _, p := range s.Parties {
			if p.Person == w.claire && weight(int(p.Clock.Wall.Minute)) != 0 {
				t.Errorf("the fairest start is at %s in Toronto", p.Clock.Wall.Minute)
			}
		}
	}
	if !after.Slots[0].Start.Equal(before.Slots[0].Start) {
		t.Error("the list is in another order")
	}
	// What is older than 90 days counts no more.
	w.admin(`alter table fair_hours_entry disable trigger all`)
	w.admin(`update fair_hours_entry set start_at = start_at - interval '90 days'`)
	if old, err := w.s.Search(ctx, w.otieno(), w.search()); err != nil || len(old.Fair) != 0 {
		t.Errorf("%+v, %v", old.Fair, err)
	}
}

func TestHardnessIsTheSumOfItsMinutes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := Wall{Date(rapid.IntRange(20000, 20003).Draw(t, "date")), Minute(rapid.IntRange(0, 24*60).Draw(t, "minute"))}
		n := rapid.IntRange(0, 3*24*60).Draw(t, "minutes")
		var work map[Date]bool
		if rapid.Bool().Draw(t, "published") {
			work = map[Date]bool{}
			for d := Date(20000); d < 20008; d++ {
				work[d] = rapid.Bool().Draw(t, "works")
			}
		}
		want := 0
		for m := range n {
			at := int(w.Minute) + m
			want += weight(at % (24 * 60))
			if work != nil && !work[w.Date+Date(at/(24*60))] {
				want++
			}
		}
		if got := hardness(w, time.Duration(n)*time.Minute, work); got != want {
			t.Fatalf("hardness of %d minutes from %v is %d, want %d", n, w, got, want)
		}
	})
}

func TestReaderReadsEachClockAsClockAtDoes(t *testing.T) {
	zones := []string{"Africa/Nairobi", "America/Toronto", "Australia/Lord_Howe", "Africa/Casablanca", "Europe/Dublin", "Pacific/Apia", "UTC", "America/St_Johns"}
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		r, err := newReader(zone)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(rapid.Int64Range(-4_000_000_000, 4_000_000_000).Draw(t, "at"), 0).UTC()
		for range 8 {
			want, err := ClockAt(zone, at)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.at(at); got != want {
				t.Fatalf("%s at %v: %+v, ClockAt says %+v", zone, at, got, want)
			}
			at = at.Add(time.Duration(rapid.IntRange(-200, 200).Draw(t, "later")) * 24 * time.Hour / 2)
		}
	})
}
