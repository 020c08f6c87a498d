package scheduling

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The zones of the properties: half hours, quarter hours, gaps at midnight, both
// hemispheres, a change of rules.
var oddZones = []string{
	"UTC", "America/New_York", "Europe/Berlin", "Africa/Nairobi", "Asia/Beirut", "Asia/Kathmandu", "Australia/Lord_Howe",
	"Pacific/Chatham", "America/Santiago", "Africa/Cairo", "Africa/Casablanca", "Pacific/Kiritimati", "America/Vancouver", "America/Toronto",
}

func drawRule(t *rapid.T, day Date) Rule {
	r := Rule{
		Start: Minute(5 * rapid.IntRange(0, 287).Draw(t, "start")), End: Minute(5 * rapid.IntRange(0, 288).Draw(t, "end")),
		Freq: rapid.SampledFrom([]Freq{Weekly, Weekly, Weekly, Monthly, OnDates}).Draw(t, "freq"),
		Gap:  rapid.SampledFrom([]Gap{"", Clip, Skip}).Draw(t, "gap"),
	}
	days := rapid.SliceOfNDistinct(rapid.IntRange(0, 6), 1, 7, rapid.ID[int])
	switch r.Freq {
	case OnDates:
		for _, n := range rapid.SliceOfN(rapid.IntRange(-2, 20), 1, 4).Draw(t, "dates") {
			r.Dates = append(r.Dates, day+Date(n))
		}
	default:
		for _, d := range days.Draw(t, "days") {
			r.Days = append(r.Days, Weekday(d))
		}
	}
	if r.Freq == Monthly {
		r.Nth = rapid.SampledFrom([]int{-1, 1, 2, 3, 4, 5}).Draw(t, "nth")
	}
	if rapid.IntRange(0, 3).Draw(t, "bounded") == 0 {
		from := day + Date(rapid.IntRange(-10, 8).Draw(t, "from"))
		until := from + Date(rapid.IntRange(0, 20).Draw(t, "until"))
		r.From, r.Until = &from, &until
		if r.Freq == Weekly {
			r.Interval = rapid.IntRange(0, 3).Draw(t, "interval")
		}
	}
	if rapid.IntRange(0, 5).Draw(t, "travels") == 0 {
		r.Zone = rapid.SampledFrom(oddZones).Draw(t, "travel zone")
	}
	return r
}

func drawHours(t *rapid.T, day Date) Hours {
	h := Hours{Zone: rapid.SampledFrom(oddZones).Draw(t, "zone")}
	if rapid.Bool().Draw(t, "always") {
		h.Rules = []Rule{{Freq: Weekly, Days: EveryDay(), Start: 0, End: 1440}}
	} else {
		for range rapid.IntRange(1, 3).Draw(t, "rules") {
			h.Rules = append(h.Rules, drawRule(t, day))
		}
	}
	for range rapid.IntRange(0, 2).Draw(t, "overrides") {
		o := Override{Date: day + Date(rapid.IntRange(-1, 12).Draw(t, "date"))}
		for range rapid.IntRange(0, 2).Draw(t, "windows") {
			o.Windows = append(o.Windows, [2]Minute{Minute(rapid.IntRange(0, 1440).Draw(t, "a")), Minute(rapid.IntRange(0, 1440).Draw(t, "b"))})
		}
		h.Overrides = append(h.Overrides, o)
	}
	for range rapid.IntRange(0, 2).Draw(t, "exdates") {
		h.Exdates = append(h.Exdates, day+Date(rapid.IntRange(-1, 12).Draw(t, "exdate")))
	}
	return h
}

func drawParty(t *rapid.T, id string, day Date) Party {
	base := day.utc()
	p := Party{
		ID: id, Hours: drawHours(t, day),
		BufferBefore: minutes(int64(rapid.IntRange(0, 20).Draw(t, "before"))), BufferAfter: minutes(int64(rapid.IntRange(0, 20).Draw(t, "after"))),
		MinNotice: minutes(int64(rapid.IntRange(0, 2000).Draw(t, "notice"))),
	}
	for range rapid.IntRange(0, 4).Draw(t, "busy") {
		p.Busy = append(p.Busy, drawRange(t, base))
	}
	if rapid.IntRange(0, 3).Draw(t, "licensed") == 0 {
		from := day + Date(rapid.IntRange(-3, 5).Draw(t, "license from"))
		through := from + Date(rapid.IntRange(0, 8).Draw(t, "license through"))
		p.Licence = &LicenseSpan{Zone: rapid.SampledFrom(oddZones).Draw(t, "license zone"), From: &from, Through: &through}
	}
	if rapid.IntRange(0, 3).Draw(t, "permitted") == 0 {
		p.Permitted = []Range{drawRange(t, base), drawRange(t, base), {base.AddDate(0, 0, 3), base.AddDate(0, 0, 6)}}
	}
	if rapid.IntRange(0, 7).Draw(t, "barred") == 0 {
		p.Barred = Bar(rapid.IntRange(1, 3).Draw(t, "bar"))
	}
	if rapid.IntRange(0, 3).Draw(t, "horizon") == 0 {
		d := minutes(int64(rapid.IntRange(0, 12000).Draw(t, "ahead")))
		p.MaxAhead = &d
	}
	return p
}

