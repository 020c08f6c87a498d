package scheduling

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling/ical"
)

// PresenceID is a UUIDv7.
type PresenceID string

// Errors of presences.
var (
	// ErrSeriesEnd means that a series has no end, or goes beyond a year.
	ErrSeriesEnd = errors.New("scheduling: series without end, or beyond the horizon")
	// ErrWindowLength means that a window is shorter than 15 minutes or longer than 8 hours.
	ErrWindowLength = errors.New("scheduling: window too short or too long")
	// ErrWindowUsed means that visits are booked in a window: they come first.
	ErrWindowUsed = errors.New("scheduling: visits are booked in the window")
	// ErrPast means that a time is over.
	ErrPast = errors.New("scheduling: in the past")
)

// WindowState is where a window of a presence stands.
type WindowState string

// The states of a window. Open and moved ones can be booked into.
const (
	WindowOpen     WindowState = "open"
	WindowMoved    WindowState = "moved"
	WindowCanceled WindowState = "canceled"
	WindowReleased WindowState = "released" // it stayed empty
)

// WindowEvent is what moves a window from state to state.
type WindowEvent string

// The events of a window.
const (
	WindowMove    WindowEvent = "move"
	WindowCancel  WindowEvent = "cancel"
	WindowRelease WindowEvent = "release"
)

// Next is the state after an event; false means that the event has no place there.
func (s WindowState) Next(ev WindowEvent) (WindowState, bool) {
	if s != WindowOpen && s != WindowMoved {
		return s, false
	}
	switch ev {
	case WindowMove:
		return WindowMoved, true
	case WindowCancel:
		return WindowCanceled, true
	case WindowRelease:
		return WindowReleased, true
	}
	return s, false
}

// On tells whether the specialist is there in a window.
func (s WindowState) On() bool { return s == WindowOpen || s == WindowMoved }

// Presence is a specialist's promise to be there for a clinic, week by week or month
// by month. Its windows are hours in which the clinic books; a window seats nobody by
// itself, so what a person may do is judged when a visit is booked into it.
type Presence struct {
	ID           PresenceID
	Organization identity.OrganizationID // the clinic
	Person       identity.PersonID       // the specialist
	Rule         Rule
	AnchorZone   string // the clock that keeps the wall time
	Duration     time.Duration
	UID          string // of the calendar file, for all windows
	Sequence     int    // of the series in the calendar file
	Version      int
	CreatedAt    time.Time
	Program      Program
	Windows      []Window // by the time of the rule
}

// LogValue gives the id alone.
func (p Presence) LogValue() slog.Value { return slog.StringValue(string(p.ID)) }

// Window is one occurrence of a presence.
type Window struct {
	Occurrence Wall // on the anchor clock; names it for ever, also after it moved
	StartLocal Wall
	Start, End time.Time
	State      WindowState
	Sequence   int               // in the calendar file, of a moved one
	Person     identity.PersonID // who is there: the specialist, or who stands in
}

// Window finds the window of an occurrence.
func (p Presence) Window(occurrence Wall) (Window, bool) {
	i := slices.IndexFunc(p.Windows, func(w Window) bool { return w.Occurrence == occurrence })
	if i < 0 {
		return Window{}, false
	}
	return p.Windows[i], true
}

// regular are the windows that stand where the rule put them.
func (p Presence) regular() []Occurrence {
	var out []Occurrence
	for _, w := range p.Windows {
		if w.State == WindowOpen {
			out = append(out, Occurrence{Local: w.Occurrence, Start: w.Start, End: w.End})
		}
	}
	return out
}

// HourMoves finds where the hour moves on the clock of a zone, see [HourMoves].
func (p Presence) HourMoves(zone string) ([]HourMove, error) { return HourMoves(p.regular(), zone) }

// OfferRequest asks for a presence.
type OfferRequest struct {
	Clinic identity.OrganizationID
	// Rule repeats weekly or monthly between two dates; its times are on the clock of
	// Zone, which keeps them when clocks change.
	Rule Rule
	Zone string
	// Open: the presence has no last date. Windows are kept ahead for a year, at most 26,
	// and more are added as time passes; Rule.Until is nil.
	Open bool
	// Skip are dates of the rule to leave out.
	Skip []Date
}

