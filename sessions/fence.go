package sessions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/sessions/workspace"
)

// The times of the live fence (design credentialing, section 7).
const (
	scopeHolds = 60 * time.Second // a determination counts in a running session
	closeTime  = 2 * time.Minute  // to close a conversation whose scope fell away
	aloneTime  = 60 * time.Second // without the local physician before the joint part pauses
)

// The reasons of a pause between specialist and patient.
const (
	pauseConsent = "consent_withdrawn"
	pauseAlone   = "local_absent"
)

// scoped is what a clinician may do now.
type scoped struct {
	last      credentialing.Determination
	at        time.Time
	acts      map[string]bool
	sentences []sentence
	lost      time.Time // the permission is gone since; zero: it is there
}

// fenced are the acts that the room shows the specialist.
var fenced = []credentialing.Activity{credentialing.AdvisePhysician, credentialing.JointVideoVisit, credentialing.DirectConsult, credentialing.PrescribeOrOrder}

// actControlled is told beside prescribe_or_order, which without it means anything but
// controlled drugs.
const actControlled = "prescribe_controlled"

// activity is what a clinician is in the session for. The local physician answers
// for what is decided afterwards (R1).
func (l *live) activity(p *seated) credentialing.Activity {
	if p.Role == scheduling.RoleLocalPhysician {
		return credentialing.SignDecision
	}
	return credentialing.Activity(l.session.Kind)
}

// ask is the question whether a clinician may act now, with what the room itself
// knows: who is there.
func (l *live) ask(ctx context.Context, tx *audit.Tx, p *seated, act credentialing.Activity) (credentialing.Ask, error) {
	cc, err := l.svc.cases.ContextTx(ctx, tx, l.caseID, p.Person)
	if err != nil {
		return credentialing.Ask{}, fmt.Errorf("case of session %s: %w", l.id, err)
	}
	here := l.localThere() || l.stepped && l.now().Before(l.alone.Add(aloneTime))
	cc.Local.Present = &here
	if cc.Modality == "" {
		cc.Modality = "live-video"
	}
	for _, other := range l.seats {
		if other.Role == scheduling.RoleInterpreter && cc.Interpreter == nil {
			cc.Interpreter = credentialing.Yes()
		}
	}
	return credentialing.Ask{Person: p.Person, Activity: act, At: tx.Now(), Mode: credentialing.Act, Case: cc}, nil
}

// decide asks whether a clinician may be in the session: for what it was booked, or,
// for a specialist who may see the patient on their own where the patient is now, for
// that. judge answers a question.
func (l *live) decide(ctx context.Context, tx *audit.Tx, p *seated, judge func(credentialing.Ask) (credentialing.Determination, error)) (credentialing.Determination, error) {
	booked := l.activity(p)
	q, err := l.ask(ctx, tx, p, booked)
	if err != nil {
		return credentialing.Determination{}, err
	}
	d, err := judge(q)
	if err != nil || d.Allowed() || booked != credentialing.JointVideoVisit {
		return d, err
	}
	if q, err = l.ask(ctx, tx, p, credentialing.DirectConsult); err != nil {
		return d, err
	}
	if own, err := judge(q); err != nil || own.Allowed() {
		return own, err
	}
	return d, nil
}

// directCare tells whether a specialist in the room sees the patient on their own
// right.
func (l *live) directCare() bool {
	for _, p := range l.seats {
		if p.State == Admitted && p.present() && p.scope != nil && p.scope.lost.IsZero() && p.scope.last.Activity == credentialing.DirectConsult {
			return true
		}
	}
	return false
}

// localThere tells whether a local physician is in the room.
func (l *live) localThere() bool {
	for _, p := range l.seats {
		if p.Role == scheduling.RoleLocalPhysician && p.State == Admitted && p.present() && p.over.IsZero() {
			return true
		}
	}
	return false
}

// note keeps an answer and works out what the room says of it.
func (l *live) note(ctx context.Context, tx *audit.Tx, p *seated, d credentialing.Determination) error {
	s := &scoped{last: d, at: tx.Now(), acts: map[string]bool{}, sentences: []sentence{}}
	if p.scope != nil {
		s.lost = p.scope.lost
	}
	if d.Decision == credentialing.Deny || !p.over.IsZero() {
		if s.lost.IsZero() {
			s.lost = tx.Now()
		}
	} else {
		s.lost = time.Time{}
	}
	if p.Role == scheduling.RoleSpecialist {
		if err := l.measure(ctx, tx, p, s); err != nil {
			return err
		}
	}
	p.scope = s
	return l.wakeAt(ctx, tx, p)
}