func drawRange(t *rapid.T, base time.Time) Range {
	a := base.Add(minutes(int64(rapid.IntRange(0, 10*1440).Draw(t, "range start"))))
	return Range{a, a.Add(minutes(int64(rapid.IntRange(0, 900).Draw(t, "range length"))))}
}

type problem struct {
	q                     Query
	parties, interpreters []Party
}

func drawProblem(t *rapid.T) problem {
	// Half of them near changes of the clocks in 2026.
	day := DateOf(2026, 1, 1) + Date(rapid.IntRange(0, 360).Draw(t, "day"))
	if rapid.Bool().Draw(t, "change") {
		day = rapid.SampledFrom([]Date{DateOf(2026, 3, 3), DateOf(2026, 3, 24), DateOf(2026, 4, 1), DateOf(2026, 9, 1), DateOf(2026, 10, 20), DateOf(2026, 10, 28)}).Draw(t, "near")
	}
	var p problem
	p.q = Query{
		From: day.utc().Add(minutes(int64(rapid.IntRange(0, 600).Draw(t, "from")))), Duration: minutes(int64(rapid.IntRange(1, 180).Draw(t, "duration"))),
		Grid: minutes(rapid.SampledFrom([]int64{5, 7, 15, 20, 30, 60, 90}).Draw(t, "grid")), GridZone: rapid.SampledFrom(oddZones).Draw(t, "grid zone"),
		Now: day.utc().Add(-minutes(int64(rapid.IntRange(-2000, 2000).Draw(t, "now")))),
	}
	p.q.To = p.q.From.Add(minutes(int64(rapid.IntRange(0, 9*1440).Draw(t, "length"))))
	for range rapid.IntRange(0, 3).Draw(t, "kept free") {
		p.q.Avoid = append(p.q.Avoid, drawRange(t, p.q.From))
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "parties") {
		p.parties = append(p.parties, drawParty(t, fmt.Sprintf("p%d", i), day))
	}
	if len(p.parties) > 2 && rapid.Bool().Draw(t, "pool") {
		p.q.AnyOf = []Pool{{Role: "specialist", Candidates: []string{"p2", "p1"}}}
	}
	if rapid.Bool().Draw(t, "interpreted") {
		p.q.Interpret = &Interpretation{Between: [2]string{"ar", "en"}, Pivots: []string{"fr", "sw"}, Team: rapid.IntRange(0, 2).Draw(t, "team")}
		if rapid.Bool().Draw(t, "three languages") {
			p.q.Interpret.Ways = rapid.SliceOfN(rapid.SampledFrom([]Way{{"en", [][2]string{{"ar", "en"}, {"en", "sw"}}}, {"fr", [][2]string{{"ar", "fr"}, {"fr", "en"}, {"fr", "sw"}}},
				{"ar", [][2]string{{"sw", "ar"}, {"ar", "en"}}}, {"en", [][2]string{{"ti", "en"}, {"en", "ar"}, {"en", "sw"}}}}), 1, 3).Draw(t, "ways")
		}
		for i := range rapid.IntRange(0, 5).Draw(t, "interpreters") {
			one := drawParty(t, fmt.Sprintf("i%d", 9-i), day)
			for range rapid.IntRange(1, 3).Draw(t, "pairs") {
				one.Pairs = append(one.Pairs, rapid.SampledFrom([][2]string{{"ar", "en"}, {"en", "AR"}, {"ar", "fr"}, {"fr", "en"}, {"sw", "ar"}, {"en", "sw"}, {"ti", "en"}, {"fr", "sw"}}).Draw(t, "pair"))
			}
			p.interpreters = append(p.interpreters, one)
		}
	}
	return p
}

func TestMaskSearchEqualsIntervalMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProblem(t)
		got, err := Find(p.q, p.parties, p.interpreters)
		if err != nil {
			t.Fatal(err)
		}
		want, err := findByMerging(p.q, p.parties, p.interpreters)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := describeSlots(got), describeSlots(want); a != b {
			t.Fatalf("masks:\n%s\nmerge:\n%s", a, b)
		}
	})
}

func TestBusyRangeNeverAddsASlot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProblem(t)
		p.q.AnyOf, p.q.Interpret = nil, nil
		before, err := Find(p.q, p.parties, nil)
		if err != nil {
			t.Fatal(err)
		}
		p.parties[0].Busy = append(p.parties[0].Busy, drawRange(t, p.q.From))
		after, err := Find(p.q, p.parties, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range after {
			if !slices.ContainsFunc(before, func(b Found) bool { return b.Start.Equal(f.Start) }) {
				t.Fatalf("%s appeared with more busy time", f.Start)
			}
		}
	})
}

