package scheduling

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling/zoneinfo"
)

// ZoneDecision is what becomes of a visit when the rules of a clock change.
type ZoneDecision string

// The decisions about a visit.
const (
	// KeepWall: the clock at the anchor reads at the start what it was to read.
	KeepWall ZoneDecision = "keep_wall"
	// KeepInstant: the instant stays, clocks read something else.
	KeepInstant ZoneDecision = "keep_instant"
)

// ZoneParty is what one party's clock reads at the start of a visit.
type ZoneParty struct {
	Person  identity.PersonID `json:"person"`
	Seat    SeatID            `json:"seat,omitempty"`
	Role    Role              `json:"role,omitempty"`
	Zone    string            `json:"zone"`
	Before  Wall              `json:"before"`  // by the rules it was booked with
	Wall    Wall              `json:"wall"`    // by the new rules, with KeepWall
	Instant Wall              `json:"instant"` // by the new rules, with KeepInstant
	Widened bool              `json:"widened"` // the seat keeps the old and the new time
}

// ZoneItem is a visit that waits for a decision.
type ZoneItem struct {
	ID          string
	Update      string
	Appointment AppointmentID
	From, To    string // editions of the zone data
	OldStart    time.Time
	NewStart    time.Time // with KeepWall
	Parties     []ZoneParty
	// Conflict: with KeepWall somebody would sit in two places.
	Conflict bool
}

// Zone is the clock at which the visit is held: that of its anchor.
func (i ZoneItem) Zone() string { return i.Parties[0].Zone }

// delta is how much KeepWall moves the visit.
func (i ZoneItem) delta() time.Duration { return i.NewStart.Sub(i.OldStart) }

// ZoneChange counts what UpdateZones did.
type ZoneChange struct {
	Unchanged int // visits that the new rules leave as they are
	Listed    int // visits listed for a decision, conflicts included
	Conflicts int
	Void      int // listed before, overtaken by another edition
}

const zoneBatch = 500

// UpdateZones compares the visits to come with the zone data in use. A visit of
// which no clock reads anything else gets the edition noted; every other one is
// listed for its clinic to decide (S6), and meanwhile its people are kept for the old
// and the new time where they are free. It runs at each start, goes on where it was
// stopped, and changes nothing when it is run again. It works backwards too: what was
// listed for an edition that was withdrawn is void.
func (s *Service) UpdateZones(ctx context.Context) (ZoneChange, error) {
	return s.updateZones(ctx, zoneinfo.Current())
}

func (s *Service) updateZones(ctx context.Context, data *zoneinfo.Data) (ZoneChange, error) {
	var done ZoneChange
	var overtaken map[identity.OrganizationID][]string
	err := s.write(ctx, audit.Scope{}, func(tx *audit.Tx) (err error) {
		if err := keepEdition(ctx, tx, data); err != nil {
			return err
		}
		overtaken, err = zonesOvertaken(ctx, tx, data.Version())
		return err
	})
	if err != nil {
		return done, fmt.Errorf("update zones: %w", err)
	}
	for org, updates := range overtaken {
		for _, id := range updates {
			n := 0
			err := s.write(ctx, audit.Scope{Organization: string(org)}, func(tx *audit.Tx) (err error) {
				n, err = s.overtake(ctx, tx, id)
				return err
			})
			if err != nil {
				return done, fmt.Errorf("zone update %s: %w", id, err)
			}
			done.Void += n
		}
	}
	editions := map[string]*zoneinfo.Data{data.Version(): data}
	for {
		var stale map[identity.OrganizationID][]string
		err := s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) (err error) {
			stale, err = zonesStale(ctx, tx, data.Version(), zoneBatch)
			return err
		})
		if err != nil {
			return done, fmt.Errorf("update zones: %w", err)
		}
		if len(stale) == 0 {
			return done, nil
		}
		for org, ids := range stale {
			var batch ZoneChange
			err := s.write(ctx, audit.Scope{Organization: string(org)}, func(tx *audit.Tx) (err error) {
				batch, err = s.compareZones(ctx, tx, data, editions, ids)
				return err
			})
			if err != nil {
				return done, fmt.Errorf("update zones of clinic %s: %w", org, err)
			}
			done.Unchanged += batch.Unchanged
			done.Listed += batch.Listed
			done.Conflicts += batch.Conflicts
		}
	}
}

