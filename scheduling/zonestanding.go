package scheduling

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// DecideLater is the standing decision of a clinic that has none: a person decides.
const DecideLater ZoneDecision = "none"

// ZoneDecisions are the standing decisions a clinic may choose from, in the order of
// the form.
var ZoneDecisions = []ZoneDecision{KeepWall, KeepInstant, DecideLater}

// UndecidedBefore is how long before its start a visit that waits for a decision is
// alerted of, and the standing decision applies.
const UndecidedBefore = 72 * time.Hour

// mostZonesDue bounds one round of SettleZones.
const mostZonesDue = 500

// ZoneStanding is what a clinic decided in advance about visits that new clock rules
// move.
type ZoneStanding struct {
	Decision ZoneDecision
	Version  int // 0 before it was first set
	By       identity.PersonID
	At       time.Time
}

// Due is from when on those who arrange are alerted and the standing decision applies.
func (i ZoneItem) Due() time.Time { return earlier(i.OldStart, i.NewStart).Add(-UndecidedBefore) }

// DecidedZone is a visit about which was decided.
type DecidedZone struct {
	ZoneItem
	Decision ZoneDecision
	By       identity.PersonID // of a standing decision: who put it on file
	Standing bool
	At       time.Time
}

// ZoneStandingOf reads the standing decision of the actor's clinic, for those who
// arrange for it.
func (s *Service) ZoneStandingOf(ctx context.Context, actor identity.Actor) (ZoneStanding, error) {
	if !arranges(actor, actor.Organization) {
		return ZoneStanding{}, ErrForbidden
	}
	var out ZoneStanding
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		out, err = zoneStanding(ctx, tx)
		return err
	})
	if err != nil {
		return ZoneStanding{}, fmt.Errorf("standing decision about clocks: %w", err)
	}
	return out, nil
}

// SetZoneStanding puts a standing decision of the actor's clinic on file. version is the
// one that was read; another is ErrVersion. It is for the clinic's coordinators.
func (s *Service) SetZoneStanding(ctx context.Context, actor identity.Actor, d ZoneDecision, version int) (ZoneStanding, error) {
	if !slices.Contains(ZoneDecisions, d) {
		return ZoneStanding{}, fmt.Errorf("%w: decision %q", ErrInvalidRequest, d)
	}
	if !actor.Has(identity.RoleCoordinator) || actor.Guest() || actor.Organization == "" {
		return ZoneStanding{}, ErrForbidden
	}
	out := ZoneStanding{Decision: d, Version: version + 1, By: actor.Person}
	err := s.write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		out.At = tx.Now()
		if err := saveZoneStanding(ctx, tx, out); err != nil {
			return err
		}
		e := actor.Event("zone_standing.set")
		e.Objects = map[string]string{"organization": string(actor.Organization)}
		e.Reason = string(d)
		tx.Append(e)
		return nil
	})
	if err != nil {
		return ZoneStanding{}, fmt.Errorf("put a standing decision about clocks on file: %w", err)
	}
	return out, nil
}

// ZoneHistory are the visits of the actor's clinic about which was decided last, the
// latest first.
func (s *Service) ZoneHistory(ctx context.Context, actor identity.Actor, most int) ([]DecidedZone, error) {
	if !arranges(actor, actor.Organization) {
		return nil, ErrForbidden
	}
	var out []DecidedZone
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		out, err = zonesDecided(ctx, tx, most)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("decisions about clocks: %w", err)
	}
	return out, nil
}

// SettleZones sees to visits that begin within UndecidedBefore and wait for a decision
// about their clock: those who arrange are alerted, once for each visit, and the
// standing decision of the clinic applies, if there is one. A visit that it cannot
// move stays with those who arrange, as a conflict, and is tried again. What it does is
// told by the data alone, so it goes on after a kill where it stopped. It returns how
// many visits it alerted of or settled.
func (s *Service) SettleZones(ctx context.Context) (int, error) {
	var due map[identity.OrganizationID][]string
	err := s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) (err error) {
		due, err = zonesDue(ctx, tx, tx.Now().Add(UndecidedBefore), mostZonesDue)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("settle zones: %w", err)
	}
	n := 0
	for org, ids := range due {
		did, err := s.settleClinic(ctx, org, ids)
		if n += did; err != nil {
			return n, fmt.Errorf("settle zones of clinic %s: %w", org, err)
		}
	}
	return n, nil
}