// SeriesConflict lists the occurrences of a series that cannot be; nothing was kept
// of the others.
type SeriesConflict struct{ Taken []Conflict }

func (e *SeriesConflict) Error() string {
	return fmt.Sprintf("scheduling: %d occurrences are taken", len(e.Taken))
}

// Conflict is one occurrence that cannot be, and why.
type Conflict struct {
	Occurrence
	Cause ConflictCause
}

// ConflictCause says what is in the way.
type ConflictCause string

// What can be in the way of a window.
const (
	TakenBySeat     ConflictCause = "seat"     // a visit of the specialist's
	TakenByPresence ConflictCause = "presence" // another window of the specialist's
)

// Occurrences are the times that are asked for, skipped ones included; of a presence
// without a last date those of the horizon.
func (r OfferRequest) Occurrences(now time.Time) ([]Occurrence, error) {
	if r.Open {
		return materialize(r.Rule, r.Zone, true, now)
	}
	return Occurrences(r.Rule, r.Zone)
}

// occurrences are those of the request that are not skipped.
func (r OfferRequest) occurrences(now time.Time) ([]Occurrence, error) {
	list, err := r.Occurrences(now)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(o Occurrence) bool { return slices.Contains(r.Skip, o.Local.Date) })
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: every date is left out", ErrInvalidRequest)
	}
	return list, nil
}

// Offer makes a presence with all its windows, or none: what is in the way is a
// *SeriesConflict with the occurrences, and a time that does not exist a
// *WallRefusal. It is for specialists, for themselves. The clinic's physicians and
// coordinators are told.
func (s *Service) Offer(ctx context.Context, actor identity.Actor, req OfferRequest) (Presence, error) {
	if actor.Guest() || !actor.Has(identity.RoleSpecialist) {
		return Presence{}, ErrForbidden
	}
	if !known(req.Clinic) {
		return Presence{}, ErrNotFound
	}
	if req.Open {
		req.Rule.Until = nil
	}
	list, err := req.occurrences(s.db.Now())
	if err != nil {
		return Presence{}, err
	}
	var out Presence
	err = s.write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		now := tx.Now()
		switch {
		case !list[0].Start.After(now):
			return ErrPast
		case list[len(list)-1].Start.After(now.Add(seriesHorizon)):
			return ErrSeriesEnd
		}
		id, err := newID()
		if err != nil {
			return err
		}
		out = Presence{ID: PresenceID(id), Organization: req.Clinic, Person: actor.Person, Rule: req.Rule, AnchorZone: req.Zone, Duration: req.Rule.seriesDuration(),
			UID: ical.UID(id, s.host), Version: 1, CreatedAt: now, Program: DefaultProgram}
		for _, o := range list {
			out.Windows = append(out.Windows, Window{Occurrence: o.Local, StartLocal: o.Local, Start: o.Start, End: o.End, State: WindowOpen, Person: actor.Person})
		}
		// The clinic's rows: its people work with them.
		if err := audit.Enter(ctx, tx, audit.Scope{Organization: string(req.Clinic), Person: string(actor.Person)}); err != nil {
			return err
		}
		if err := insertPresence(ctx, tx, out); err != nil {
			return err
		}
		if err := s.takeWindows(ctx, tx, out, list); err != nil {
			return err
		}
		e := actor.Event("presence.offered")
		e.Objects = map[string]string{"presence": string(out.ID)}
		e.Detail = map[string]any{"windows": len(list), "zone": req.Zone, "first": list[0].Local.String(), "last": list[len(list)-1].Local.String(), "tzdata": ZoneVersion()}
		if e.Tell, err = s.hosts(ctx, tx, req.Clinic); err != nil {
			return err
		}
		tx.Append(e)
		return nil
	})
	if err != nil {
		return Presence{}, fmt.Errorf("offer presence: %w", err)
	}
	return out, nil
}

