package scheduling

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

const (
	// UnfilledBefore is how long before it begins a window is looked at: an empty one is
	// released or kept, as its program says.
	UnfilledBefore = 48 * time.Hour
	mostUnfilled   = 200
	// nearWindows is how many times are proposed for a window that is given up, within
	// nearDays before or after it.
	nearWindows = 3
	nearDays    = 21
)

// LookAtWindows looks at each window once, UnfilledBefore it begins: one in which nobody
// is booked is released, so that the specialist is free for other things, or kept, and
// the clinic is told. It is a job and may be repeated. It returns how many were empty.
func (s *Service) LookAtWindows(ctx context.Context) (int, error) {
	var due map[identity.OrganizationID][]string
	err := s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) (err error) {
		due, err = windowsUnfilled(ctx, tx, tx.Now().Add(UnfilledBefore), mostUnfilled)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("look at windows: %w", err)
	}
	n := 0
	for org, ids := range due {
		for _, id := range ids {
			empty := false
			err := s.write(ctx, audit.Scope{Organization: string(org)}, func(tx *audit.Tx) (err error) {
				empty, err = s.lookAtWindow(ctx, tx, org, id)
				return err
			})
			if err != nil {
				return n, fmt.Errorf("look at window %s: %w", id, err)
			}
			if empty {
				n++
			}
		}
	}
	return n, nil
}

func (s *Service) lookAtWindow(ctx context.Context, tx *audit.Tx, org identity.OrganizationID, id string) (bool, error) {
	job := identity.System("programs", org)
	of, occurrence, err := windowOf(ctx, tx, id)
	if err != nil {
		return false, err
	}
	p, err := openPresence(ctx, tx, job, of, true)
	if err != nil {
		return false, err
	}
	fresh, err := markLooked(ctx, tx, id)
	if err != nil || !fresh {
		return false, err
	}
	i := slices.IndexFunc(p.Windows, func(w Window) bool { return w.Occurrence == occurrence })
	if i < 0 || !p.Windows[i].State.On() {
		return false, nil
	}
	fills, err := fillsOf(ctx, tx, p)
	if err != nil || fills[occurrence].Visits > 0 {
		return false, err
	}
	w := p.Windows[i]
	e := job.Event("presence.unfilled")
	if p.Program.Unfilled == UnfilledRelease {
		w.State, _ = w.State.Next(WindowRelease)
		p.Sequence = p.next()
		if err := saveWindow(ctx, tx, p, w); err != nil {
			return false, err
		}
		e = job.Event("presence.released")
	}
	e.Objects = map[string]string{"presence": string(p.ID), "occurrence": occurrence.String()}
	e.Reason = string(p.Program.Unfilled)
	if e.Tell, err = s.hosts(ctx, tx, org); err != nil {
		return false, err
	}
	if w.State == WindowReleased {
		e.Tell = append(e.Tell, string(w.Person))
	}
	tx.Append(e)
	return true, nil
}

// WindowProposal is what could be instead of a window: somebody who stands in, or another
// time of the specialist's.
type WindowProposal struct {
	Substitute identity.PersonID // "": the same at another time
	Name       string
	Local      Wall // on the anchor clock
	Start, End time.Time
}

// WindowProposals says what could be instead of a window that is to be given up: the
// substitutes who are free then, in the order of the program, and the nearest times at
// which the specialist is. It is no promise.
func (s *Service) WindowProposals(ctx context.Context, actor identity.Actor, id PresenceID, occurrence Wall) ([]WindowProposal, error) {
	var out []WindowProposal
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		p, err := openPresence(ctx, tx, actor, id, false)
		if err != nil {
			return err
		}
		w, ok := p.Window(occurrence)
		if !ok {
			return ErrNotFound
		}
		if !w.Start.After(tx.Now()) {
			return nil
		}
		out, err = s.windowProposals(ctx, tx, p, w)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("instead of a window of presence %s: %w", id, err)
	}
	return out, nil
}

