package ical

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	goical "github.com/emersion/go-ical"

	"github.com/consilium-health/consilium/scheduling/zoneinfo"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := zoneinfo.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// wednesdays is each Wednesday 09:00 Toronto from March to June 2027, with 24 March
// moved and 14 April off.
func wednesdays(t *testing.T) Series {
	toronto := zone(t, "America/Toronto")
	in := invitation()
	in.UID = UID("0193a1b2-0000-7000-8000-000000000002", "consilium.example")
	in.Start, in.Duration = time.Date(2027, 3, 3, 9, 0, 0, 0, toronto), 2*time.Hour
	return Series{Invitation: in, Zone: toronto, Rule: "FREQ=WEEKLY;BYDAY=WE;WKST=MO;UNTIL=20270701T035959Z", Last: time.Date(2027, 6, 30, 9, 0, 0, 0, toronto),
		Exdates: []time.Time{time.Date(2027, 4, 14, 9, 0, 0, 0, toronto)},
		Moved:   []MovedOccurrence{{Of: time.Date(2027, 3, 24, 9, 0, 0, 0, toronto), Sequence: 1, Start: time.Date(2027, 3, 25, 10, 0, 0, 0, toronto), Duration: 2 * time.Hour}}}
}

func TestSeriesIsReadBackWithItsZoneRuleAndMovedOccurrence(t *testing.T) {
	b, err := WriteSeries(wednesdays(t))
	if err != nil {
		t.Fatal(err)
	}
	cal, err := goical.NewDecoder(bytes.NewReader(b)).Decode()
	if err != nil {
		t.Fatalf("read back: %v\n%s", err, b)
	}
	if len(cal.Children) != 3 || cal.Children[0].Name != goical.CompTimezone {
		t.Fatalf("%d components, want the zone, the series and the moved occurrence\n%s", len(cal.Children), b)
	}
	if got := cal.Children[0].Props.Get(goical.PropTimezoneID).Value; got != "America/Toronto" {
		t.Errorf("zone %s", got)
	}
	events := cal.Events()
	master, moved := events[0], events[1]
	for _, e := range events {
		if got, _ := e.Props.Text(goical.PropUID); got != "0193a1b2-0000-7000-8000-000000000002@consilium.example" {
			t.Errorf("uid %s", got)
		}
		for _, name := range []string{goical.PropDateTimeStart, goical.PropDateTimeEnd} {
			if got := e.Props.Get(name).Params.Get(goical.ParamTimezoneID); got != "America/Toronto" {
				t.Errorf("%s is on the clock of %q", name, got)
			}
		}
	}
	set, err := master.RecurrenceSet(time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	all := set.All()
	if len(all) != 17 || all[0].Format(localForm) != "20270303T090000" || all[16].Format(localForm) != "20270630T090000" {
		t.Errorf("%d occurrences from %v", len(all), all)
	}
	if got := master.Props.Get(goical.PropSequence).Value; got != "0" {
		t.Errorf("sequence of the series %s", got)
	}
	id := moved.Props.Get(goical.PropRecurrenceID)
	if id == nil || id.Value != "20270324T090000" || id.Params.Get(goical.ParamTimezoneID) != "America/Toronto" || moved.Props.Get(goical.PropSequence).Value != "1" ||
		moved.Props.Get(goical.PropDateTimeStart).Value != "20270325T100000" || moved.Props.Get(goical.PropRecurrenceRule) != nil {
		t.Errorf("moved occurrence %+v", moved.Props)
	}
	for _, line := range strings.Split(strings.TrimSuffix(string(b), "\r\n"), "\r\n") {
		if len(line) > 75 || strings.ContainsAny(line, "\r\n") {
			t.Errorf("line of %d octets: %q", len(line), line)
		}
	}
}

// A reader who knows nothing of the zone but what the file says comes to the same
// instants.
func TestZoneInTheFileAgreesWithTheZoneData(t *testing.T) {
	for _, name := range []string{"America/Toronto", "Africa/Nairobi", "Africa/Casablanca", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Santiago", "Europe/Dublin"} {
		loc := zone(t, name)
		s := wednesdays(t)
		s.Zone, s.Exdates, s.Moved = loc, nil, nil
		b, err := WriteSeries(s)
		if err != nil {
			t.Fatal(err)
		}
		cal, err := goical.NewDecoder(bytes.NewReader(b)).Decode()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		type change struct {
			at       time.Time
			from, to int
		}
		var changes []change
		for _, part := range cal.Children[0].Children {
			hhmm := func(p string) int {
				v := part.Props.Get(p).Value
				d, err := time.Parse("-0700", v)
				if err != nil {
					t.Fatalf("%s: %s %s: %v", name, p, v, err)
				}
				_, off := d.Zone()
				return off
			}
			from := hhmm(goical.PropTimezoneOffsetFrom)
			at, err := time.ParseInLocation(localForm, part.Props.Get(goical.PropDateTimeStart).Value, time.FixedZone("", from))
			if err != nil {
				t.Fatal(err)
			}
			changes = append(changes, change{at, from, hhmm(goical.PropTimezoneOffsetTo)})
		}
		for at := s.Start; at.Before(s.Last.AddDate(4, 0, 0)); at = at.Add(13 * time.Hour) {
			read := changes[0].from
			for _, c := range changes {
				if !at.Before(c.at) {
					read = c.to
				}
			}
			if _, want := at.In(loc).Zone(); read != want {
				t.Fatalf("%s at %v: the file says %d, the zone %d", name, at, read, want)
			}
		}
	}
}

func TestSeriesThatCannotBeWrittenIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(*Series){
		"no zone":       func(s *Series) { s.Zone = nil },
		"no rule":       func(s *Series) { s.Rule = "" },
		"a second line": func(s *Series) { s.Rule = "FREQ=DAILY\r\nX:1" },
		"no end":        func(s *Series) { s.Last = time.Time{} },
		"no uid":        func(s *Series) { s.UID = "" },
		"no length":     func(s *Series) { s.Moved[0].Duration = 0 },
	} {
		s := wednesdays(t)
		spoil(&s)
		if _, err := WriteSeries(s); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}