// compareZones judges a batch of one clinic's visits.
func (s *Service) compareZones(ctx context.Context, tx *audit.Tx, data *zoneinfo.Data, editions map[string]*zoneinfo.Data, ids []string) (ZoneChange, error) {
	var done ZoneChange
	list, err := lockStale(ctx, tx, ids, data.Version())
	if err != nil {
		return done, err
	}
	var persons []identity.PersonID
	for _, a := range list {
		persons = append(persons, a.AnchorPerson)
		for _, seat := range a.Seats {
			persons = append(persons, seat.Person)
		}
		if _, ok := editions[a.ZoneVersion]; !ok {
			if editions[a.ZoneVersion], err = edition(ctx, tx, a.ZoneVersion); err != nil {
				return done, err
			}
		}
	}
	slices.Sort(persons)
	people, err := s.people.PeopleTx(ctx, tx, slices.Compact(persons)...)
	if err != nil {
		return done, fmt.Errorf("clocks of people: %w", err)
	}
	var same []string
	update := ""
	for _, a := range list {
		item, changed, err := s.compareZone(a, people, editions[a.ZoneVersion], data)
		if err != nil {
			return done, fmt.Errorf("appointment %s: %w", a.ID, err)
		}
		if !changed {
			same = append(same, string(a.ID))
			continue
		}
		if update == "" {
			if update, err = s.zoneUpdate(ctx, tx, data.Version()); err != nil {
				return done, err
			}
		}
		item.Update = update
		if item.ID, err = newID(); err != nil {
			return done, err
		}
		if item.Conflict, err = widen(ctx, tx, a, item.delta()); err != nil {
			return done, err
		}
		for i := range item.Parties {
			item.Parties[i].Widened = item.Parties[i].Seat != "" && !item.Conflict && item.delta() != 0
		}
		if err := insertZoneItem(ctx, tx, item); err != nil {
			return done, err
		}
		done.Listed++
		if item.Conflict {
			done.Conflicts++
		}
	}
	done.Unchanged = len(same)
	return done, noteEdition(ctx, tx, same, data.Version())
}

// compareZone says what the clocks read before and after, and whether any of them
// reads something else. old may be nil when its edition is not on file; then only
// the anchor's clock, whose reading is the visit's truth (S5), is known.
func (s *Service) compareZone(a Appointment, people map[identity.PersonID]identity.Person, old, data *zoneinfo.Data) (ZoneItem, bool, error) {
	item := ZoneItem{Appointment: a.ID, From: a.ZoneVersion, To: data.Version(), OldStart: a.StartAt, NewStart: a.StartAt}
	anchor, err := data.Load(a.AnchorZone)
	if err != nil {
		return item, false, err
	}
	if WallAt(anchor, a.StartAt) != a.StartLocal {
		item.NewStart = shifted(anchor, a.StartLocal)
	}
	parties := []ZoneParty{{Person: a.AnchorPerson, Zone: a.AnchorZone}}
	for _, seat := range a.Seats {
		switch {
		case seat.Released:
		case seat.Person == a.AnchorPerson:
			parties[0].Seat, parties[0].Role = seat.ID, seat.Role
		default:
			zone := s.zoneIn(a, people[seat.Person])
			parties = append(parties, ZoneParty{Person: seat.Person, Seat: seat.ID, Role: seat.Role, Zone: zone})
		}
	}
	changed := !item.NewStart.Equal(item.OldStart)
	for i := range parties {
		p := &parties[i]
		now, err := data.Load(p.Zone)
		if err != nil {
			return item, false, err
		}
		p.Wall, p.Instant = WallAt(now, item.NewStart), WallAt(now, item.OldStart)
		p.Before = p.Instant
		if i == 0 {
			p.Before = a.StartLocal
		} else if old != nil {
			then, err := old.Load(p.Zone)
			if err != nil {
				return item, false, err
			}
			p.Before = WallAt(then, item.OldStart)
		}
		changed = changed || p.Before != p.Instant
	}
	item.Parties = parties
	return item, changed, nil
}

