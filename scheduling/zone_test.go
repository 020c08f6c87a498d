package scheduling

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/consilium-health/consilium/scheduling/zoneinfo"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := LoadZone(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func wall(t testing.TB, s string) Wall {
	t.Helper()
	w, err := ParseWall(s)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func instant(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at.UTC()
}

func TestResolveGapsAndFolds(t *testing.T) {
	for _, c := range []struct{ zone, wall, why, want string }{
		{"America/New_York", "2026-03-08T02:30", "gap", "2026-03-08T07:00:00Z"},
		{"America/New_York", "2026-11-01T01:30", "fold", "2026-11-01T05:30:00Z"},
		{"America/New_York", "2026-11-01T02:00", "after the fold", "2026-11-01T07:00:00Z"},
		{"Europe/Berlin", "2026-03-29T02:30", "gap", "2026-03-29T01:00:00Z"},
		{"Europe/Berlin", "2026-10-25T02:30", "fold", "2026-10-25T00:30:00Z"},
		{"Australia/Lord_Howe", "2026-10-04T02:10", "gap of 30 minutes", "2026-10-03T15:30:00Z"},
		{"Australia/Lord_Howe", "2026-04-05T01:45", "fold of 30 minutes", "2026-04-04T14:45:00Z"},
		{"America/Santiago", "2026-09-06T00:00", "midnight missing", "2026-09-06T04:00:00Z"},
		{"Africa/Cairo", "2026-04-24T00:30", "gap at midnight", "2026-04-23T22:00:00Z"},
		{"Africa/Cairo", "2026-10-29T23:30", "fold at midnight", "2026-10-29T20:30:00Z"},
		{"Pacific/Apia", "2011-12-30T09:00", "the day does not exist", "2011-12-30T10:00:00Z"},
		{"Pacific/Apia", "2011-12-30T17:00", "the day does not exist", "2011-12-30T10:00:00Z"},
		{"America/Vancouver", "2026-12-01T08:00", "rule change of 2026", "2026-12-01T15:00:00Z"},
		{"Africa/Nairobi", "2026-12-01T24:00", "end of the day", "2026-12-01T21:00:00Z"},
	} {
		if got := ResolveWall(zone(t, c.zone), wall(t, c.wall)); !got.Equal(instant(t, c.want)) {
			t.Errorf("%s %s (%s): %s, want %s", c.zone, c.wall, c.why, got.Format(time.RFC3339), c.want)
		}
	}
}

func TestCheckWallOffersTheNextTimeThatExists(t *testing.T) {
	for _, c := range []struct {
		zone, wall string
		kind       WallKind
		n          int
		next, at   string
	}{
		{"Europe/Berlin", "2026-03-29T02:30", WallGap, 0, "2026-03-29T03:00", "2026-03-29T01:00:00Z"},
		{"Europe/Berlin", "2026-10-25T02:30", WallFold, 2, "2026-10-25T02:30", "2026-10-25T00:30:00Z"},
		{"Europe/Berlin", "2026-03-29T03:00", WallOK, 1, "2026-03-29T03:00", "2026-03-29T01:00:00Z"},
		{"Africa/Nairobi", "2026-03-29T02:30", WallOK, 1, "2026-03-29T02:30", "2026-03-28T23:30:00Z"},
		{"Pacific/Apia", "2011-12-30T12:00", WallGap, 0, "2011-12-31T00:00", "2011-12-30T10:00:00Z"},
		{"America/Santiago", "2026-09-06T00:15", WallGap, 0, "2026-09-06T01:00", "2026-09-06T04:00:00Z"},
	} {
		got := CheckWall(zone(t, c.zone), wall(t, c.wall))
		if got.Kind != c.kind || len(got.Instants) != c.n || got.Next.String() != c.next || !got.NextAt.Equal(instant(t, c.at)) {
			t.Errorf("%s %s: %+v, want %s, %d instants, next %s", c.zone, c.wall, got, c.kind, c.n, c.next)
		}
	}
}