// takeWindows inserts all windows, or says which cannot be.
func (s *Service) takeWindows(ctx context.Context, tx *audit.Tx, p Presence, list []Occurrence) error {
	taken, err := busy(ctx, tx, []identity.PersonID{p.Person}, list[0].Start, list[len(list)-1].End)
	if err != nil {
		return err
	}
	var conflicts []Conflict
	for _, o := range list {
		if slices.ContainsFunc(taken[p.Person], func(r Range) bool { return r.Start.Before(o.End) && o.Start.Before(r.End) }) {
			conflicts = append(conflicts, Conflict{o, TakenBySeat})
		}
	}
	took, err := insertWindows(ctx, tx, p)
	if err != nil {
		return err
	}
	for _, o := range list {
		if !took[o.Local] && !slices.ContainsFunc(conflicts, func(c Conflict) bool { return c.Local == o.Local }) {
			conflicts = append(conflicts, Conflict{o, TakenByPresence})
		}
	}
	if len(conflicts) == 0 {
		return nil
	}
	slices.SortFunc(conflicts, func(x, y Conflict) int { return x.Start.Compare(y.Start) })
	return &SeriesConflict{Taken: conflicts}
}

// hosts are those of a clinic who are told of its presences: local physicians and
// coordinators.
func (s *Service) hosts(ctx context.Context, tx *audit.Tx, clinic identity.OrganizationID) ([]string, error) {
	people, err := s.hostPeople(ctx, tx, clinic)
	out := make([]string, 0, len(people))
	for _, p := range people {
		out = append(out, string(p.ID))
	}
	return out, err
}

func (s *Service) hostPeople(ctx context.Context, tx *audit.Tx, clinic identity.OrganizationID) ([]identity.Person, error) {
	staff, ok := s.people.(Staff)
	if !ok {
		return nil, nil
	}
	return identity.StaffOf(ctx, tx, staff, clinic, identity.RoleLocalPhysician, identity.RoleCoordinator)
}

// Presences lists the presences that the actor may know of, those that are over last:
// a specialist's own, and those for the clinic the actor arranges for.
func (s *Service) Presences(ctx context.Context, actor identity.Actor) ([]Presence, error) {
	if actor.Guest() || actor.Person == "" {
		return nil, ErrForbidden
	}
	var list []Presence
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		if list, err = presencesWhere(ctx, tx, `true`, ""); err != nil {
			return err
		}
		list = slices.DeleteFunc(list, func(p Presence) bool { return !mayKnow(actor, p) })
		return wholeWindows(ctx, tx, actor, list)
	})
	if err != nil {
		return nil, fmt.Errorf("presences: %w", err)
	}
	slices.SortStableFunc(list, func(x, y Presence) int {
		return x.Windows[len(x.Windows)-1].End.Compare(y.Windows[len(y.Windows)-1].End)
	})
	return list, nil
}

func mayKnow(actor identity.Actor, p Presence) bool {
	return !actor.Guest() && actor.Person != "" && (actor.Person == p.Person || slices.ContainsFunc(p.Windows, func(w Window) bool { return w.Person == actor.Person })) ||
		arranges(actor, p.Organization)
}

// Presence reads one presence: for its specialist and for those who arrange for its
// clinic.
func (s *Service) Presence(ctx context.Context, actor identity.Actor, id PresenceID) (Presence, error) {
	var p Presence
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		p, err = openPresence(ctx, tx, actor, id, false)
		return err
	})
	if err != nil {
		return Presence{}, fmt.Errorf("presence %s: %w", id, err)
	}
	return p, nil
}

func openPresence(ctx context.Context, tx *audit.Tx, actor identity.Actor, id PresenceID, lock bool) (Presence, error) {
	if !known(id) {
		return Presence{}, ErrNotFound
	}
	where := `id = @id`
	if lock {
		where += ` for update`
	}
	list, err := presencesWhere(ctx, tx, where, id)
	switch {
	case err != nil:
		return Presence{}, err
	case len(list) == 0 || !mayKnow(actor, list[0]):
		return Presence{}, ErrNotFound
	}
	return list[0], wholeWindows(ctx, tx, actor, list)
}