// shifted is the instant of a wall time that was booked before its rules changed: of
// one that the clock now jumps over, that of the offset before the jump (RFC 5545
// §3.3.5).
func shifted(loc *time.Location, w Wall) time.Time {
	c := CheckWall(loc, w)
	if c.Kind != WallGap {
		return c.NextAt
	}
	_, off := c.NextAt.Add(-time.Second).In(loc).Zone()
	return time.Unix(w.seconds()-int64(off), 0).UTC()
}

// zoneUpdate is the clinic's open update to an edition; a new one is told to its
// coordinators.
func (s *Service) zoneUpdate(ctx context.Context, tx *audit.Tx, version string) (string, error) {
	id, err := newID()
	if err != nil {
		return "", err
	}
	found, fresh, err := openZoneUpdate(ctx, tx, id, version)
	if err != nil || !fresh {
		return found, err
	}
	org := identity.OrganizationID(tx.Scope.Organization)
	e := identity.System("zones", org).Event("zone_update.found")
	e.Objects = map[string]string{"zone_update": id}
	e.Reason = version
	if staff, ok := s.people.(Staff); ok {
		if e.Tell, err = coordinators(ctx, tx, staff, org); err != nil {
			return "", err
		}
	}
	tx.Append(e)
	return id, nil
}

// overtake voids what was listed for an edition that is in use no more.
func (s *Service) overtake(ctx context.Context, tx *audit.Tx, update string) (int, error) {
	items, err := zoneItems(ctx, tx, update)
	if err != nil {
		return 0, err
	}
	for _, i := range items {
		if _, err := appointment(ctx, tx, i.Appointment, true); err != nil {
			return 0, err
		}
		if err := settleSeats(ctx, tx, i, KeepInstant); err != nil {
			return 0, err
		}
		if err := endZoneItem(ctx, tx, i.ID, "void", ""); err != nil {
			return 0, err
		}
	}
	e := identity.System("zones", identity.OrganizationID(tx.Scope.Organization)).Event("zone_update.overtaken")
	e.Objects = map[string]string{"zone_update": update}
	tx.Append(e)
	return len(items), closeZoneUpdate(ctx, tx, update)
}

// ZoneItems are the visits of the actor's clinic that wait for a decision because
// the rules of a clock changed, by start. It is for those who arrange for the clinic.
func (s *Service) ZoneItems(ctx context.Context, actor identity.Actor) ([]ZoneItem, error) {
	if !arranges(actor, actor.Organization) {
		return nil, ErrForbidden
	}
	var list []ZoneItem
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		list, err = zoneItems(ctx, tx, "")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("zone items: %w", err)
	}
	return list, nil
}

// DecideZoneItem settles one visit. With KeepWall its instant moves and the people
// with it; whose own clock reads another time than before answers anew. Everybody
// concerned is told why. A visit that cannot move because somebody sits elsewhere
// then is ErrSlotTaken and still waits; one that was changed meanwhile is ErrVersion.
func (s *Service) DecideZoneItem(ctx context.Context, actor identity.Actor, id string, d ZoneDecision) error {
	if d != KeepWall && d != KeepInstant {
		return fmt.Errorf("%w: decision %q", ErrInvalidRequest, d)
	}
	if !known(id) {
		return ErrNotFound
	}
	if !arranges(actor, actor.Organization) {
		return ErrForbidden
	}
	err := s.write(ctx, actor.Scope(), func(tx *audit.Tx) error { return s.decideZone(ctx, tx, actor, id, d, nil) })
	if err != nil {
		return fmt.Errorf("decide zone item %s: %w", id, err)
	}
	return nil
}