// wakeAt lets the fence wake when the clock alone next changes what a clinician's scope
// rests on: what ends in the middle of a visit is noticed at its end, not when the answer
// has grown old.
func (l *live) wakeAt(ctx context.Context, tx *audit.Tx, p *seated) error {
	q, err := l.ask(ctx, tx, p, l.activity(p))
	if err != nil {
		return err
	}
	next, err := l.svc.scope.NextChange(ctx, tx, q, tx.Now().Add(scopeHolds))
	if err != nil {
		return fmt.Errorf("next change of a scope: %w", err)
	}
	if !next.IsZero() && next.Before(l.recheck) {
		l.recheck = next
	}
	return nil
}

// measure fills in each fenced act and the sentences: what holds, then what does not.
func (l *live) measure(ctx context.Context, tx *audit.Tx, p *seated, s *scoped) error {
	say := func(code string) {
		e := l.svc.scope.Explain(code)
		said := sentence{MessageID: e.MessageID, Data: explained(e)}
		if !slices.ContainsFunc(s.sentences, func(o sentence) bool {
			return o.MessageID == said.MessageID && fmt.Sprint(o.Data) == fmt.Sprint(said.Data)
		}) {
			s.sentences = append(s.sentences, said)
		}
	}
	if !p.over.IsZero() {
		s.sentences = append(s.sentences, sentence{MessageID: messageID(codeRoleEnded), Data: map[string]any{}})
	}
	for _, act := range fenced {
		d := s.last
		if act != d.Activity || d.Decision == "" {
			q, err := l.ask(ctx, tx, p, act)
			if err != nil {
				return err
			}
			if act == credentialing.PrescribeOrOrder && q.Case.ControlledSubstance == nil { // nobody has said what is ordered: each has its answer
				q.Case.ControlledSubstance = credentialing.Yes()
				if d, err = l.svc.scope.Judge(ctx, tx, q); err != nil {
					return fmt.Errorf("scope of %s: %w", actControlled, err)
				}
				s.acts[actControlled] = d.Allowed() && s.lost.IsZero()
				q.Case.ControlledSubstance = credentialing.No()
			}
			if d, err = l.svc.scope.Judge(ctx, tx, q); err != nil {
				return fmt.Errorf("scope of %s: %w", act, err)
			}
		}
		allowed := d.Decision != credentialing.Deny && d.Decision != ""
		s.acts[string(act)] = allowed && s.lost.IsZero()
		if act == s.last.Activity {
			for _, code := range slices.Concat(d.Conditions) {
				say(code)
			}
			if !allowed {
				say(d.Lead())
			}
		}
	}
	return nil
}

// explained are the data of an explanation, with what the page needs to say a
// condition and to name the rule.
func explained(e credentialing.Explanation) map[string]any {
	data := map[string]any{}
	for k, v := range e.Data {
		data[k] = v
	}
	for k, v := range map[string]string{"Condition": e.Condition, "RuleText": e.RuleText, "Source": e.Source, "PackName": e.Name} {
		if v != "" {
			data[k] = v
		}
	}
	return data
}

// readConsents reads what the patient agreed to, for the room.
func (l *live) readConsents(ctx context.Context, tx *audit.Tx) error {
	if l.caseID == "" {
		return nil
	}
	for _, purpose := range []workspace.Purpose{workspace.LiveConsult, workspace.Interpreter, workspace.Recording, workspace.Captions} {
		ok, err := l.svc.cases.Allows(ctx, tx, l.caseID, purpose, "", "", "", tx.Now())
		if err != nil {
			return fmt.Errorf("consents of session %s: %w", l.id, err)
		}
		l.consents[purpose] = ok
	}
	return nil
}

// patient tells whether a patient takes part.
func (l *live) patient() bool {
	for _, p := range l.seats {
		if p.Role == scheduling.RolePatient {
			return true
		}
	}
	return false
}