// wholeWindows reads all windows of presences that the actor may know of, in the scope of
// the clinic of the last: the specialist's own shows none in which somebody stands in.
func wholeWindows(ctx context.Context, tx *audit.Tx, actor identity.Actor, list []Presence) error {
	slices.SortStableFunc(list, func(x, y Presence) int { return cmp.Compare(x.Organization, y.Organization) })
	for len(list) > 0 {
		clinic := list[0].Organization
		n := slices.IndexFunc(list, func(p Presence) bool { return p.Organization != clinic })
		if n < 0 {
			n = len(list)
		}
		if err := audit.Enter(ctx, tx, audit.Scope{Organization: string(clinic), Person: string(actor.Person)}); err != nil {
			return err
		}
		if err := readWindows(ctx, tx, list[:n]); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// WindowRequest names one occurrence of a presence as it was read.
type WindowRequest struct {
	Presence   PresenceID
	Version    int
	Occurrence Wall
}

// MoveWindow gives one occurrence another time on the anchor clock; which says which
// one is meant when that clock shows the time twice: 1 or 2. The series and the name
// of the occurrence stay. Visits booked in the window come first: ErrWindowUsed.
func (s *Service) MoveWindow(ctx context.Context, actor identity.Actor, req WindowRequest, to Wall, which int) (Presence, error) {
	return s.changeWindow(ctx, actor, req, WindowMove, func(tx *audit.Tx, p Presence, w *Window) error {
		start, err := BookRequest{StartLocal: &to, Zone: p.AnchorZone, Occurrence: which}.start()
		if err != nil {
			return err
		}
		next := Range{start, start.Add(p.Duration)}
		switch {
		case !start.After(tx.Now()):
			return ErrPast
		case start.Equal(w.Start):
			return fmt.Errorf("%w: it begins then already", ErrInvalidRequest)
		case start.After(tx.Now().Add(seriesHorizon)):
			return ErrSeriesEnd
		}
		taken, err := busy(ctx, tx, []identity.PersonID{w.Person}, next.Start, next.End)
		if err != nil {
			return err
		}
		if len(taken[w.Person]) > 0 {
			return ErrSlotTaken
		}
		w.StartLocal, w.Start, w.End = to, next.Start, next.End
		return nil
	})
}

// CancelWindow takes one occurrence out of a presence.
func (s *Service) CancelWindow(ctx context.Context, actor identity.Actor, req WindowRequest) (Presence, error) {
	return s.changeWindow(ctx, actor, req, WindowCancel, func(*audit.Tx, Presence, *Window) error { return nil })
}

func (s *Service) changeWindow(ctx context.Context, actor identity.Actor, req WindowRequest, ev WindowEvent, change func(*audit.Tx, Presence, *Window) error) (Presence, error) {
	var p Presence
	err := s.write(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		if p, err = openPresence(ctx, tx, actor, req.Presence, true); err != nil {
			return err
		}
		if p.Version != req.Version {
			return ErrVersion
		}
		i := slices.IndexFunc(p.Windows, func(w Window) bool { return w.Occurrence == req.Occurrence })
		if i < 0 {
			return ErrNotFound
		}
		w := p.Windows[i]
		to, ok := w.State.Next(ev)
		if !ok {
			return ErrState
		}
		if !w.Start.After(tx.Now()) {
			return ErrPast
		}
		taken, err := busy(ctx, tx, []identity.PersonID{w.Person}, w.Start, w.End)
		if err != nil {
			return err
		}
		if len(taken[w.Person]) > 0 {
			return ErrWindowUsed
		}
		was := w
		if err := change(tx, p, &w); err != nil {
			return err
		}
		// A moved occurrence is a component of its own in the calendar file; taking one
		// out changes the series itself.
		next := p.next()
		w.State = to
		if ev == WindowMove {
			w.Sequence = next
		} else {
			p.Sequence = next
		}
		p.Windows[i] = w
		if err := saveWindow(ctx, tx, p, w); err != nil {
			return err
		}
		p.Version++
		e := actor.Event("presence." + string(w.State))
		e.Objects = map[string]string{"presence": string(p.ID), "occurrence": w.Occurrence.String()}
		e.Detail = map[string]any{"from": was.Start.Format(time.RFC3339), "to": w.Start.Format(time.RFC3339), "sequence": next}
		if e.Tell, err = s.hosts(ctx, tx, p.Organization); err != nil {
			return err
		}
		e.Tell = append(e.Tell, string(p.Person))
		if w.Person != p.Person {
			e.Tell = append(e.Tell, string(w.Person))
		}
		tx.Append(e)
		return nil
	})
	if err != nil {
		return Presence{}, fmt.Errorf("%s window of presence %s: %w", ev, req.Presence, err)
	}
	return p, nil
}