func TestLoadZoneRefusesWhatIsNobodysZone(t *testing.T) {
	for _, name := range []string{"", "Local", "Europe/Atlantis", "../etc/passwd", "europe/berlin", "Factory"} {
		if _, err := LoadZone(name); !errors.Is(err, ErrUnknownZone) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if got := len(zoneinfo.Names()); got < 590 {
		t.Errorf("%d zones", got)
	}
	if v := ZoneVersion(); v < "2026f" {
		t.Errorf("zone data %s", v)
	}
}

// A scan of every minute finds the same instant as Resolve, in the days around each
// change of a zone and in others.
func TestResolveEqualsAScanOfMinutes(t *testing.T) {
	names := zoneinfo.Names()
	rapid.Check(t, func(t *rapid.T) {
		loc, err := LoadZone(rapid.SampledFrom(names).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		day := Date(rapid.IntRange(10957, 24837).Draw(t, "day")) // 2000 to 2038
		if rapid.Bool().Draw(t, "at a change") {
			if _, end := day.utc().In(loc).ZoneBounds(); !end.IsZero() && end.Year() < 2038 {
				day = WallAt(loc, end).Date - Date(rapid.IntRange(0, 1).Draw(t, "before"))
			}
		}
		w := Wall{day, Minute(rapid.IntRange(0, 1440).Draw(t, "minute"))}
		got := ResolveWall(loc, w)
		at := time.Unix(w.seconds(), 0).Add(-farthestOffset)
		for ; ; at = at.Add(time.Minute) {
			_, off := at.In(loc).Zone()
			if at.Unix()+int64(off) >= w.seconds() {
				break
			}
		}
		if !got.Equal(at) {
			t.Fatalf("%s %s: %s, scan says %s", loc, w, got, at.UTC())
		}
		c := newClock(loc, w.seconds()-5*daySeconds, w.seconds()+5*daySeconds)
		if r := c.resolve(w.seconds()); r != got.Unix() {
			t.Fatalf("%s %s: transition table says %d, want %d", loc, w, r, got.Unix())
		}
		check := CheckWall(loc, w)
		if exists := c.occurs(w.seconds(), got.Unix()); exists != (check.Kind != WallGap) {
			t.Fatalf("%s %s: occurs %v, check %+v", loc, w, exists, check)
		}
	})
}

func TestResolveIsMonotoneInWallTime(t *testing.T) {
	names := zoneinfo.Names()
	rapid.Check(t, func(t *rapid.T) {
		loc, _ := LoadZone(rapid.SampledFrom(names).Draw(t, "zone"))
		day := Date(rapid.IntRange(14000, 24000).Draw(t, "day"))
		last := time.Time{}
		for m := Minute(0); m <= 1440; m += 15 {
			at := ResolveWall(loc, Wall{day, m})
			if at.Before(last) {
				t.Fatalf("%s %s %s resolves before the minute before it", loc, day, m)
			}
			last = at
		}
	})
}

func FuzzParseWall(f *testing.F) {
	for _, s := range []string{"2026-03-08T02:30", "2026-02-30T00:00", "9999-12-31T24:00", "T", "2026-03-08 02:30", "2026-03-08T2:30"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		w, err := ParseWall(s)
		if err == nil && w.String() != s {
			t.Fatalf("%q is read as %s", s, w)
		}
	})
}

// A machine's own zone data may be years old, so nobody asks for it: every zone comes
// from the data that the binary carries.
func TestZonesComeFromTheBinaryAlone(t *testing.T) {
	may := map[string]string{
		"credentialing/identity/service.go": "only checks that a profile's zone has a name; it stands below the zone data",
	}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		rel, err := filepath.Rel("..", path)
		if err != nil || d.IsDir() || !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") || may[filepath.ToSlash(rel)] != "" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.Contains(string(text), "time.LoadLocation(") {
			t.Errorf("%s takes a zone from the machine", rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
