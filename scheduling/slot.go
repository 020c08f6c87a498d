package scheduling

import (
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// SearchRequest asks for the starts at which the people of a case can meet.
type SearchRequest struct {
	Case       CaseRef
	Kind       Kind
	Specialist identity.PersonID
	// From and To bound the search; zero From is now, zero To is 14 days later.
	From, To time.Time
	Duration time.Duration // 0 is what the kind of visit asks for
	Grid     time.Duration // 0 is 15 minutes, counted on the patient's or local physician's clock
	Limit    int           // most slots wanted; 0 is 200
}

// SearchAnswer is what Search found.
type SearchAnswer struct {
	Slots []Slot // ascending
	More  bool   // there are more than the limit
	// Interpreted is the language pair that an interpreter carries; zero if everybody
	// shares a language.
	Interpreted [2]string
	// Team is how many take turns on each leg; Relays says, when nobody may carry the
	// pair directly, through which languages two could.
	Team   int
	Relays []RelayNote
	// WhyNot names, when there is no slot, the smallest set of limits that binds.
	WhyNot []Reason
	// Cuts names, when there are slots, the limits that keep further starts away and
	// are not the person's own hours: a license that ends within the range, most
	// starts first.
	Cuts []Reason
	// Unqualified are the interpreters on file who may not carry the languages, and why.
	Unqualified []Unqualified
	// Fairest are the slots that are easiest on whoever carried most of late; Fair says
	// what each carried, the heaviest first.
	Fairest []Slot
	Fair    []FairNote
	// ZoneVersion is the release of the zone data that the answer rests on.
	ZoneVersion string
}

// Slot is a start that can be booked.
type Slot struct {
	Start       time.Time
	Duration    time.Duration
	Parties     []SlotParty
	Interpreted [2]string // zero without interpreter
	Pivot       string    // of a relay; "" is direct
	Unmet       []Need    // what the patient wished otherwise
}

// End is the instant at which the slot ends.
func (s Slot) End() time.Time { return s.Start.Add(s.Duration) }

// Weight is how hard a slot is on the person it is hardest on: minutes times 1 early
// and late (06-08 and 18-21), times 3 at night (21-06), on that person's own clock.
func (s Slot) Weight() int {
	worst := 0
	for _, p := range s.Parties {
		sum := 0
		for m := range int(s.Duration / time.Minute) {
			sum += weight((int(p.Clock.Wall.Minute) + m) % (24 * 60))
		}
		worst = max(worst, sum)
	}
	return worst
}

// Unsocial tells whether it is night for somebody during the slot.
func (s Slot) Unsocial() bool {
	for _, p := range s.Parties {
		start := int(p.Clock.Wall.Minute)
		if weight(start%(24*60)) == 3 || weight((start+max(int(s.Duration/time.Minute)-1, 0))%(24*60)) == 3 {
			return true
		}
	}
	return false
}

// weightChanges are the hours at which weight changes.
var weightChanges = []int{6, 8, 18, 21, 24}

// weight of one minute of the day (design scheduling, section 8).
func weight(minute int) int {
	switch h := minute / 60; {
	case h < 6 || h >= 21:
		return 3
	case h < 8 || h >= 18:
		return 1
	}
	return 0
}

// SlotParty is one person of a slot, with what their clock shows at the start.
type SlotParty struct {
	Person identity.PersonID
	Name   string
	Role   Role
	Clock  Clock
	Pair   [2]string // interpreters: the languages carried; zero for others
	Leg    int       // interpreters: 0 direct; 1 and 2 the legs of a relay
}

// Clock is an instant as one person's wall shows it.
type Clock struct {
	Zone    string // IANA
	Wall    Wall
	Weekday Weekday
	Offset  time.Duration // east of UTC
	Abbrev  string        // such as "EAT"; may be numeric
}

// ClockAt reads the clock of a zone.
func ClockAt(zone string, at time.Time) (Clock, error) {
	loc, err := LoadZone(zone)
	if err != nil {
		return Clock{}, err
	}
	abbrev, off := at.In(loc).Zone()
	w := WallAt(loc, at)
	return Clock{Zone: zone, Wall: w, Weekday: w.Date.Weekday(), Offset: time.Duration(off) * time.Second, Abbrev: abbrev}, nil
}

// reader is ClockAt for one zone and many instants that ascend: it asks the zone once for
// each stretch in which the offset does not change.
type reader struct {
	zone     string
	loc      *time.Location
	from, to int64 // Unix seconds, [from, to): of the stretch read last
	off      int64 // seconds east of UTC
	abbrev   string
}

func newReader(zone string) (*reader, error) {
	loc, err := LoadZone(zone)
	if err != nil {
		return nil, err
	}
	return &reader{zone: zone, loc: loc}, nil
}

// at reads the clock at an instant.
func (r *reader) at(t time.Time) Clock {
	u := t.Unix()
	if u < r.from || u >= r.to {
		l := t.In(r.loc)
		abbrev, off := l.Zone()
		r.from, r.to, r.off, r.abbrev = -1<<62, 1<<62, int64(off), abbrev
		from, to := l.ZoneBounds()
		if !from.IsZero() {
			r.from = from.Unix()
		}
		if !to.IsZero() {
			r.to = to.Unix()
		}
	}
	w := u + r.off
	date := Date(floorDiv(w, daySeconds))
	return Clock{Zone: r.zone, Wall: Wall{Date: date, Minute: Minute(floorMod(w, daySeconds) / 60)}, Weekday: date.Weekday(),
		Offset: time.Duration(r.off) * time.Second, Abbrev: r.abbrev}
}

// Reason is a Limit with the person and, for a license, the refusal behind it.
type Reason struct {
	Limit   LimitKind
	Person  identity.PersonID
	Name    string
	Role    Role
	Gained  int           // starts there would be without it
	First   time.Time     // the first of them
	Refusal *Refusal      // of a license: reasons and until when it was permitted
	Need    Need          // of needs: which wish of the patient
	Wish    *TimeWish     // of NeedTimes: the one that First meets, and
	Meets   time.Duration // for how long
}

// Unqualified is an interpreter who is not offered.
type Unqualified struct {
	Person identity.PersonID
	Name   string
	Reason string    // code of credentialing
	Until  time.Time // when the certificate ended; zero if no date tells
}