// settleClinic sees to due visits of one clinic, a transaction each. One that has no
// room is tried again after others have moved away.
func (s *Service) settleClinic(ctx context.Context, org identity.OrganizationID, ids []string) (int, error) {
	job := identity.System("zones", org)
	var standing ZoneStanding
	n := 0
	for _, id := range ids {
		fresh := false
		err := s.write(ctx, job.Scope(), func(tx *audit.Tx) (err error) {
			if standing, err = zoneStanding(ctx, tx); err != nil {
				return err
			}
			fresh, err = s.alertZone(ctx, tx, job, id, standing)
			return err
		})
		if err != nil {
			return n, fmt.Errorf("alert of zone item %s: %w", id, err)
		}
		if fresh {
			n++
		}
	}
	if standing.Decision == DecideLater {
		return n, nil
	}
	for moved := true; moved && len(ids) > 0; {
		var stuck []string
		for _, id := range ids {
			err := s.write(ctx, job.Scope(), func(tx *audit.Tx) error {
				return s.decideZone(ctx, tx, job, id, standing.Decision, &standing)
			})
			switch {
			case err == nil:
				n++
			case isOneOf(err, ErrSlotTaken):
				stuck = append(stuck, id)
			case !isOneOf(err, ErrNotFound, ErrVersion): // not decided, moved or canceled meanwhile
				return n, fmt.Errorf("settle zone item %s: %w", id, err)
			}
		}
		moved = len(stuck) < len(ids)
		ids = stuck
	}
	for _, id := range ids {
		if err := s.write(ctx, job.Scope(), func(tx *audit.Tx) error { return s.zoneConflict(ctx, tx, job, id) }); err != nil {
			return n, fmt.Errorf("conflict of zone item %s: %w", id, err)
		}
	}
	return n, nil
}

// alertZone tells those who arrange that a visit is undecided; false if they were told.
func (s *Service) alertZone(ctx context.Context, tx *audit.Tx, job identity.Actor, id string, standing ZoneStanding) (bool, error) {
	fresh, err := markZoneAlerted(ctx, tx, id)
	if err != nil || !fresh {
		return false, err
	}
	item, err := zoneItemOf(ctx, tx, id)
	if err != nil {
		return false, err
	}
	a, err := appointment(ctx, tx, item.Appointment, false)
	if err != nil {
		return false, err
	}
	e := job.Event("zone_update.due")
	if standing.Decision != DecideLater {
		e.Act = "zone_update.standing"
	}
	e.Objects = map[string]string{"appointment": string(a.ID), "zone_update": item.Update}
	e.Reason = string(standing.Decision)
	if e.Tell, err = s.arrangers(ctx, tx, a); err != nil {
		return false, err
	}
	tx.Append(e)
	return true, nil
}

// zoneConflict leaves a visit that a standing decision cannot move to a person.
func (s *Service) zoneConflict(ctx context.Context, tx *audit.Tx, job identity.Actor, id string) error {
	fresh, err := markZoneConflict(ctx, tx, id)
	if err != nil || !fresh {
		return err
	}
	item, err := zoneItemOf(ctx, tx, id)
	if err != nil {
		return err
	}
	a, err := appointment(ctx, tx, item.Appointment, false)
	if err != nil {
		return err
	}
	e := job.Event("zone_update.conflict")
	e.Objects = map[string]string{"appointment": string(a.ID), "zone_update": item.Update}
	if e.Tell, err = s.arrangers(ctx, tx, a); err != nil {
		return err
	}
	tx.Append(e)
	return nil
}
