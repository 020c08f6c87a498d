package scheduling

import (
	"time"

	"github.com/consilium-health/consilium/scheduling/zoneinfo"
)

// ErrUnknownZone means that the zone data has no zone of that name.
var ErrUnknownZone = zoneinfo.ErrUnknown

// LoadZone returns the zone of an IANA name from the zone data that the binary
// carries. "", "Local" and unknown names are ErrUnknownZone.
func LoadZone(name string) (*time.Location, error) { return zoneinfo.Load(name) }

// ZoneVersion is the IANA release of the zone data, such as "2026f".
func ZoneVersion() string { return zoneinfo.Version() }

// farthestOffset is more than any offset from UTC that was ever in use.
const farthestOffset = 26 * time.Hour

// Resolve returns the first instant at which loc's clock reads the day plus min
// minutes, or later; min may be 1440. A time that occurs twice is its first
// occurrence (RFC 5545 §3.3.5), one that does not occur is the end of the gap.
func Resolve(loc *time.Location, y int, m time.Month, d, min int) time.Time {
	wall := time.Date(y, m, d, 0, min, 0, 0, time.UTC)
	at := wall.Add(-farthestOffset)
	for {
		_, off := at.In(loc).Zone()
		_, end := at.In(loc).ZoneBounds()
		c := wall.Add(-time.Duration(off) * time.Second)
		if c.Before(at) {
			c = at // the clock jumped past it
		}
		if end.IsZero() || c.Before(end) {
			return c.UTC()
		}
		at = end
	}
}

// ResolveWall is Resolve for a Wall.
func ResolveWall(loc *time.Location, w Wall) time.Time {
	y, m, d := w.Date.Civil()
	return Resolve(loc, y, m, d, int(w.Minute))
}

// WallKind says how often a wall time occurs in a zone.
type WallKind string

// A wall time occurs once, never (the clocks went forward past it) or twice (they
// went back over it).
const (
	WallOK   WallKind = "ok"
	WallGap  WallKind = "gap"
	WallFold WallKind = "fold"
)

// WallCheck is the answer of CheckWall.
type WallCheck struct {
	Kind     WallKind
	Instants []time.Time // when the clock reads that time: none, one or two, in order
	Next     Wall        // the time itself, or the first that exists after the gap
	NextAt   time.Time   // the instant of Next: that of Resolve
}

// CheckWall tells when loc's clock reads a wall time, so that a form can refuse one
// that does not exist and offer the next that does.
func CheckWall(loc *time.Location, w Wall) WallCheck {
	at := ResolveWall(loc, w)
	c := WallCheck{Kind: WallGap, Next: WallAt(loc, at), NextAt: at}
	wall := time.Unix(w.seconds(), 0).UTC()
	for from := wall.Add(-farthestOffset); from.Before(wall.Add(farthestOffset)); {
		_, off := from.In(loc).Zone()
		_, end := from.In(loc).ZoneBounds()
		t := wall.Add(-time.Duration(off) * time.Second)
		if !t.Before(from) && (end.IsZero() || t.Before(end)) {
			c.Instants = append(c.Instants, t)
		}
		if end.IsZero() {
			break
		}
		from = end
	}
	switch len(c.Instants) {
	case 0:
	case 1:
		c.Kind = WallOK
	default:
		c.Kind = WallFold
	}
	return c
}

// clock is a zone's offsets over a range of instants, taken once so that many wall
// times resolve by one addition each. It answers as Resolve does for wall times
// that lie farthestOffset or more inside the range.
type clock []regime

// regime is a time during which the offset of a zone does not change.
type regime struct {
	start, end int64 // Unix seconds, [start, end)
	off        int64 // seconds east of UTC
}

// newClock takes the regimes of loc that meet [from, to), Unix seconds.
func newClock(loc *time.Location, from, to int64) clock {
	var c clock
	for at := from; at < to || len(c) == 0; {
		t := time.Unix(at, 0).In(loc)
		_, off := t.Zone()
		_, end := t.ZoneBounds()
		r := regime{start: at, end: to, off: int64(off)}
		if !end.IsZero() && end.Unix() < to {
			r.end = end.Unix()
		}
		c = append(c, r)
		at = r.end
	}
	return c
}

// resolve is Resolve for a count of wall-clock seconds since 1970-01-01T00:00.
func (c clock) resolve(wall int64) int64 {
	for _, r := range c {
		if t := wall - r.off; t < r.end {
			return max(t, r.start)
		}
	}
	last := c[len(c)-1]
	return wall - last.off
}

// resolveLater is resolve, but the last instant of a wall time that comes twice.
func (c clock) resolveLater(wall int64) int64 {
	at := c.resolve(wall)
	for _, r := range c {
		if t := wall - r.off; t >= r.start && t < r.end {
			at = max(at, t)
		}
	}
	return at
}

// occurs tells whether the clock reads exactly wall at its resolved instant.
func (c clock) occurs(wall, at int64) bool {
	for _, r := range c {
		if at < r.end {
			return at+r.off == wall
		}
	}
	return at+c[len(c)-1].off == wall
}