// applyConsents lets the machine obey them; it returns what changed.
func (l *live) applyConsents() effects {
	var all effects
	if !l.patient() {
		return all
	}
	if e, changed := l.machine.bar(!l.consents[workspace.Interpreter]); changed {
		all.changes = append(all.changes, e.changes...)
		cause := "interpreter_consent_given"
		if l.machine.barred {
			cause = "interpreter_consent_missing"
		}
		all.did("session.interpretation", "", nil, cause)
	}
	without := !l.consents[workspace.LiveConsult]
	if l.machine.pause(pauseConsent, without) {
		act := "session.resumed"
		if without {
			act = "session.paused"
			all.cue("alert", "consent_withdrawn", nil, l.inside()...)
		}
		all.did(act, "", nil, pauseConsent)
	}
	return all
}

// recordable are those whose voice and picture may be recorded: the patient who agreed
// to it. Nobody else has been asked, so nobody else is.
func (l *live) recordable() []Identity {
	if !l.consents[workspace.Recording] {
		return nil
	}
	var out []Identity
	for _, id := range l.inside() {
		if l.seats[id].Role == scheduling.RolePatient {
			out = append(out, id)
		}
	}
	return out
}

// inside are the participants admitted.
func (l *live) inside() []Identity {
	var out []Identity
	for _, id := range l.ids() {
		if l.seats[id].State == Admitted {
			out = append(out, id)
		}
	}
	return out
}

// reconsider asks everything again that may have changed: consents, the place, the
// scope of each clinician, the booking. What falls away acts at once.
func (l *live) reconsider() {
	l.recheck = l.now().Add(scopeHolds)
	system := identity.System("sessions", l.org)
	var changed, struck []*seated
	canceled := false
	ctx, cancel := l.within()
	err := l.svc.db.Read(ctx, audit.Scope{Organization: string(l.org)}, func(tx *audit.Tx) error {
		if err := l.readConsents(ctx, tx); err != nil {
			return err
		}
		for _, id := range l.inside() {
			p := l.seats[id]
			if new, err := l.standing(ctx, tx, p); err != nil {
				return err
			} else if new {
				struck = append(struck, p)
			}
			if !p.Role.Clinician() || l.caseID == "" {
				continue
			}
			if !canceled {
				_, a, err := l.svc.visits.SeatFor(ctx, tx, l.session.Appointment, p.Person)
				switch {
				case errors.Is(err, scheduling.ErrNotFound):
				case err != nil:
					return err
				default:
					canceled = a.State == scheduling.StateCanceled
				}
			}
			d, err := l.decide(ctx, tx, p, func(q credentialing.Ask) (credentialing.Determination, error) { return l.svc.scope.Judge(ctx, tx, q) })
			if err != nil {
				return err
			}
			if p.scope == nil || p.scope.last.Allowed() != d.Allowed() || p.scope.last.Activity != d.Activity || !d.Allowed() && !slices.Equal(d.Reasons, p.scope.last.Reasons) {
				changed = append(changed, p) // kept below, with its facts
				continue
			}
			d.ID = p.scope.last.ID
			if err := l.note(ctx, tx, p, d); err != nil {
				return err
			}
		}
		return nil
	})
	cancel()
	if err != nil {
		l.svc.log.Error("reconsider a session", "session", string(l.id), "error", err)
		l.recheck = l.now().Add(2 * time.Second)
		return
	}
	if canceled {
		l.end(system, "appointment_canceled")
		return
	}
	if l.caseID != "" {
		l.happened(system, l.applyConsents())
	}
	for _, p := range struck {
		l.struckTold(p)
	}
	for _, p := range changed {
		if err := l.write(system, func(ctx context.Context, tx *audit.Tx) error {
			d, err := l.decide(ctx, tx, p, func(q credentialing.Ask) (credentialing.Determination, error) {
				return l.svc.scope.Determine(ctx, tx, system, q)
			})
			if err != nil {
				return err
			}
			if err := l.note(ctx, tx, p, d); err != nil {
				return err
			}
			p.Determination = string(d.ID)
			e := l.event(system, "session.scope_changed")
			e.Objects["participant"] = string(p.ID)
			e.Determination, e.Reason = string(d.ID), d.Lead()
			tx.Append(e)
			return saveParticipant(ctx, tx, p.Participant)
		}); err != nil {
			l.svc.log.Error("reconsider a scope", "session", string(l.id), "error", err)
			l.recheck = l.now().Add(2 * time.Second)
			continue
		}
		l.scopeTold(p)
	}
	l.watchScopes(l.now())
	l.curb()
}

