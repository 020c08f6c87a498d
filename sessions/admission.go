package sessions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/sessions/workspace"
)

// verdict is the answer at the door.
type verdict struct {
	code    string // "" lets in
	refused msgRefused
	scope   *credentialing.Determination
}

func no(code string) verdict {
	return verdict{code: code, refused: msgRefused{Type: "refused", Code: code, MessageID: messageID(code), Data: map[string]any{}}}
}

// refusedScope says which rule refuses, and why.
func (l *live) refusedScope(d credentialing.Determination) msgRefused {
	lead := d.Lead()
	e := l.svc.scope.Explain(lead)
	data := explained(e)
	if r := d.Refusal(); r != nil {
		if r.Rule != "" {
			data["Rule"] = r.Rule
		}
		data["Reasons"] = r.Reasons
		if !r.Until.IsZero() {
			data["Until"] = stamp(r.Until)
		}
	}
	return msgRefused{Type: "refused", Code: lead, MessageID: e.MessageID, Data: data}
}

// judge decides within tx whether a person may come in now.
func (l *live) judge(ctx context.Context, tx *audit.Tx, actor identity.Actor, p *seated) (verdict, error) {
	held, until, err := l.holdsRole(ctx, tx, p)
	if err != nil {
		return verdict{}, err
	}
	if !held {
		return no(codeRoleEnded), nil
	}
	p.over, p.overBy = time.Time{}, ""
	l.lookAgain(until)
	if p.Role == scheduling.RoleCoordinator {
		return verdict{}, nil // arranges, hears nothing of the case
	}
	seat, a, err := l.svc.visits.SeatFor(ctx, tx, l.session.Appointment, p.Person)
	switch {
	case errors.Is(err, scheduling.ErrNotFound):
		return no("no_seat"), nil
	case err != nil:
		return verdict{}, err
	}
	if a.State != scheduling.StateBooked && a.State != scheduling.StateInProgress {
		return no(notBooked(a.State)), nil
	}
	switch p.Role {
	case scheduling.RoleLocalPhysician, scheduling.RoleSpecialist:
		return l.judgeClinician(ctx, tx, actor, p)
	case scheduling.RoleInterpreter:
		return l.judgeInterpreter(ctx, tx, p, seat)
	case scheduling.RolePatient:
		if !l.consents[workspace.LiveConsult] {
			return no("consent_missing"), nil
		}
		if p.Place == "" {
			return no("place_missing"), nil
		}
	case scheduling.RoleObserver:
		if l.patient() && !l.consents[workspace.Teaching] {
			return no("consent_missing"), nil
		}
	}
	return verdict{}, nil
}

// notBooked says why an appointment cannot be entered.
func notBooked(s scheduling.State) string {
	switch s {
	case scheduling.StateHeld, scheduling.StatePending:
		return "appointment_pending"
	case scheduling.StateNeedsAttention:
		return "appointment_needs_attention"
	case scheduling.StateFulfilled:
		return "appointment_fulfilled"
	case scheduling.StateNoShow:
		return "appointment_no_show"
	default:
		return "appointment_canceled"
	}
}

// judgeClinician determines the scope anew: a booking is never a license (R2).
func (l *live) judgeClinician(ctx context.Context, tx *audit.Tx, actor identity.Actor, p *seated) (verdict, error) {
	if p.Role == scheduling.RoleSpecialist && l.patient() && !l.consents[workspace.LiveConsult] {
		return no("consent_missing"), nil
	}
	d, err := l.decide(ctx, tx, p, func(q credentialing.Ask) (credentialing.Determination, error) {
		return l.svc.scope.Determine(ctx, tx, actor, q)
	})
	if err != nil {
		return verdict{}, fmt.Errorf("scope at the door: %w", err)
	}
	p.Determination = string(d.ID)
	if !d.Allowed() || d.Decision == "" {
		v := verdict{code: "scope", refused: l.refusedScope(d), scope: &d}
		if v.refused.Code == "" {
			v.refused.Code, v.refused.MessageID = "scope", messageID("scope")
		}
		return v, nil
	}
	p.scope = nil
	return verdict{scope: &d}, l.note(ctx, tx, p, d)
}

// judgeInterpreter asks for the yes, the promise, the certificate, the check of the
// devices and the patient's consent.
func (l *live) judgeInterpreter(ctx context.Context, tx *audit.Tx, p *seated, seat scheduling.Seat) (verdict, error) {
	switch {
	case seat.Response != scheduling.Accepted:
		return no("not_accepted"), nil
	case seat.AttestedAt.IsZero():
		return no(string(refuseAck)), nil
	case p.CheckedAt.IsZero():
		return no(string(refuseCheckIn)), nil
	case l.patient() && !l.consents[workspace.Interpreter]:
		return no(string(refuseConsent)), nil
	}
	ok, reason, _, err := l.svc.scope.Qualified(ctx, tx, p.Person, seat.Pair, string(l.machine.mode), tx.Now())
	if err != nil {
		return verdict{}, fmt.Errorf("certificate at the door: %w", err)
	}
	if !ok {
		e := l.svc.scope.Explain(reason)
		return verdict{code: "cert_missing", refused: msgRefused{Type: "refused", Code: reason, MessageID: e.MessageID, Data: explained(e)}}, nil
	}
	return verdict{}, nil
}

