package scheduling

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func expanded(t *testing.T, h Hours, from, to string) []string {
	t.Helper()
	a, err := time.Parse(time.DateOnly, from)
	if err != nil {
		t.Fatal(err)
	}
	b, err := time.Parse(time.DateOnly, to)
	if err != nil {
		t.Fatal(err)
	}
	list, err := h.Expand(a, b)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range list {
		out = append(out, r.Start.Format("01-02 15:04")+" "+r.End.Format("15:04"))
	}
	return out
}

func mornings(zone string) Hours {
	return Hours{Zone: zone, Rules: []Rule{{Freq: Weekly, Days: []Weekday{Monday, Tuesday, Wednesday}, Start: 9 * 60, End: 12 * 60}}}
}

func TestHoursOfATripAreThoseOfTheClockThere(t *testing.T) {
	h := mornings("America/Toronto")
	h.Trips = []Trip{{From: DateOf(2027, time.May, 4), Until: DateOf(2027, time.May, 5), Zone: "Africa/Nairobi"}}
	want := []string{"05-03 13:00 16:00", "05-04 06:00 09:00", "05-05 06:00 09:00", "05-10 13:00 16:00"}
	if got := expanded(t, h, "2027-05-02", "2027-05-11"); !slices.Equal(got, want) {
		t.Errorf("windows %v, want %v", got, want)
	}
	h.Trips[0].Windows = [][2]Minute{{14 * 60, 15 * 60}, {20 * 60, 60}} // the second ends the day after
	want = []string{"05-03 13:00 16:00", "05-04 11:00 12:00", "05-04 17:00 22:00", "05-05 11:00 12:00", "05-05 17:00 22:00", "05-10 13:00 16:00"}
	if got := expanded(t, h, "2027-05-02", "2027-05-11"); !slices.Equal(got, want) {
		t.Errorf("windows %v, want %v", got, want)
	}
	h.Exdates = []Date{DateOf(2027, time.May, 4)}
	h.Overrides = []Override{{Date: DateOf(2027, time.May, 5), Windows: [][2]Minute{{8 * 60, 9 * 60}}}}
	want = []string{"05-03 13:00 16:00", "05-05 05:00 06:00", "05-10 13:00 16:00"}
	if got := expanded(t, h, "2027-05-02", "2027-05-11"); !slices.Equal(got, want) {
		t.Errorf("a day off and a day of its own there: %v, want %v", got, want)
	}
}

func TestTripsThatMakeNoSenseAreRefused(t *testing.T) {
	d := func(n int) Date { return DateOf(2027, time.May, n) }
	for name, trips := range map[string][]Trip{
		"no such zone":     {{From: d(1), Until: d(2), Zone: "Africa/Nairoby"}},
		"ends before":      {{From: d(2), Until: d(1), Zone: "Africa/Nairobi"}},
		"two on one date":  {{From: d(1), Until: d(4), Zone: "Africa/Nairobi"}, {From: d(4), Until: d(5), Zone: "Europe/Berlin"}},
		"no time of a day": {{From: d(1), Until: d(2), Zone: "Africa/Nairobi", Windows: [][2]Minute{{0, 1441}}}},
	} {
		h := mornings("America/Toronto")
		h.Trips = trips
		if err := (Availability{Hours: h}).Validate(); !errors.Is(err, ErrInvalidAvailability) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A trip to the clock one is on changes nothing, and windows of a trip are those of
// the same rules with that zone.
func TestTripIsTheSameAsRulesOfThatZone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom([]string{"America/Toronto", "Africa/Nairobi", "Pacific/Apia", "Pacific/Pago_Pago", "Australia/Lord_Howe", "Europe/Berlin"})
		home, there := zone.Draw(t, "home"), zone.Draw(t, "there")
		first := DateOf(2027, time.Month(rapid.IntRange(1, 12).Draw(t, "month")), rapid.IntRange(1, 28).Draw(t, "day"))
		until := first + Date(rapid.IntRange(0, 20).Draw(t, "days"))
		start := Minute(rapid.IntRange(0, 1439).Draw(t, "start"))
		end := Minute(rapid.IntRange(0, 1440).Draw(t, "end"))
		days := EveryDay()[:rapid.IntRange(1, 7).Draw(t, "weekdays")]
		before, after := first-1, until+1
		trip := Hours{Zone: home, Rules: []Rule{{Freq: Weekly, Days: days, Start: start, End: end}}, Trips: []Trip{{From: first, Until: until, Zone: there}}}
		same := Hours{Zone: home, Rules: []Rule{
			{Freq: Weekly, Days: days, Start: start, End: end, Until: &before},
			{Freq: Weekly, Days: days, Start: start, End: end, From: &first, Until: &until, Zone: there},
			{Freq: Weekly, Days: days, Start: start, End: end, From: &after},
		}}
		from, to := first.utc().AddDate(0, 0, -9), until.utc().AddDate(0, 0, 9)
		a, err := trip.Expand(from, to)
		if err != nil {
			t.Fatal(err)
		}
		b, err := same.Expand(from, to)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(a, b) {
			t.Fatalf("trip %v, rules %v", a, b)
		}
	})
}