// decideZone settles a visit by the actor, or by what was decided in advance.
func (s *Service) decideZone(ctx context.Context, tx *audit.Tx, actor identity.Actor, id string, d ZoneDecision, standing *ZoneStanding) error {
	of, err := zoneItemOf(ctx, tx, id)
	if err != nil {
		return err
	}
	a, err := appointment(ctx, tx, of.Appointment, true)
	if err != nil {
		return err
	}
	item, err := zoneItemOf(ctx, tx, id) // again, now that nobody else decides
	if err != nil {
		return err
	}
	if !a.StartAt.Equal(item.OldStart) || !a.State.Occupies() {
		return ErrVersion
	}
	if err := settleSeats(ctx, tx, item, d); err != nil {
		return err
	}
	e := actor.Event("appointment.clock_kept")
	state, before := "kept_instant", a.StartAt
	a.ZoneVersion, a.StartLocal = item.To, item.Parties[0].Instant
	if d == KeepWall {
		state = "kept_wall"
		a.StartAt, a.StartLocal = item.NewStart, item.Parties[0].Wall
		if item.delta() != 0 {
			a.Sequence++
			e = actor.Event("appointment.clock_moved")
		}
	}
	promised, err := wasConfirmed(ctx, tx, a.ID)
	if err != nil {
		return err
	}
	var ask []string
	for _, p := range item.Parties {
		reads := p.Instant
		if d == KeepWall {
			reads = p.Wall
		}
		seat, ok := a.Seat(p.Person)
		if !ok || seat.ID != p.Seat {
			continue
		}
		if (promised || seat.Role != RolePatient) && (reads != p.Before || item.delta() != 0 && d == KeepWall) {
			e.Tell = append(e.Tell, string(p.Person))
		}
		if reads != p.Before && p.Person != actor.Person {
			ask = append(ask, string(p.Seat))
			if seat.Role == RoleInterpreter {
				if to, ok := a.State.Next(EventWait); ok && a.State == StateBooked {
					a.State = to
				}
			}
		}
	}
	if err := moveAssignments(ctx, tx, a.ID, before, a.StartAt); err != nil {
		return err
	}
	if err := askAnew(ctx, tx, a, ask); err != nil {
		return err
	}
	if err := saveClock(ctx, tx, a); err != nil {
		return err
	}
	by := actor.Person
	if standing != nil {
		by = standing.By
		if err := markZoneStanding(ctx, tx, id); err != nil {
			return err
		}
	}
	if err := endZoneItem(ctx, tx, id, state, string(by)); err != nil {
		return err
	}
	if left, err := zoneItems(ctx, tx, item.Update); err != nil {
		return err
	} else if len(left) == 0 {
		if err := closeZoneUpdate(ctx, tx, item.Update); err != nil {
			return err
		}
	}
	if err := reviewNow(ctx, tx, a.ID); err != nil {
		return err
	}
	if a, err = appointment(ctx, tx, a.ID, false); err != nil {
		return err
	}
	if err := s.planReminders(ctx, tx, a); err != nil {
		return err
	}
	e.Objects = map[string]string{"appointment": string(a.ID), "zone_update": item.Update}
	e.Reason = string(d)
	e.Detail = map[string]any{"from": item.OldStart.Format(time.RFC3339), "to": a.StartAt.Format(time.RFC3339), "zone": a.AnchorZone,
		"tzdata": item.To, "was": item.From, "standing": standing != nil}
	tx.Append(e)
	return nil
}

// DecideZoneItems settles the visits of the clinic that wait and are held on the clock
// of a zone, all if it is "", in an order in which each makes room for the next, and
// returns how many it could not move.
func (s *Service) DecideZoneItems(ctx context.Context, actor identity.Actor, d ZoneDecision, zone string) (done, left int, err error) {
	list, err := s.ZoneItems(ctx, actor)
	if err != nil {
		return 0, 0, err
	}
	list = slices.DeleteFunc(list, func(i ZoneItem) bool { return zone != "" && i.Zone() != zone })
	slices.SortStableFunc(list, func(x, y ZoneItem) int {
		if x.delta() > 0 && y.delta() > 0 {
			return y.OldStart.Compare(x.OldStart) // the latest moves out of the way first
		}
		return x.OldStart.Compare(y.OldStart)
	})
	for _, i := range list {
		switch err := s.DecideZoneItem(ctx, actor, i.ID, d); {
		case err == nil:
			done++
		case isOneOf(err, ErrSlotTaken, ErrVersion, ErrNotFound):
			left++
		default:
			return done, left, err
		}
	}
	return done, left, nil
}
