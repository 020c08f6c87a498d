package sessions

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
)

// Why somebody has no part in the consultation any more.
const (
	codeRoleEnded  = "role_ended"       // the role of the seat ended, by the clock or by hand
	codeCertStruck = "certificate_lost" // an interpreter's certificate was suspended or revoked, or they were excluded
)

// closing are the commands that remain to somebody whose role has ended while they bring
// their part to a close.
var closing = map[string]bool{"hand": true, "mute": true, "cough": true, "speech": true, "listen.set": true, "ticket.renew": true}

// holdsRole tells whether a participant has the role of their seat now, and until when;
// zero if no end is known. Who leads for the clinic has it there; specialists and
// interpreters have it wherever they work. A patient needs none.
func (l *live) holdsRole(ctx context.Context, tx *audit.Tx, p *seated) (held bool, until time.Time, err error) {
	if p.Role == scheduling.RolePatient || p.Role == scheduling.RoleObserver {
		return true, time.Time{}, nil
	}
	grants, err := l.svc.people.RolesOfTx(ctx, tx, p.Person)
	if err != nil {
		return false, time.Time{}, fmt.Errorf("role in session %s: %w", l.id, err)
	}
	open := false
	for _, g := range grants {
		if string(g.Role) != string(p.Role) || hosts(p.Role) && g.Organization != l.org {
			continue
		}
		held, open = true, open || g.Until.IsZero()
		if g.Until.After(until) {
			until = g.Until
		}
	}
	if open {
		until = time.Time{}
	}
	return held, until, nil
}

// lookAgain lets the fence wake at an instant, if that is sooner than it would.
func (l *live) lookAgain(at time.Time) {
	if !at.IsZero() && at.Before(l.recheck) {
		l.recheck = at
	}
}

// standing asks whether somebody inside still has the role of their seat and, of an
// interpreter, a certificate that nobody struck. One that only ends stops the next
// session, not this one. It tells whether that has just fallen away.
func (l *live) standing(ctx context.Context, tx *audit.Tx, p *seated) (fell bool, err error) {
	held, until, err := l.holdsRole(ctx, tx, p)
	if err != nil {
		return false, err
	}
	l.lookAgain(until)
	why := ""
	if !held {
		why = codeRoleEnded
	} else if p.Role == scheduling.RoleInterpreter {
		ok, reason, _, err := l.svc.scope.Qualified(ctx, tx, p.Person, p.Pair, string(l.machine.mode), tx.Now())
		if err != nil {
			return false, fmt.Errorf("certificate in session %s: %w", l.id, err)
		}
		if !ok && slices.Contains([]string{"interpreter:suspended", "interpreter:revoked", "interpreter:surrendered", "interpreter:excluded"}, reason) {
			why = codeCertStruck
		}
		next, err := l.svc.scope.NextChange(ctx, tx, credentialing.Ask{Person: p.Person, Activity: credentialing.AdvisePhysician, At: tx.Now(), Mode: credentialing.Act},
			tx.Now().Add(scopeHolds))
		if err != nil {
			return false, fmt.Errorf("next change of a certificate: %w", err)
		}
		l.lookAgain(next)
	}
	if why == "" {
		p.over, p.overBy = time.Time{}, ""
		return false, nil
	}
	fell = p.over.IsZero()
	if fell {
		p.over = tx.Now()
	}
	p.overBy = why
	return fell, nil
}

// struckTold tells those concerned that somebody has no part any more.
func (l *live) struckTold(p *seated) {
	var e effects
	e.did("session.role_ended", p.ID, nil, p.overBy)
	e.cue("alert", map[bool]string{true: "scope_lost", false: p.overBy}[p.Role.Clinician()], nil, p.ID)
	l.happened(identity.System("sessions", l.org), e)
	refused := no(p.overBy).refused
	refused.Participant = p.ID
	for _, id := range l.inside() {
		if other := l.seats[id]; id != p.ID && hosts(other.Role) && other.conn != nil {
			other.conn.say(refused)
		}
	}
}

// lost tells whether a specialist's permission is gone while they bring the conversation
// to a close.
func (p *seated) lost() bool {
	return p.Role == scheduling.RoleSpecialist && p.scope != nil && !p.scope.lost.IsZero()
}

// rightsOf are what a participant may do in a room now: who only brings a conversation
// to a close speaks and is seen, and shows nothing.
func (l *live) rightsOf(p *seated, room RoomName) Rights {
	r := rights(p.Role, room, l.machine.mode)
	if room == RoomMain && (p.lost() || !p.over.IsZero()) {
		r.Publish = slices.DeleteFunc(r.Publish, func(s Source) bool { return s == SourceScreenShare || s == SourceScreenShareAudio })
	}
	return r
}

// curb brings the rights at the engine in line with what each may do now.
func (l *live) curb() {
	if !l.opened || l.ending {
		return
	}
	for _, id := range l.inside() {
		p := l.seats[id]
		if want := p.lost() || !p.over.IsZero(); want != p.curbed {
			ctx, cancel := l.within()
			err := l.svc.media.Change(ctx, l.id, RoomMain, p.ID, l.rightsOf(p, RoomMain))
			cancel()
			if err != nil {
				l.svc.log.Error("change media rights", "session", string(l.id), "error", err)
				l.lookAgain(l.now().Add(2 * time.Second))
				continue
			}
			p.curbed = want
		}
	}
}