// admit lets a person in, or refuses them with the rule, both kept. by is who lets
// them in; a host lets themselves in.
func (l *live) admit(by, p *seated) error {
	next, ok := p.State.Next(Admit)
	if !ok || l.session.State == SessionEnded {
		return refuseState
	}
	if p.conn == nil {
		return refusePresent
	}
	before, session := p.Participant, l.session
	m := l.machine.clone()
	var v verdict
	var e effects
	err := l.write(by.actor, func(ctx context.Context, tx *audit.Tx) error {
		if err := l.readConsents(ctx, tx); err != nil {
			return err
		}
		var err error
		if v, err = l.judge(ctx, tx, by.actor, p); err != nil {
			return err
		}
		if v.code == "" {
			if e, err = m.admit(l.memberOf(p)); err != nil {
				var r refusal
				if !errors.As(err, &r) {
					return err
				}
				v = no(string(r))
			}
		}
		if v.code != "" {
			ev := l.event(by.actor, "session.refused")
			ev.Objects["participant"] = string(p.ID)
			ev.Reason = v.refused.Code
			if v.scope != nil {
				ev.Determination = string(v.scope.ID)
			}
			tx.Append(ev)
			return nil
		}
		first := p.State != Admitted
		p.State = next
		if first {
			p.AdmittedAt, p.AdmittedBy = tx.Now(), by.Person
		}
		if err := saveParticipant(ctx, tx, p.Participant); err != nil {
			return err
		}
		if by.ID != p.ID && l.session.State == SessionOpen { // the meeting begins when somebody is let in
			if err := l.svc.visits.Begin(ctx, tx, l.session.Appointment); err != nil {
				return err
			}
			l.session.State, _ = l.session.State.Next("begin")
		}
		if first {
			ev := l.event(by.actor, "session.admitted")
			ev.Objects["participant"] = string(p.ID)
			ev.Reason = string(p.Role)
			if v.scope != nil {
				ev.Determination = string(v.scope.ID)
			}
			tx.Append(ev)
		}
		return l.append(ctx, tx, by.actor, m, e.changes)
	})
	if err != nil {
		p.Participant, l.session = before, session
		if errors.Is(err, scheduling.ErrState) {
			return refuseState
		}
		l.svc.log.Error("admit to a session", "session", string(l.id), "error", err)
		return refuseUnavailable
	}
	if v.code != "" {
		p.Participant = before
		if p.State == Admitted { // came again and may not any more
			if err := l.cut(p, SendBack, by.actor, "refused"); err != nil {
				return err
			}
		}
		l.refuse(p, v)
		return nil
	}
	l.machine = m
	if before.State != Admitted {
		l.watchAlone(l.now())
	}
	return l.hand(p)
}

// refuse tells a refusal: the hosts and the clinician why, the patient neutrally.
func (l *live) refuse(p *seated, v verdict) {
	for _, id := range l.ids() {
		other := l.seats[id]
		if other.conn == nil || other.ID == p.ID || !hosts(other.Role) || other.State != Admitted {
			continue
		}
		told := v.refused
		told.Participant = p.ID
		other.conn.say(told)
	}
	if p.conn == nil {
		return
	}
	own := v.refused
	if p.Role == scheduling.RolePatient || p.Role == scheduling.RoleObserver {
		own = no("not_now").refused
	}
	p.conn.say(own)
}

// hand gives an admitted person tickets for the media rooms: routes first, so that
// nothing waits and nothing leaks.
func (l *live) hand(p *seated) error {
	ctx, cancel := l.within()
	defer cancel()
	if err := l.openMedia(); err != nil {
		l.svc.log.Error("open media", "session", string(l.id), "error", err)
		return refuseUnavailable
	}
	l.route()
	var m msgAdmitted
	m.Type = "admitted"
	main, err := l.ticket(ctx, p, RoomMain)
	if err == nil {
		m.Media.Main = main
		if p.Role == scheduling.RoleInterpreter {
			var booth mediaTicket
			if booth, err = l.ticket(ctx, p, boothOf(p.Pair)); err == nil {
				m.Media.Booth = &booth
			}
		}
	}
	if err != nil {
		l.svc.log.Error("media ticket", "session", string(l.id), "error", err)
		return refuseUnavailable
	}
	if p.conn != nil {
		p.conn.say(m)
	}
	return nil
}

