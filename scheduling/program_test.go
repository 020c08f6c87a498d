package scheduling

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	goical "github.com/emersion/go-ical"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// staffed is a directory that also knows who works at the clinic.
type staffed struct {
	*directory
	hosts map[identity.Role][]identity.PersonID
}

var _ Staff = (*staffed)(nil)

func (d *staffed) PeopleOfTx(ctx context.Context, tx *audit.Tx, _ identity.OrganizationID, r identity.Role) ([]identity.Person, error) {
	people, err := d.PeopleTx(ctx, tx, d.hosts[r]...)
	var out []identity.Person
	for _, id := range d.hosts[r] {
		out = append(out, people[id])
	}
	return out, err
}

// presenceWorld is the world with Dr Otieno and Mr Mwangi at the clinic, told of presences.
func presenceWorld(t *testing.T) *world {
	w := newWorld(t)
	var err error
	w.s, err = New(Config{DB: w.audit, Credentialing: w.rules, Cases: w.cases, Origin: "https://consilium.example:8443",
		Identity: &staffed{w.dir, map[identity.Role][]identity.PersonID{identity.RoleLocalPhysician: {w.amina}, identity.RoleCoordinator: {w.peter}}}})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) tremblay() identity.Actor {
	return w.actor(w.claire, w.other, identity.RoleSpecialist)
}

func dateOf(y int, m time.Month, d int) *Date {
	out := DateOf(y, m, d)
	return &out
}

// wednesdays is each Wednesday from March to June 2027 on a clock.
func (w *world) wednesdays(zone string, start, end Minute) OfferRequest {
	return OfferRequest{Clinic: w.clinic, Zone: zone, Rule: Rule{Freq: Weekly, Days: []Weekday{Wednesday}, Start: start, End: end,
		From: dateOf(2027, time.March, 1), Until: dateOf(2027, time.June, 30)}}
}

func clockOf(t *testing.T, zone string, at time.Time) string {
	t.Helper()
	c, err := ClockAt(zone, at)
	if err != nil {
		t.Fatal(err)
	}
	return c.Wall.Minute.String()
}

func wallOf(t *testing.T, s string) Wall {
	t.Helper()
	w, err := ParseWall(s)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestPresenceKeepsTheAnchorClockAndMovesOnTheOther(t *testing.T) {
	for _, c := range []struct {
		name, anchor string
		start        Minute
		want         map[string][2]string // window: Toronto, Nairobi
		moves        string               // the zone in which the hour moves
	}{
		{"anchored in Toronto", "America/Toronto", 9 * 60, map[string][2]string{"2027-03-10": {"09:00", "17:00"}, "2027-03-17": {"09:00", "16:00"}, "2027-06-30": {"09:00", "16:00"}}, "Africa/Nairobi"},
		{"anchored in Nairobi", "Africa/Nairobi", 17 * 60, map[string][2]string{"2027-03-10": {"09:00", "17:00"}, "2027-03-17": {"10:00", "17:00"}, "2027-06-30": {"10:00", "17:00"}}, "America/Toronto"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := presenceWorld(t)
			p, err := w.s.Offer(ctx, w.tremblay(), w.wednesdays(c.anchor, c.start, c.start+120))
			if err != nil {
				t.Fatal(err)
			}
			read, err := w.s.Presence(ctx, w.otieno(), p.ID)
			if err != nil || len(read.Windows) != 18 {
				t.Fatalf("%d windows, %v, want the 18 Wednesdays", len(read.Windows), err)
			}
			for _, o := range read.Windows {
				want, ok := c.want[o.Occurrence.Date.String()]
				if got := [2]string{clockOf(t, "America/Toronto", o.Start), clockOf(t, "Africa/Nairobi", o.Start)}; ok && got != want {
					t.Errorf("%s shows %v, want %v", o.Occurrence, got, want)
				}
				if o.End.Sub(o.Start) != 2*time.Hour {
					t.Errorf("%s lasts %v", o.Occurrence, o.End.Sub(o.Start))
				}
			}
			for _, zone := range []string{"America/Toronto", "Africa/Nairobi"} {
				moves, err := read.HourMoves(zone)
				if err != nil {
					t.Fatal(err)
				}
				if zone != c.moves && len(moves) != 0 || zone == c.moves && (len(moves) != 1 || moves[0].At.Local.Date.String() != "2027-03-17") {
					t.Errorf("on the clock of %s the hour moves at %v", zone, moves)
				}
			}
			if n := w.count(`select count(*) from seat`); n != 0 {
				t.Errorf("%d seats: a window seats nobody", n)
			}
			if n := w.count(`select count(*) from determination`); n != 0 {
				t.Errorf("%d determinations: a window far ahead is not judged", n)
			}
		})
	}
}