func TestTimeThatComesTwiceOnADateMayMeanTheSecond(t *testing.T) {
	day := DateOf(2027, time.November, 7) // Toronto goes back from 02:00 EDT to 01:00 EST
	for _, c := range []struct {
		later  bool
		window [2]Minute
		want   string
	}{
		{false, [2]Minute{90, 180}, "11-07 05:30 08:00"},
		{true, [2]Minute{90, 180}, "11-07 06:30 08:00"},
		{false, [2]Minute{75, 105}, "11-07 05:15 05:45"},
		{true, [2]Minute{75, 105}, "11-07 06:15 06:45"},
		{true, [2]Minute{9 * 60, 10 * 60}, "11-07 14:00 15:00"},
	} {
		h := Hours{Zone: "America/Toronto", Overrides: []Override{{Date: day, Windows: [][2]Minute{c.window}, Later: c.later}}}
		if got := expanded(t, h, "2027-11-06", "2027-11-09"); !slices.Equal(got, []string{c.want}) {
			t.Errorf("%v, second %v: %v, want %s", c.window, c.later, got, c.want)
		}
	}
}

func TestClockChangesThatTouchPublishedHoursAreTold(t *testing.T) {
	h := Hours{Zone: "America/Toronto", Rules: []Rule{
		{Freq: Weekly, Days: EveryDay(), Start: 2*60 + 30, End: 5 * 60},
		{Freq: Weekly, Days: EveryDay(), Start: 60, End: 2 * 60},
		{Freq: Weekly, Days: EveryDay(), Start: 9 * 60, End: 17 * 60},
	}}
	notes, err := h.ClockNotes(DateOf(2027, time.January, 1), 364)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range notes {
		got = append(got, n.Date.String()+" "+n.Start.String()+" "+string(n.Kind)+" "+n.From.Format("15:04")+" "+n.To.Format("15:04"))
	}
	want := []string{
		"2027-03-14 02:30 gap 07:00 09:00",  // begins at 03:00
		"2027-11-07 01:00 fold 05:00 07:00", // an hour longer
	}
	if !slices.Equal(got, want) {
		t.Errorf("notes %q, want %q", got, want)
	}
	h.Rules = []Rule{{Freq: Weekly, Days: []Weekday{Sunday}, Start: 2*60 + 10, End: 2*60 + 50}}
	if notes, err = h.ClockNotes(DateOf(2027, time.January, 1), 364); err != nil || len(notes) != 1 || !notes[0].From.IsZero() {
		t.Errorf("a window inside of the gap: %+v, %v", notes, err)
	}
}

func TestTripsAreKept(t *testing.T) {
	w := newWorld(t)
	a := Availability{Hours: mornings("Africa/Nairobi")}
	a.Trips = []Trip{{From: DateOf(2027, time.May, 4), Until: DateOf(2027, time.May, 5), Zone: "Europe/Berlin", Windows: [][2]Minute{{9 * 60, 10 * 60}}}}
	a.Overrides = []Override{{Date: DateOf(2027, time.November, 7), Windows: [][2]Minute{{60, 120}}, Later: true}}
	had, err := w.s.AvailabilityOf(ctx, w.otieno(), w.amina)
	if err != nil {
		t.Fatal(err)
	}
	a.Version = had.Version
	if _, err := w.s.SetAvailability(ctx, w.otieno(), w.amina, a); err != nil {
		t.Fatal(err)
	}
	got, err := w.s.AvailabilityOf(ctx, w.otieno(), w.amina)
	if err != nil || len(got.Trips) != 1 || got.Trips[0].Zone != "Europe/Berlin" || !slices.Equal(got.Trips[0].Windows, a.Trips[0].Windows) || !got.Overrides[0].Later {
		t.Errorf("%+v, %v", got, err)
	}
}