// scopeTold tells those concerned that a scope fell away.
func (l *live) scopeTold(p *seated) {
	if p.scope.lost.IsZero() {
		return
	}
	refused := l.refusedScope(p.scope.last)
	refused.Participant = p.ID
	for _, id := range l.inside() {
		if other := l.seats[id]; hosts(other.Role) && other.conn != nil {
			other.conn.say(refused)
		}
	}
	l.tell([]cue{{to: []Identity{p.ID}, code: "scope_lost", level: "alert"}})
}

// urgent tells whether a scope fell away in a way that ends the media at once:
// suspended, revoked, excluded.
func urgent(d credentialing.Determination) bool {
	return slices.ContainsFunc(d.Reasons, func(code string) bool {
		return code == "forbid:ZZ-010" || code == "forbid:ZZ-012" ||
			strings.HasSuffix(code, ":suspended") || strings.HasSuffix(code, ":revoked") || strings.HasSuffix(code, ":surrendered")
	})
}

// ends is when somebody without scope or role must be out; zero if there is no need. A
// local physician without scope stays: the patient is theirs. Whose role has ended has
// no part in the consultation any more.
func (l *live) ends(p *seated) time.Time {
	if p.State == Admitted && !p.over.IsZero() && p.Role.Clinician() {
		return p.over.Add(closeTime)
	}
	if p.State == Admitted && !p.over.IsZero() {
		return p.over
	}
	if p.Role != scheduling.RoleSpecialist || p.State != Admitted || p.scope == nil || p.scope.lost.IsZero() {
		return time.Time{}
	}
	if urgent(p.scope.last) {
		return p.scope.lost
	}
	return p.scope.lost.Add(closeTime)
}

func (l *live) scopeDeadline() time.Time {
	var next time.Time
	for _, p := range l.seats {
		if at := l.ends(p); !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

func (l *live) watchScopes(now time.Time) {
	for _, id := range l.ids() {
		p := l.seats[id]
		if at := l.ends(p); at.IsZero() || now.Before(at) {
			continue
		}
		cause, code := "scope_lost", "scope_ended"
		if !p.over.IsZero() && (p.scope == nil || !urgent(p.scope.last)) {
			cause, code = p.overBy, p.overBy
		}
		if err := l.cut(p, SendBack, identity.System("sessions", l.org), cause); err != nil {
			l.svc.log.Error("end somebody's part", "session", string(l.id), "error", err)
		}
		if p.conn != nil {
			p.conn.say(noticeOf("alert", code, nil))
		}
	}
}

// watchAlone pauses the joint part of a visit that the local physician dropped out
// of, and goes on when they are back.
func (l *live) watchAlone(now time.Time) {
	if !l.patient() || l.session.State != SessionRunning {
		return
	}
	if l.localThere() {
		l.alone, l.stepped = time.Time{}, true
		if l.machine.pause(pauseAlone, false) {
			l.recheck = now
			var e effects
			e.did("session.resumed", "", nil, pauseAlone)
			e.cue("info", "local_back", nil, l.inside()...)
			l.happened(identity.Actor{}, e)
		}
		return
	}
	if l.directCare() {
		l.alone = time.Time{}
		return
	}
	if l.alone.IsZero() {
		l.alone = now
		return
	}
	if now.Before(l.alone.Add(aloneTime)) {
		return
	}
	l.stepped = false
	if l.machine.pause(pauseAlone, true) {
		l.recheck = now
		var e effects
		e.did("session.paused", "", nil, pauseAlone)
		e.cue("alert", "local_absent", nil, l.inside()...)
		l.happened(identity.Actor{}, e)
	}
}

func (l *live) aloneDeadline() time.Time {
	if l.alone.IsZero() || l.machine.pauses[pauseAlone] {
		return time.Time{}
	}
	return l.alone.Add(aloneTime)
}

// Allowed tells whether a person may do an act in a session that runs here, by the
// latest determination: the fence makes one each minute, and one that it could not renew
// for another minute counts no more. A session that does not run allows nothing.
func (s *Service) Allowed(ctx context.Context, id SessionID, person identity.PersonID, act credentialing.Activity) bool {
	l := s.running(id)
	if l == nil {
		return false
	}
	answer := make(chan bool, 1)
	if !l.post(func() {
		for _, p := range l.seats {
			if p.Person == person && p.State == Admitted && p.scope != nil && l.now().Before(p.scope.at.Add(2*scopeHolds)) {
				answer <- p.scope.acts[string(act)]
				return
			}
		}
		answer <- false
	}) {
		return false
	}
	select {
	case ok := <-answer:
		return ok
	case <-l.stopped:
	case <-ctx.Done():
	}
	return false
}