func TestExpansionIsTheUnionOfItsHalves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		day := DateOf(2026, 1, 1) + Date(rapid.IntRange(0, 360).Draw(t, "day"))
		h := drawHours(t, day)
		from := day.utc()
		to := from.Add(minutes(int64(rapid.IntRange(1, 9*1440).Draw(t, "length"))))
		middle := from.Add(to.Sub(from) / 2).Truncate(time.Second)
		whole, err := h.Expand(from, to)
		if err != nil {
			t.Fatal(err)
		}
		a, _ := h.Expand(from, middle)
		b, _ := h.Expand(middle, to)
		if got := permittedSpans(append(a, b...)); !slices.Equal(got, permittedSpans(whole)) {
			t.Fatalf("halves %v, whole %v", got, permittedSpans(whole))
		}
	})
}

// Without the limit named, the first start it promises is there.
func TestWhyNotNamesALimitThatBinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProblem(t)
		s, err := newSearch(p.q, p.parties, p.interpreters)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range s.limits() {
			q, parties, interpreters := p.q, slices.Clone(p.parties), slices.Clone(p.interpreters)
			switch {
			case l.Kind != LimitNeeds || l.Party != "":
			case l.Bar == 0:
				q.Avoid = nil
			default:
				for i := range interpreters {
					interpreters[i].Barred &^= l.Bar
				}
			}
			if l.Kind == LimitInterpreter {
				q.Interpret = nil
			}
			for i := range parties {
				if parties[i].ID != l.Party {
					continue
				}
				switch l.Kind {
				case LimitHours:
					parties[i].Hours = OnCall("UTC").Hours
				case LimitBusy:
					parties[i].Busy = nil
				case LimitNotice:
					parties[i].MinNotice = -1e6 * time.Minute
				case LimitHorizon:
					parties[i].MaxAhead = nil
				case LimitLicense:
					parties[i].Licence, parties[i].Permitted = nil, nil
				case LimitNeeds:
					parties[i].Barred = 0
				}
			}
			found, err := Find(q, parties, interpreters)
			if err != nil {
				t.Fatal(err)
			}
			if len(found) != len(s.found(-1))+l.Gained || !slices.ContainsFunc(found, func(f Found) bool { return f.Start.Equal(l.First) }) {
				t.Fatalf("limit %+v: %d starts without it, %d with it", l, len(found), len(s.found(-1)))
			}
		}
	})
}

func FuzzAvailabilityJSON(f *testing.F) {
	f.Add([]byte(`{"zone":"Europe/Berlin","rules":[{"freq":"weekly","days":["MO"],"start":"09:00","end":"24:00","interval":2,"from":"2026-03-02"}],"exdates":["2026-03-30"],"overrides":[{"date":"2026-04-07","windows":[["13:00","15:00"]]}]}`))
	f.Add([]byte(`{"zone":"UTC","rules":[{"freq":"monthly","nth":-1,"days":["FR"],"start":"23:00","end":"01:00","gap":"skip"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h Hours
		if json.Unmarshal(b, &h) != nil || (Availability{Hours: h}).Validate() != nil {
			return
		}
		from := DateOf(2026, 3, 1).utc()
		a, err := h.Expand(from, from.AddDate(0, 1, 0))
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		var again Hours
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		c, _ := again.Expand(from, from.AddDate(0, 1, 0))
		if !slices.Equal(a, c) {
			t.Fatalf("%s expands differently when read back", text)
		}
	})
}

func FuzzRunVectors(f *testing.F) {
	f.Add([]byte(`{"format":"scheduling-vectors/1","cases":[{"id":"a","request":{"from":"2026-05-04T00:00:00Z","to":"2026-05-05T00:00:00Z","duration_min":60,"grid_min":60,"now":"2026-01-01T00:00:00Z"},"parties":[{"id":"a","zone":"UTC","rules":[{"freq":"weekly","days":["MO"],"start":"09:00","end":"10:00"}]}]}]}`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = RunVectors(bytes.NewReader(b)) // must not panic
	})
}

func BenchmarkFindFivePeopleSixtyDays(b *testing.B) {
	var parties []Party
	for i, z := range []string{"Africa/Nairobi", "America/Toronto", "Asia/Beirut", "Europe/Berlin", "Africa/Nairobi"} {
		p := Party{ID: fmt.Sprint(i), Version: 1, Hours: Hours{Zone: z, Rules: []Rule{
			{Freq: Weekly, Days: []Weekday{Monday, Wednesday, Friday}, Start: 6 * 60, End: 20 * 60},
			{Freq: Weekly, Days: []Weekday{Tuesday}, Start: 10 * 60, End: 22 * 60},
		}}}
		for k := range 120 {
			at := DateOf(2026, 3, 1).utc().Add(time.Duration(k*11+i) * time.Hour)
			p.Busy = append(p.Busy, Range{at, at.Add(time.Hour)})
		}
		parties = append(parties, p)
	}
	from := DateOf(2026, 3, 1).utc()
	q := Query{From: from, To: from.AddDate(0, 0, 60), Duration: time.Hour, Grid: 15 * time.Minute, Now: from}
	var f Finder
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Find(q, parties, nil); err != nil {
			b.Fatal(err)
		}
	}
}