func (l *live) ticket(ctx context.Context, p *seated, room RoomName) (mediaTicket, error) {
	t, err := l.svc.media.Admit(ctx, Admission{Session: l.id, Room: room, Identity: p.ID, Name: p.person.Name,
		Attributes: map[string]string{"role": string(p.Role), "spoken": p.Spoken}, Rights: l.rightsOf(p, room)})
	if err != nil {
		return mediaTicket{}, err
	}
	return mediaTicket{URL: t.URL, Token: t.Token, Expires: stamp(t.ExpiresAt), Room: string(t.Room)}, nil
}

// rights are what a role may do in a room.
func rights(role scheduling.Role, room RoomName, mode Mode) Rights {
	if room != RoomMain { // a booth: its interpreters speak and hear each other
		if role != scheduling.RoleInterpreter {
			return Rights{}
		}
		return Rights{Publish: []Source{SourceMicrophone}, Subscribe: true}
	}
	switch role {
	case scheduling.RoleLocalPhysician, scheduling.RoleSpecialist, scheduling.RolePatient:
		return Rights{Publish: []Source{SourceMicrophone, SourceCamera, SourceScreenShare, SourceScreenShareAudio}, Subscribe: true}
	case scheduling.RoleInterpreter:
		if mode == Consecutive {
			return Rights{Publish: []Source{SourceMicrophone, SourceCamera}, Subscribe: true}
		}
		return Rights{Publish: []Source{SourceCamera}, Subscribe: true}
	case scheduling.RoleCoordinator, scheduling.RoleObserver:
		return Rights{Subscribe: true}
	}
	return Rights{}
}

// cut takes a person out of the media at once, whatever the database says, and
// notes it.
func (l *live) cut(p *seated, ev PresenceEvent, actor identity.Actor, cause string) error {
	next, ok := p.State.Next(ev)
	if !ok {
		return refuseState
	}
	wasIn := p.State == Admitted
	var e effects
	if wasIn {
		e = l.machine.release(p.ID, cause, l.now())
		l.route()
		ctx, cancel := l.within()
		defer cancel()
		rooms := []RoomName{RoomMain}
		if p.Role == scheduling.RoleInterpreter {
			rooms = append(rooms, boothOf(p.Pair))
		}
		for _, room := range rooms {
			if !l.opened {
				break
			}
			if err := l.svc.media.Remove(ctx, l.id, room, p.ID); err != nil {
				l.svc.log.Error("remove from media", "session", string(l.id), "error", err)
			}
		}
		p.inMain, p.inBooth = false, false
	}
	p.State, p.hand, p.arrived = next, false, l.now()
	act := map[PresenceEvent]string{Leave: "session.left", SendBack: "session.sent_back", Expel: "session.removed"}[ev]
	e.did(act, p.ID, nil, cause)
	l.pending = append(l.pending, pending{actor: actor, saves: []Participant{p.Participant}})
	l.happened(actor, e)
	l.watchAlone(l.now())
	return nil
}

// end ends the session for everybody.
func (l *live) end(actor identity.Actor, cause string) {
	if l.session.State == SessionEnded {
		l.ending = true
		return
	}
	if e := l.machine.over(l.now()); len(e.changes) > 0 {
		l.happened(actor, e)
	}
	ran := l.session.State == SessionRunning
	err := l.write(actor, func(ctx context.Context, tx *audit.Tx) error {
		if ran {
			if err := l.svc.visits.Fulfill(ctx, tx, l.session.Appointment); err != nil && !errors.Is(err, scheduling.ErrState) {
				return err
			}
		}
		s := l.session
		s.State, _ = s.State.Next("end")
		s.Epoch = l.machine.epoch
		if err := saveSession(ctx, tx, s, cause); err != nil {
			return err
		}
		e := l.event(actor, "session.ended")
		e.Objects["appointment"] = string(l.session.Appointment)
		if l.caseID != "" {
			e.Objects["case"] = string(l.caseID)
		}
		e.Reason = cause
		tx.Append(e)
		return nil
	})
	if err != nil {
		l.svc.log.Error("end a session", "session", string(l.id), "error", err)
		l.session.Closes = l.now().Add(2 * time.Second) // try again
		return
	}
	l.session.State = SessionEnded
	if l.opened {
		ctx, cancel := l.within()
		defer cancel()
		if err := l.svc.media.Close(ctx, l.id); err != nil {
			l.svc.log.Error("close media", "session", string(l.id), "error", err)
		}
	}
	for _, p := range l.seats {
		if p.conn != nil {
			p.conn.say(msgPlain{"ended"})
			p.conn.end(ErrEnded)
			p.conn = nil
		}
	}
	l.ending = true
}
