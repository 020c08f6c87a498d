package scheduling

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/consilium-health/consilium/credentialing/identity"
)

func drawRest(t *rapid.T, base time.Time) *Rest {
	r := &Rest{Zone: rapid.SampledFrom(oddZones).Draw(t, "zone of days"), Interprets: rapid.Bool().Draw(t, "interprets"), Rules: RestRules{
		Between: minutes(int64(rapid.SampledFrom([]int{0, 300, 660, 720}).Draw(t, "between"))), InARow: minutes(int64(rapid.SampledFrom([]int{0, 60, 90, 120}).Draw(t, "row"))),
		Break: minutes(int64(rapid.SampledFrom([]int{0, 1, 10, 30}).Draw(t, "break"))), InterpretDay: minutes(int64(rapid.SampledFrom([]int{0, 60, 180, 360}).Draw(t, "day"))),
	}}
	at := base
	for range rapid.IntRange(0, 12).Draw(t, "sits") {
		at = at.Add(minutes(int64(rapid.SampledFrom([]int{0, 5, 10, 15, 60, 240, 241, 500, 659, 660, 1000}).Draw(t, "gap"))))
		end := at.Add(minutes(int64(rapid.IntRange(1, 120).Draw(t, "sits for"))))
		r.Sits = append(r.Sits, Sit{Range{at, end}, rapid.Bool().Draw(t, "interpreted then")})
		at = end
	}
	return r
}

func TestMaskOfRestEqualsThePlainComputation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		day := rapid.SampledFrom([]Date{DateOf(2026, 3, 7), DateOf(2026, 3, 28), DateOf(2026, 6, 3), DateOf(2026, 10, 24), DateOf(2026, 10, 31)}).Draw(t, "day")
		from := day.utc()
		rest := drawRest(t, from.Add(6*time.Hour))
		q := Query{From: from, To: from.AddDate(0, 0, 6), Duration: minutes(int64(rapid.IntRange(1, 150).Draw(t, "duration"))), Grid: 5 * time.Minute, Now: from.AddDate(0, 0, -1)}
		p := Party{ID: "a", Hours: OnCall("UTC").Hours, Rest: rest}
		for _, s := range rest.Sits {
			p.Busy = append(p.Busy, s.Range)
		}
		found, err := Find(q, []Party{p}, nil)
		if err != nil {
			t.Fatal(err)
		}
		offered := map[time.Time]bool{}
		for _, f := range found {
			offered[f.Start] = true
		}
		p.Rest = nil
		all, err := Find(q, []Party{p}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			faults, err := rest.faults(f.Start, f.Start.Add(q.Duration))
			if err != nil {
				t.Fatal(err)
			}
			if offered[f.Start] != (len(faults) == 0) {
				t.Fatalf("%v: offered %v, faults %v\nrules %+v\nsits %v", f.Start, offered[f.Start], faults, rest.Rules, rest.Sits)
			}
		}
		if len(found) > len(all) {
			t.Fatal("rest adds starts")
		}
	})
}