func TestWindowAtATimeThatDoesNotExistIsRefusedWithTheNext(t *testing.T) {
	w := presenceWorld(t)
	req := w.wednesdays("America/Toronto", 2*60+30, 4*60)
	req.Rule.Days = []Weekday{Sunday}
	var gap *WallRefusal
	if _, err := w.s.Offer(ctx, w.tremblay(), req); !errors.As(err, &gap) {
		t.Fatalf("%v, want *WallRefusal", err)
	}
	if gap.Wall.String() != "2027-03-14T02:30" || gap.Check.Kind != WallGap || gap.Check.Next.String() != "2027-03-14T03:00" || !gap.Check.NextAt.Equal(time.Date(2027, 3, 14, 7, 0, 0, 0, time.UTC)) {
		t.Errorf("refusal %+v", gap)
	}
	if n := w.count(`select (select count(*) from presence) + (select count(*) from presence_window)`); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

func TestSeriesThatMakesNoSenseIsRefused(t *testing.T) {
	w := presenceWorld(t)
	for name, c := range map[string]struct {
		actor identity.Actor
		spoil func(*OfferRequest)
		want  error
	}{
		"no end":              {w.tremblay(), func(r *OfferRequest) { r.Rule.Until = nil }, ErrSeriesEnd},
		"beyond a year":       {w.tremblay(), func(r *OfferRequest) { r.Rule.Until = dateOf(2027, time.December, 31) }, ErrSeriesEnd},
		"in the past":         {w.tremblay(), func(r *OfferRequest) { r.Rule.From = dateOf(2026, time.November, 2) }, ErrPast},
		"a minute":            {w.tremblay(), func(r *OfferRequest) { r.Rule.End = r.Rule.Start + 1 }, ErrWindowLength},
		"all day":             {w.tremblay(), func(r *OfferRequest) { r.Rule.End = r.Rule.Start }, ErrWindowLength},
		"no such zone":        {w.tremblay(), func(r *OfferRequest) { r.Zone = "America/Torronto" }, ErrUnknownZone},
		"no weekday":          {w.tremblay(), func(r *OfferRequest) { r.Rule.Days = nil }, ErrInvalidRequest},
		"no such clinic":      {w.tremblay(), func(r *OfferRequest) { r.Clinic = identity.OrganizationID(uuid.NewString()) }, ErrNotFound},
		"a physician offers":  {w.otieno(), func(*OfferRequest) {}, ErrForbidden},
		"a specialist's link": {identity.Actor{Person: w.claire, Seat: uuid.NewString(), Roles: []identity.Role{identity.RoleSpecialist}}, func(*OfferRequest) {}, ErrForbidden},
	} {
		req := w.wednesdays("America/Toronto", 9*60, 11*60)
		c.spoil(&req)
		if _, err := w.s.Offer(ctx, c.actor, req); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if n := w.count(`select (select count(*) from presence) + (select count(*) from presence_window)`); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

func TestSeriesIsTakenWholeOrNotAtAllAndSaysWhatIsInTheWay(t *testing.T) {
	w := presenceWorld(t)
	if _, err := w.s.Offer(ctx, w.tremblay(), OfferRequest{Clinic: w.other, Zone: "America/Toronto", Rule: Rule{Freq: Monthly, Nth: 2, Days: []Weekday{Wednesday}, Start: 10 * 60, End: 12 * 60,
		From: dateOf(2027, time.March, 1), Until: dateOf(2027, time.May, 31)}}); err != nil {
		t.Fatal(err)
	}
	w.setClock(time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC))
	w.rules.qualified[w.layla] = time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC)
	visit, err := w.s.Book(ctx, w.otieno(), w.request(time.Date(2027, 3, 17, 13, 0, 0, 0, time.UTC)))
	if err != nil {
		t.Fatal(err)
	}
	req := w.wednesdays("America/Toronto", 9*60, 11*60)
	req.Rule.From = dateOf(2027, time.March, 2)
	var conflict *SeriesConflict
	if _, err := w.s.Offer(ctx, w.tremblay(), req); !errors.As(err, &conflict) {
		t.Fatalf("%v, want *SeriesConflict", err)
	}
	var got []string
	for _, c := range conflict.Taken {
		got = append(got, c.Local.Date.String()+" "+string(c.Cause))
		req.Skip = append(req.Skip, c.Local.Date)
	}
	want := []string{"2027-03-10 presence", "2027-03-17 seat", "2027-04-14 presence", "2027-05-12 presence"}
	if !slices.Equal(got, want) {
		t.Errorf("conflicts %v, want %v", got, want)
	}
	if n := w.count(`select count(*) from presence_window`); n != 3 {
		t.Errorf("%d windows, want the 3 of before", n)
	}
	p, err := w.s.Offer(ctx, w.tremblay(), req) // the free ones, by a second request
	if err != nil || len(p.Windows) != 14 {
		t.Errorf("%d windows, %v, want 14", len(p.Windows), err)
	}
	if _, err := w.s.Appointment(ctx, w.otieno(), visit.ID); err != nil {
		t.Error(err)
	}
}

func TestVisitsAreBookedIntoWindowsOfTheClinicAlone(t *testing.T) {
	w := presenceWorld(t)
	w.hours(w.claire, Availability{Hours: Hours{Zone: "America/Toronto"}}) // no hours of her own
	req := w.wednesdays("America/Toronto", 9*60, 10*60)
	req.Rule.From, req.Rule.Until = dateOf(2026, time.November, 30), dateOf(2026, time.December, 9)
	p, err := w.s.Offer(ctx, w.tremblay(), req)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := req
	elsewhere.Clinic, elsewhere.Rule.Days = w.other, []Weekday{Thursday}
	if _, err := w.s.Offer(ctx, w.tremblay(), elsewhere); err != nil {
		t.Fatal(err)
	}
	search := w.search()
	search.Kind, search.To = Advice, worldStart.AddDate(0, 0, 20)
	answer, err := w.s.Search(ctx, w.otieno(), search)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range answer.Slots {
		got = append(got, x.Start.Format("01-02 15:04"))
	}
	// 09:00 to 10:00 Toronto is 17:00 to 18:00 Nairobi: Dr Otieno's day ends at 17:00.
	if len(got) != 0 {
		t.Errorf("times %v outside of the physician's hours", got)
	}
	w.hours(w.amina, week("Africa/Nairobi", "08:00", "20:00"))
	if answer, err = w.s.Search(ctx, w.otieno(), search); err != nil {
		t.Fatal(err)
	}
	for _, x := range answer.Slots {
		got = append(got, x.Start.Format("01-02 15:04"))
	}
	if want := []string{"12-02 14:00", "12-02 14:15", "12-02 14:30"}; len(got) < 3 || !slices.Equal(got[:3], want) {
		t.Errorf("times %v, want those of the window: %v", got, want)
	}
	book := w.request(p.Windows[0].Start)
	book.Kind = Advice
	w.rules.deny[w.claire] = []Range{{p.Windows[0].Start, p.Windows[0].End}}
	var refusal *Refusal
	if _, err := w.s.Book(ctx, w.otieno(), book); !errors.As(err, &refusal) || refusal.Limit != LimitLicense {
		t.Errorf("what she may do is judged when a visit is booked: %v", err)
	}
	delete(w.rules.deny, w.claire)
	visit, err := w.s.Book(ctx, w.otieno(), book)
	if err != nil {
		t.Fatal(err)
	}
	used := WindowRequest{Presence: p.ID, Version: p.Version, Occurrence: p.Windows[0].Occurrence}
	if _, err := w.s.CancelWindow(ctx, w.tremblay(), used); !errors.Is(err, ErrWindowUsed) {
		t.Errorf("cancel a window with a visit: %v, want ErrWindowUsed", err)
	}
	if _, err := w.s.MoveWindow(ctx, w.tremblay(), used, wallOf(t, "2026-12-03T13:00"), 0); !errors.Is(err, ErrWindowUsed) {
		t.Errorf("move a window with a visit: %v, want ErrWindowUsed", err)
	}
	if _, err := w.s.Cancel(ctx, w.otieno(), visit.ID, visit.Version, ReasonResolved); err != nil {
		t.Fatal(err)
	}
	if _, err := w.s.CancelWindow(ctx, w.tremblay(), used); err != nil {
		t.Fatal(err)
	}
	if answer, err = w.s.Search(ctx, w.otieno(), search); err != nil || len(answer.Slots) == 0 || answer.Slots[0].Start.Format("01-02 15:04") != "12-09 14:00" {
		t.Errorf("times %+v, %v after the first window was canceled", answer.Slots, err)
	}
}

func TestMovedWindowKeepsItsNameAndGoesIntoTheCalendarFile(t *testing.T) {
	w := presenceWorld(t)
	p, err := w.s.Offer(ctx, w.tremblay(), w.wednesdays("America/Toronto", 9*60, 11*60))
	if err != nil {
		t.Fatal(err)
	}
	of := wallOf(t, "2027-03-24T09:00")
	req := WindowRequest{Presence: p.ID, Version: p.Version, Occurrence: of}
	for name, c := range map[string]struct {
		actor identity.Actor
		req   WindowRequest
		to    string
		want  error
	}{
		"an old version":       {w.tremblay(), WindowRequest{Presence: p.ID, Version: 7, Occurrence: of}, "2027-03-25T10:00", ErrVersion},
		"no such occurrence":   {w.tremblay(), WindowRequest{Presence: p.ID, Version: 1, Occurrence: wallOf(t, "2027-03-25T09:00")}, "2027-03-25T10:00", ErrNotFound},
		"onto its neighbor":    {w.tremblay(), req, "2027-03-31T10:00", ErrSlotTaken},
		"where it is":          {w.tremblay(), req, "2027-03-24T09:00", ErrInvalidRequest},
		"into the past":        {w.tremblay(), req, "2026-11-02T09:00", ErrPast},
		"the interpreter":      {w.aziz(), req, "2027-03-25T10:00", ErrNotFound},
		"another's specialist": {w.actor(w.yusuf, w.other, identity.RoleSpecialist), req, "2027-03-25T10:00", ErrNotFound},
	} {
		if _, err := w.s.MoveWindow(ctx, c.actor, c.req, wallOf(t, c.to), 0); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	var gap *WallRefusal
	if _, err := w.s.MoveWindow(ctx, w.tremblay(), req, wallOf(t, "2027-03-14T02:30"), 0); !errors.As(err, &gap) || gap.Check.Next.String() != "2027-03-14T03:00" {
		t.Errorf("to a time that does not exist: %v", err)
	}
	moved, err := w.s.MoveWindow(ctx, w.otieno(), req, wallOf(t, "2027-03-25T10:00"), 0) // the clinic arranges
	if err != nil {
		t.Fatal(err)
	}
	if o, ok := moved.Window(of); !ok || o.State != WindowMoved || o.StartLocal.String() != "2027-03-25T10:00" || !o.Start.Equal(time.Date(2027, 3, 25, 14, 0, 0, 0, time.UTC)) {
		t.Errorf("window %+v", o)
	}
	off := WindowRequest{Presence: p.ID, Version: moved.Version, Occurrence: wallOf(t, "2027-04-14T09:00")}
	if _, err := w.s.CancelWindow(ctx, w.tremblay(), off); err != nil {
		t.Fatal(err)
	}
	letter, err := w.s.Letter(ctx, w.otieno(), p.ID, "", w.amina)
	if err != nil {
		t.Fatal(err)
	}
	file, _, err := letter.Calendar("Presence", "", "en", worldStart)
	if err != nil {
		t.Fatal(err)
	}
	cal, err := goical.NewDecoder(bytes.NewReader(file)).Decode()
	if err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	events := cal.Events()
	if len(cal.Children) != 3 || cal.Children[0].Name != goical.CompTimezone || len(events) != 2 {
		t.Fatalf("%d components\n%s", len(cal.Children), file)
	}
	uids := map[string]bool{}
	for _, e := range events {
		uid, _ := e.Props.Text(goical.PropUID)
		uids[uid] = true
	}
	if len(uids) != 1 || !uids[string(p.ID)+"@consilium.example"] {
		t.Errorf("uids %v, want one", uids)
	}
	id := events[1].Props.Get(goical.PropRecurrenceID)
	if id == nil || id.Value != "20270324T090000" || events[1].Props.Get(goical.PropDateTimeStart).Value != "20270325T100000" || events[1].Props.Get(goical.PropSequence).Value != "1" {
		t.Errorf("moved occurrence %+v", events[1].Props)
	}
	set, err := events[0].RecurrenceSet(time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	for i, at := range set.All() {
		if i == 1 && at.Format("2006-01-02T15:04") != "2027-03-10T09:00" {
			t.Errorf("second occurrence %v", at)
		}
		if at.Format("2006-01-02") == "2027-04-14" {
			t.Error("the canceled occurrence is in the file")
		}
	}
	if n := len(set.All()); n != 17 {
		t.Errorf("%d occurrences in the file, want 17", n)
	}
	if strings.Contains(string(file), "Idris") {
		t.Error("the file speaks of a patient")
	}
}

func TestPeopleAreToldBeforehandThatTheHourMoves(t *testing.T) {
	for _, c := range []struct {
		anchor string
		start  Minute
		told   int // how many people
	}{{"America/Toronto", 9 * 60, 2}, {"Africa/Nairobi", 17 * 60, 1}} {
		w := presenceWorld(t)
		var told [][]string
		w.audit = audit.New(audit.Config{Pool: w.db.Pool, Clock: w.clock, Tell: tellTo(&told)})
		w.dir.db = w.audit
		var err error
		w.s, err = New(Config{DB: w.audit, Credentialing: w.rules, Cases: w.cases, Origin: "https://consilium.example:8443", Identity: w.s.people})
		if err != nil {
			t.Fatal(err)
		}
		p, err := w.s.Offer(ctx, w.tremblay(), w.wednesdays(c.anchor, c.start, c.start+120))
		if err != nil {
			t.Fatal(err)
		}
		told = nil
		for _, step := range []struct {
			now  time.Time
			want int
		}{
			{time.Date(2027, 3, 2, 6, 0, 0, 0, time.UTC), 0}, // 10 March is within two weeks, and nothing moves then
			{time.Date(2027, 3, 4, 6, 0, 0, 0, time.UTC), 1}, // 17 March
			{time.Date(2027, 3, 4, 7, 0, 0, 0, time.UTC), 0}, // not twice
			{time.Date(2027, 3, 11, 6, 59, 59, 0, time.UTC), 0},
			{time.Date(2027, 3, 11, 7, 0, 0, 0, time.UTC), 1}, // 72 hours before 14 March, 02:00 in Toronto
			{time.Date(2027, 3, 11, 7, 1, 0, 0, time.UTC), 0},
			{time.Date(2027, 3, 20, 6, 0, 0, 0, time.UTC), 0},
		} {
			w.setClock(step.now)
			n, err := w.s.TellHourMoves(ctx)
			if err != nil || n != step.want {
				t.Errorf("%s on %v: %d windows move, %v, want %d", c.anchor, step.now, n, err, step.want)
			}
		}
		if len(told) != 2 || len(told[0]) != c.told || !slices.Equal(slices.Sorted(slices.Values(told[0])), slices.Sorted(slices.Values(told[1]))) {
			t.Fatalf("%s: told %v, want %d people twice", c.anchor, told, c.told)
		}
		reader, zone := w.amina, "Africa/Nairobi"
		if c.told == 1 {
			reader, zone = w.claire, "America/Toronto"
		}
		if !slices.Contains(told[0], string(reader)) {
			t.Errorf("%s: told %v, want %s", c.anchor, told[0], reader)
		}
		w.setClock(time.Date(2027, 3, 4, 7, 0, 0, 0, time.UTC))
		letter, err := w.s.Letter(ctx, identity.System("mail", w.clinic), p.ID, "2027-03-17T"+c.start.String(), reader)
		if err != nil || letter.Zone != zone || len(letter.Moves) != 1 || letter.Moves[0].At.Local.Date.String() != "2027-03-17" {
			t.Errorf("letter %+v, %v", letter, err)
		}
	}
}

func TestWhoIsToldLateOfAnHourThatMovesIsToldOnce(t *testing.T) {
	ctx := context.Background()
	w := presenceWorld(t)
	var told [][]string
	w.audit = audit.New(audit.Config{Pool: w.db.Pool, Clock: w.clock, Tell: tellTo(&told)})
	w.dir.db = w.audit
	var err error
	w.s, err = New(Config{DB: w.audit, Credentialing: w.rules, Cases: w.cases, Origin: "https://consilium.example:8443", Identity: w.s.people})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.s.Offer(ctx, w.tremblay(), w.wednesdays("America/Toronto", 9*60, 11*60)); err != nil {
		t.Fatal(err)
	}
	// The service was down for the two weeks: what is left of the notice is one letter.
	w.setClock(time.Date(2027, 3, 10, 14, 0, 0, 0, time.UTC))
	for i, want := range []int{1, 0} {
		if n, err := w.s.TellHourMoves(ctx); err != nil || n != want {
			t.Errorf("look %d: %d windows, %v, want %d", i, n, err, want)
		}
	}
	w.setClock(time.Date(2027, 3, 12, 6, 0, 0, 0, time.UTC))
	if n, err := w.s.TellHourMoves(ctx); err != nil || n != 0 {
		t.Errorf("three days before: %d, %v, want none", n, err)
	}
}

func TestChangeOfAClockIsFoundBetweenTwoOccurrences(t *testing.T) {
	at := func(text string) time.Time {
		out, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, c := range []struct {
		name, before, after string
		zones               []string
		change, again       string
	}{
		{"the clock of the anchor", "2027-03-10T14:00:00Z", "2027-03-17T13:00:00Z", []string{"America/Toronto", "Africa/Nairobi"}, "2027-03-14T07:00:00Z", "2027-03-11T07:00:00Z"},
		{"the clock of the reader", "2027-03-10T14:00:00Z", "2027-03-17T14:00:00Z", []string{"Africa/Nairobi", "America/Toronto"}, "2027-03-14T07:00:00Z", "2027-03-11T07:00:00Z"},
		{"the first of two", "2027-03-03T14:00:00Z", "2027-03-31T13:00:00Z", []string{"Europe/Berlin", "America/Toronto"}, "2027-03-14T07:00:00Z", "2027-03-28T13:00:00Z"},
		{"none", "2027-03-03T14:00:00Z", "2027-03-31T13:00:00Z", []string{"Africa/Nairobi", "Asia/Kathmandu"}, "2027-03-31T13:00:00Z", "2027-03-28T13:00:00Z"},
	} {
		m := HourMove{Before: Occurrence{Start: at(c.before)}, At: Occurrence{Start: at(c.after)}}
		got, err := m.change(c.zones...)
		if err != nil || !got.Equal(at(c.change)) {
			t.Errorf("%s: changes %v, %v, want %s", c.name, got, err, c.change)
		}
		if again := tellAgain(m.At.Start, got); !again.Equal(at(c.again)) {
			t.Errorf("%s: told again %v, want %s", c.name, again, c.again)
		}
	}
}

// tellTo collects who is told of an hour that moves.
func tellTo(told *[][]string) audit.Tell {
	return func(_ *pgx.Batch, events []audit.Event) error {
		for _, e := range events {
			if e.Act == "presence.hour_moves" {
				*told = append(*told, e.Tell)
			}
		}
		return nil
	}
}