func (s *Service) windowProposals(ctx context.Context, tx *audit.Tx, p Presence, w Window) ([]WindowProposal, error) {
	var out []WindowProposal
	people, err := s.people.PeopleTx(ctx, tx, append([]identity.PersonID{w.Person}, p.Program.Substitutes...)...)
	if err != nil {
		return nil, fmt.Errorf("substitutes: %w", err)
	}
	for _, id := range p.Program.Substitutes {
		if one, ok := people[id]; !ok || one.Disabled || id == w.Person || w.State == WindowCanceled {
			continue
		}
		taken, err := takenUp(ctx, tx, p, id, Range{w.Start, w.End})
		if err != nil {
			return nil, err
		}
		if len(taken) == 0 {
			out = append(out, WindowProposal{Substitute: id, Name: people[id].Name, Local: w.StartLocal, Start: w.Start, End: w.End})
		}
	}
	loc, err := LoadZone(p.AnchorZone)
	if err != nil {
		return nil, err
	}
	var near []WindowProposal
	for d := Date(-nearDays); d <= nearDays; d++ {
		c := CheckWall(loc, Wall{w.StartLocal.Date + d, w.StartLocal.Minute})
		if d == 0 || c.Kind == WallGap || !c.NextAt.After(tx.Now()) {
			continue
		}
		near = append(near, WindowProposal{Name: people[w.Person].Name, Local: Wall{w.StartLocal.Date + d, w.StartLocal.Minute}, Start: c.NextAt, End: c.NextAt.Add(p.Duration)})
	}
	if len(near) == 0 {
		return out, nil
	}
	slices.SortStableFunc(near, func(x, y WindowProposal) int {
		return cmp.Compare(x.Start.Sub(w.Start).Abs(), y.Start.Sub(w.Start).Abs())
	})
	from, to := near[0].Start, near[0].End
	for _, n := range near {
		from, to = earlier(from, n.Start), later(to, n.End)
	}
	taken, err := takenUp(ctx, tx, p, w.Person, Range{from, to})
	if err != nil {
		return nil, err
	}
	found := 0
	for _, n := range near {
		if found == nearWindows {
			break
		}
		if slices.ContainsFunc(taken, func(r Range) bool { return r.Start.Before(n.End) && n.Start.Before(r.End) }) {
			continue
		}
		found++
		out = append(out, n)
	}
	return out, nil
}

// takenUp is when somebody sits or is present somewhere, the clinic's windows included.
func takenUp(ctx context.Context, tx *audit.Tx, p Presence, id identity.PersonID, within Range) ([]Range, error) {
	taken, err := busy(ctx, tx, []identity.PersonID{id}, within.Start, within.End)
	if err != nil {
		return nil, err
	}
	here, elsewhere, err := presenceWindows(ctx, tx, id, within, p.Organization)
	if err != nil {
		return nil, err
	}
	out := slices.Concat(taken[id], elsewhere)
	for _, h := range here {
		out = append(out, h.Range)
	}
	return out, nil
}

// SubstituteWindow lets one of the program's substitutes stand in for a window. Visits
// booked in it come first: ErrWindowUsed; who is not free is ErrSlotTaken. Both sides are
// told, and the specialist's calendar.
func (s *Service) SubstituteWindow(ctx context.Context, actor identity.Actor, req WindowRequest, who identity.PersonID) (Presence, error) {
	var p Presence
	err := s.write(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		if p, err = openPresence(ctx, tx, actor, req.Presence, true); err != nil {
			return err
		}
		i := slices.IndexFunc(p.Windows, func(w Window) bool { return w.Occurrence == req.Occurrence })
		switch {
		case p.Version != req.Version:
			return ErrVersion
		case i < 0:
			return ErrNotFound
		case !p.Windows[i].State.On():
			return ErrState
		case !p.Windows[i].Start.After(tx.Now()):
			return ErrPast
		case !slices.Contains(p.Program.Substitutes, who):
			return fmt.Errorf("%w: substitute", ErrInvalidRequest)
		}
		w := p.Windows[i]
		visits, err := visitsIn(ctx, tx, p, []Window{w})
		if err != nil {
			return err
		}
		if len(visits) > 0 {
			return ErrWindowUsed
		}
		taken, err := busy(ctx, tx, []identity.PersonID{who}, w.Start, w.End)
		if err != nil {
			return err
		}
		if len(taken[who]) > 0 {
			return ErrSlotTaken
		}
		was := w.Person
		w.Person = who
		p.Windows[i] = w
		p.Sequence = p.next()
		if err := saveWindow(ctx, tx, p, w); err != nil {
			return err
		}
		p.Version++
		e := actor.Event("presence.substituted")
		e.Objects = map[string]string{"presence": string(p.ID), "occurrence": w.Occurrence.String()}
		if e.Tell, err = s.hosts(ctx, tx, p.Organization); err != nil {
			return err
		}
		e.Tell = append(e.Tell, string(was), string(who))
		tx.Append(e)
		return nil
	})
	if err != nil {
		return Presence{}, fmt.Errorf("substitute in a window of presence %s: %w", req.Presence, err)
	}
	return p, nil
}