func TestRestIsKeptAtSearchAndBookingAndSetAsideWithAReason(t *testing.T) {
	w := newWorld(t)
	officer := w.actor(w.peter, w.clinic, identity.RoleOfficer)
	// Prof. Tremblay's evening: 19:00 to 20:00 in Toronto; then eleven hours.
	w.hours(w.claire, OnCall("America/Toronto"))
	w.hours(w.amina, OnCall("Africa/Nairobi"))
	w.hours(w.layla, OnCall("Asia/Beirut"))
	w.hours(w.salma, OnCall("Africa/Nairobi"))
	evening := time.Date(2026, 11, 26, 1, 30, 0, 0, time.UTC) // 20:30 on the 25th in Toronto
	if _, err := w.s.Book(ctx, w.otieno(), w.request(evening)); err != nil {
		t.Fatal(err)
	}
	morning := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC) // 07:00 on the 26th: ten hours later
	answer, err := w.s.Search(ctx, w.otieno(), SearchRequest{Case: w.ref, Kind: JointVideoVisit, Specialist: w.claire, From: morning, To: morning.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	for _, slot := range answer.Slots {
		if slot.Start.Before(evening.Add(30*time.Minute + 11*time.Hour)) {
			t.Errorf("%v is offered after %v", slot.Start, slot.Start.Sub(evening.Add(30*time.Minute)))
		}
	}
	none, err := w.s.Search(ctx, w.otieno(), SearchRequest{Case: w.ref, Kind: JointVideoVisit, Specialist: w.claire, From: morning, To: morning.Add(45 * time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	if len(none.Slots) != 0 || len(none.WhyNot) == 0 || none.WhyNot[0].Limit != LimitRest || none.WhyNot[0].Person != w.claire {
		t.Fatalf("why not: %+v", none.WhyNot)
	}
	// The smallest relaxation: the last of the starts, 07:15.
	if r := none.WhyNot[0]; !r.First.Equal(morning.Add(15*time.Minute)) || r.Refusal.Rest == nil || r.Refusal.Rest.Rule != RestBetween ||
		r.Refusal.Rest.Asked != 11*time.Hour || r.Refusal.Rest.Would != 10*time.Hour+15*time.Minute {
		t.Errorf("relaxation %+v, %+v", r, r.Refusal)
	}
	var refusal *Refusal
	req := w.request(morning)
	if _, err := w.s.Book(ctx, w.otieno(), req); !errors.As(err, &refusal) || refusal.Limit != LimitRest || refusal.Person != w.claire || refusal.Rest == nil || refusal.Rest.Would != 10*time.Hour {
		t.Fatalf("book within the rest: %v, %+v", err, refusal)
	}
	req.Override = "x"
	if _, err := w.s.Book(ctx, w.otieno(), req); !errors.Is(err, ErrInvalidRequest) {
		t.Errorf("override without a reason: %v", err)
	}
	req.Override = "agreed with the professor by telephone"
	a, err := w.s.Book(ctx, w.otieno(), req)
	if err != nil {
		t.Fatal(err)
	}
	read, err := w.s.Appointment(ctx, w.otieno(), a.ID)
	if err != nil || read.Override != req.Override || len(read.Overridden) != 1 || read.Overridden[0].Limit != LimitRest || read.Overridden[0].Person != w.claire {
		t.Errorf("%v: %q, %+v", err, read.Override, read.Overridden)
	}
	if n := w.count(`select count(*) from audit_detail d join audit_leaf l on l.index = d.leaf_index where l.act = 'appointment.booked' and convert_from(d.detail, 'utf8')::jsonb->>'override' = $1`, req.Override); n != 1 {
		t.Errorf("%d events with the reason, want 1", n)
	}
	// What never yields: seats and licenses.
	if _, err := w.s.Book(ctx, w.otieno(), BookRequest{Key: uuid.NewString(), Case: w.ref, Kind: JointVideoVisit, Specialist: w.claire, Start: morning, Override: req.Override}); !errors.Is(err, ErrSlotTaken) {
		t.Errorf("override of a seat: %v", err)
	}
	w.rules.deny[w.claire] = []Range{{morning.Add(24 * time.Hour), morning.Add(48 * time.Hour)}}
	later := w.request(morning.Add(26 * time.Hour))
	later.Override = req.Override
	if _, err := w.s.Book(ctx, w.otieno(), later); !errors.As(err, &refusal) || refusal.Limit != LimitLicense {
		t.Errorf("override of a license: %v", err)
	}
	// Rules are the clinic's.
	if _, err := w.s.SetRest(ctx, w.otieno(), RestRules{}); !errors.Is(err, ErrForbidden) {
		t.Errorf("a physician sets rules: %v", err)
	}
	if _, err := w.s.SetRest(ctx, officer, RestRules{Between: 25 * time.Hour}); !errors.Is(err, ErrInvalidRequest) {
		t.Errorf("twenty-five hours: %v", err)
	}
	set, err := w.s.SetRest(ctx, officer, RestRules{Between: 9 * time.Hour})
	if err != nil || set.Version != 1 {
		t.Fatal(set, err)
	}
	if _, err := w.s.SetRest(ctx, officer, RestRules{}); !errors.Is(err, ErrVersion) {
		t.Errorf("a stale version: %v", err)
	}
	if got, err := w.s.RestOf(ctx, w.otieno()); err != nil || got != set {
		t.Errorf("rules %+v, %v, want %+v", got, err, set)
	}
}

func TestTwoVisitsThatKeepTheRestEachDoNotBreakItTogether(t *testing.T) {
	w := newWorld(t)
	for _, id := range []identity.PersonID{w.claire, w.amina, w.layla, w.salma} {
		w.hours(id, OnCall("UTC"))
	}
	for round := range 10 {
		day := time.Date(2026, 12, 1+2*round, 9, 0, 0, 0, time.UTC)
		// An hour and a half in a row is the most: of four half hours three can be.
		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			wg.Add(1)
			go func() {
				defer wg.Done()
				_, errs[i] = w.s.Book(ctx, w.otieno(), w.request(day.Add(time.Duration(i)*30*time.Minute)))
			}()
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			var refusal *Refusal
			switch {
			case err == nil:
				won++
			case !errors.As(err, &refusal) && !errors.Is(err, ErrSlotTaken):
				t.Fatal(err)
			}
		}
		if won > 3 || won < 2 {
			t.Fatalf("round %d: %d of four half hours in a row are booked", round, won)
		}
	}
}

// A clinic that asks for no rest reads no further around a search than the longest buffer:
// that far it must, or what is offered cannot be booked.
func TestBuffersAreKeptWithoutRulesOfRest(t *testing.T) {
	w := newWorld(t)
	if _, err := w.s.SetRest(ctx, w.actor(w.claire, w.clinic, identity.RoleOfficer), RestRules{}); err != nil {
		t.Fatal(err)
	}
	before := w.book()
	claire := OnCall("UTC")
	claire.BufferBefore = maxBuffer
	w.hours(w.claire, claire)
	for _, id := range before.Seats {
		if id.Person != w.claire {
			w.hours(id.Person, OnCall("UTC"))
		}
	}
	search := w.search()
	search.From, search.To = before.End().Add(time.Hour), before.End().Add(12*time.Hour)
	answer, err := w.s.Search(ctx, w.otieno(), search)
	if err != nil || len(answer.Slots) == 0 {
		t.Fatalf("nothing is offered: %v, %+v", err, answer.WhyNot)
	}
	if got, want := answer.Slots[0].Start, before.End().Add(maxBuffer); got.Before(want) {
		t.Errorf("%v is offered, four hours before it somebody still sits until %v", got, before.End())
	}
	if _, err := w.s.Book(ctx, w.otieno(), w.request(answer.Slots[0].Start)); err != nil {
		t.Errorf("what is offered cannot be booked: %v", err)
	}
}