// TopUpPresences adds windows to presences without a last date, so that as many as
// openWindows are ahead. Where the specialist is taken meanwhile the window is canceled
// from the start, and both sides are told. It is a job and may be repeated.
func (s *Service) TopUpPresences(ctx context.Context) (int, error) {
	var due map[identity.OrganizationID][]string
	err := s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) (err error) {
		due, err = presencesOpen(ctx, tx, openWindows, tx.Now().Add(seriesHorizon-topUpEvery))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("top up presences: %w", err)
	}
	n := 0
	for org, ids := range due {
		for _, id := range ids {
			added := 0
			err := s.write(ctx, audit.Scope{Organization: string(org)}, func(tx *audit.Tx) (err error) {
				added, err = s.topUp(ctx, tx, org, PresenceID(id))
				return err
			})
			if err != nil {
				return n, fmt.Errorf("top up presence %s: %w", id, err)
			}
			n += added
		}
	}
	return n, nil
}

// topUpEvery is how much of the horizon may be used up before windows are added.
const topUpEvery = 7 * 24 * time.Hour

func (s *Service) topUp(ctx context.Context, tx *audit.Tx, org identity.OrganizationID, id PresenceID) (int, error) {
	job := identity.System("programs", org)
	p, err := openPresence(ctx, tx, job, id, true)
	if err != nil || p.Rule.Until != nil {
		return 0, err
	}
	list, err := materialize(p.Rule, p.AnchorZone, true, tx.Now())
	if err != nil {
		return 0, err
	}
	last := p.Windows[len(p.Windows)-1].Occurrence
	more := p
	more.Windows = nil
	for _, o := range list {
		if o.Local.seconds() > last.seconds() {
			more.Windows = append(more.Windows, Window{Occurrence: o.Local, StartLocal: o.Local, Start: o.Start, End: o.End, State: WindowOpen, Person: p.Person})
		}
	}
	if len(more.Windows) == 0 {
		return 0, nil
	}
	taken, err := takenUp(ctx, tx, p, p.Person, Range{more.Windows[0].Start, more.Windows[len(more.Windows)-1].End})
	if err != nil {
		return 0, err
	}
	canceled := 0
	for i := range more.Windows {
		w := &more.Windows[i]
		if slices.ContainsFunc(taken, func(r Range) bool { return r.Start.Before(w.End) && w.Start.Before(r.End) }) {
			w.State = WindowCanceled
			canceled++
		}
	}
	took, err := insertWindows(ctx, tx, more)
	if err != nil {
		return 0, err
	}
	if len(took) < len(more.Windows) {
		return 0, ErrSlotTaken // at this very moment; the next time
	}
	if canceled > 0 {
		p.Sequence = p.next()
	}
	if err := savePresence(ctx, tx, p); err != nil {
		return 0, err
	}
	e := job.Event("presence.topped_up")
	e.Objects = map[string]string{"presence": string(p.ID)}
	e.Detail = map[string]any{"windows": int64(len(more.Windows)), "canceled": int64(canceled), "last": more.Windows[len(more.Windows)-1].Occurrence.String(), "tzdata": ZoneVersion()}
	if canceled > 0 {
		if e.Tell, err = s.hosts(ctx, tx, org); err != nil {
			return 0, err
		}
		e.Tell = append(e.Tell, string(p.Person))
	}
	tx.Append(e)
	return len(more.Windows), nil
}

// ProgramMonth is what became of the windows of one presence in a month of its anchor's
// clock.
type ProgramMonth struct {
	Presence  PresenceID
	Person    identity.PersonID
	Held      int // windows in which a visit took place
	Unused    int // that passed without one
	Moved     int // that took or take place at another time
	Canceled  int
	Released  int
	Planned   int // still to come
	Visits    int // that took place
	Cases     int // of those
	Minutes   int // of those
	Ledger    int // weighed minutes of hard hours, of all who sat there
	Scheduled int // visits still to come
}

// ProgramReport is what became of the windows of a month for the actor's clinic, by
// specialist: for those who arrange there; a specialist reads their own.
func (s *Service) ProgramReport(ctx context.Context, actor identity.Actor, year int, month time.Month) ([]ProgramMonth, error) {
	if actor.Guest() || actor.Person == "" || month < time.January || month > time.December || year < 2000 || year > 9000 {
		return nil, fmt.Errorf("%w: month", ErrInvalidRequest)
	}
	list, err := s.Presences(ctx, actor)
	if err != nil {
		return nil, err
	}
	from, to := DateOf(year, month, 1), DateOf(year, month+1, 1)
	var out []ProgramMonth
	for _, p := range list {
		var row ProgramMonth
		err := s.db.Read(ctx, audit.Scope{Organization: string(p.Organization), Person: string(actor.Person)}, func(tx *audit.Tx) (err error) {
			row, err = programMonth(ctx, tx, p, from, to)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("report of presence %s: %w", p.ID, err)
		}
		if row.Held+row.Unused+row.Canceled+row.Released+row.Planned > 0 {
			out = append(out, row)
		}
	}
	return out, nil
}
