package sessions

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/sessions/workspace"
)

// live is a session that runs on this node. One goroutine owns its state; commands,
// events of the engine and what the log tells come to it through one queue.
type live struct {
	svc     *Service
	id      SessionID               // immutable
	org     identity.OrganizationID // immutable
	caseID  workspace.CaseID        // immutable
	feedKey []byte                  // immutable

	ready   chan struct{} // closed when begin is over
	failure error         // set before ready is closed: why it did not begin
	stopped chan struct{} // closed when the goroutine has ended

	mu    sync.Mutex
	queue []func()      // guarded by mu; bounded by the feeds' one command each and the engine's events
	over  bool          // guarded by mu; nothing more is taken
	wake  chan struct{} // one place: there is something in queue

	// All below belongs to the goroutine.
	base     context.Context // of what the session does
	session  Session
	lease    uint64
	renew    time.Time // of the lease
	seats    map[Identity]*seated
	machine  *machine
	opened   bool // the engine has the session
	stale    bool // and lacks a room of it
	sequence uint64
	routed   Routes    // last sent to the engine
	reroute  time.Time // the engine refused; try again
	pending  []pending // changes the log does not have yet
	repeat   time.Time // of writing them
	recheck  time.Time // of scopes and consents
	alone    time.Time // the local physician is gone since; zero: is there
	stepped  bool      // the local physician was there, and is not gone for longer than aloneTime
	consents map[workspace.Purpose]bool
	chat     []said
	signaled map[string]time.Time
	ending   bool
	lost     bool // another node has the session
}

// seated is one participant with what is known of them now.
type seated struct {
	Participant
	person       identity.Person
	organization string
	conn         *Conn
	actor        identity.Actor // of the last connection
	check        *check
	arrived      time.Time
	inMain       bool // connected to the engine
	inBooth      bool
	hand         bool
	scope        *scoped
	over         time.Time // the role they are here for has ended since, or the certificate was struck; zero: stands
	overBy       string    // the code of which
	curbed       bool      // the engine was told to keep screens from them
}

// present tells whether the person is there: on the feed or in the media room.
func (p *seated) present() bool { return p.conn != nil || p.inMain }

// pending is a change that took effect and is not in the log yet.
type pending struct {
	actor   identity.Actor
	changes []change
	saves   []Participant
}

func newLive(s *Service, session Session) *live {
	return &live{svc: s, base: s.ctx, id: session.ID, org: session.Organization, caseID: session.Case, feedKey: session.feedKey,
		ready: make(chan struct{}), stopped: make(chan struct{}), wake: make(chan struct{}, 1),
		session: session, seats: map[Identity]*seated{}, consents: map[workspace.Purpose]bool{}, signaled: map[string]time.Time{}}
}

// started tells those who wait whether the session runs.
func (l *live) started(err error) {
	l.failure = err
	if err != nil {
		l.svc.forget(l)
		close(l.stopped)
	}
	close(l.ready)
	if err == nil {
		go l.run()
	}
}

// begin takes the session's lease and builds its state from what is kept: who was
// admitted may come again, whatever was on the air is down.
func (l *live) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return l.svc.db.Write(ctx, audit.Scope{Organization: string(l.org)}, func(tx *audit.Tx) error {
		var err error
		if l.lease, _, err = takeLease(ctx, tx, l.id, l.svc.node, l.svc.addr); err != nil {
			return err
		}
		if l.session, err = sessionWhere(ctx, tx, `id = $1`, string(l.id)); err != nil {
			return err
		}
		if l.session.State == SessionEnded {
			return ErrEnded
		}
		now := tx.Now()
		if err := closeGaps(ctx, tx, l.id); err != nil {
			return err
		}
		l.renew = now.Add(leaseRenew)
		l.recheck = now.Add(scopeHolds)
		l.sequence = l.lease << 32 // engines ignore routes older than they have
		list, err := participants(ctx, tx, l.id)
		if err != nil {
			return err
		}
		l.machine = newMachine(l.session.Mode)
		l.machine.epoch = l.session.Epoch
		l.machine.barred = l.caseID != "" && l.patientSeated(list)
		for _, p := range list {
			if _, err := l.seat(ctx, tx, p); err != nil {
				return err
			}
		}
		for _, id := range l.ids() {
			p := l.seats[id]
			if p.State != Admitted {
				continue
			}
			m := l.memberOf(p)
			if m.booth != "" { // comes back through the door; until then nothing reaches it
				continue
			}
			if _, err := l.machine.admit(m); err != nil {
				return err
			}
		}
		if err := l.readConsents(ctx, tx); err != nil {
			return err
		}
		l.applyConsents()
		if l.session.Interpreted {
			for _, b := range l.machine.booths {
				b.state = BoothIdle
			}
			l.machine.restart(now)
		}
		l.session.Epoch = l.machine.epoch
		if err := saveSession(ctx, tx, l.session, ""); err != nil {
			return err
		}
		e := audit.Event{Act: "session.taken", System: "sessions", Epoch: l.machine.epoch,
			Objects: map[string]string{"session": string(l.id)}}
		tx.Append(e)
		return nil
	})
}

func (l *live) patientSeated(list []Participant) bool {
	return slices.ContainsFunc(list, func(p Participant) bool { return p.Role == scheduling.RolePatient })
}

// seat adds a participant with their name; their booth exists from then on.
func (l *live) seat(ctx context.Context, tx *audit.Tx, p Participant) (*seated, error) {
	people, err := l.svc.people.PeopleTx(ctx, tx, p.Person)
	if err != nil {
		return nil, err
	}
	s := &seated{Participant: p, person: people[p.Person]}
	if c := p.Check; c != nil {
		s.check = &check{Audio: c.Audio, Video: c.Video, Network: c.Network}
	}
	grants, err := l.svc.people.RolesOfTx(ctx, tx, p.Person)
	if err != nil {
		return nil, err
	}
	for _, g := range grants {
		if g.Organization == "" || string(g.Role) != string(p.Role) {
			continue
		}
		if o, err := l.svc.people.OrganizationTx(ctx, tx, g.Organization); err == nil {
			s.organization = o.Name
			break
		}
	}
	if p.Role == scheduling.RoleInterpreter {
		l.machine.addBooth(p.Pair, l.into(p.Pair))
		l.stale = true // the engine has one room more to open
	}
	l.seats[p.ID] = s
	return s, nil
}

// into is the direction a booth begins with: towards the patient, who understands
// nobody else.
func (l *live) into(pair [2]string) string {
	for _, id := range l.ids() {
		p := l.seats[id]
		if p.Role == scheduling.RolePatient && (p.Spoken == pair[0] || p.Spoken == pair[1]) {
			return p.Spoken
		}
	}
	return pair[0]
}

func (l *live) ids() []Identity { return slices.Sorted(maps.Keys(l.seats)) }

// memberOf is a participant as the machine sees them.
func (l *live) memberOf(p *seated) member {
	m := member{id: p.ID, role: p.Role, spoken: p.Spoken, listening: p.Listening}
	if p.Role == scheduling.RoleInterpreter {
		m.booth, m.stand = boothOf(p.Pair), Cleared
		if !p.CheckedAt.IsZero() {
			m.stand, _ = m.stand.Next(CheckIn)
		}
	}
	return m
}

// post adds to the queue; false when the session has stopped here.
func (l *live) post(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return false
	}
	l.queue = append(l.queue, f)
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return true
}

func (l *live) take() []func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	batch := l.queue
	l.queue = nil
	return batch
}

// run is the session's goroutine.
func (l *live) run() {
	defer l.finish()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !l.ending {
		select {
		case <-l.svc.ctx.Done():
			return
		case <-l.wake:
			for _, f := range l.take() {
				if !l.handle(f) {
					return
				}
			}
		case <-timer.C:
			if !l.handle(l.tick) {
				return
			}
		}
		// At least a moment: what cannot be done now must not be tried without pause.
		timer.Reset(max(5*time.Millisecond, l.deadline().Sub(l.now())))
	}
}

// handle does one thing and shows everybody what is new. A panic ends this session
// here, and nothing else: people come again and it is rebuilt.
func (l *live) handle(f func()) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			l.svc.log.Error("session stopped by a fault", "session", string(l.id), "panic", r, "stack", string(debug.Stack()))
			ok = false
		}
	}()
	f()
	l.settle()
	l.publish()
	return !l.ending
}

// settle brings the interpreters' inputs in line with what happened.
func (l *live) settle() {
	if l.ending || l.session.State == SessionEnded {
		return
	}
	e := l.machine.settle(l.now())
	if len(e.changes) > 0 || len(e.cues) > 0 {
		l.happened(identity.Actor{}, e)
		return
	}
	l.route() // only if it is new
}

// finish lets go of the session: feeds end, the lease is free.
func (l *live) finish() {
	l.mu.Lock()
	l.over = true
	l.queue = nil
	l.mu.Unlock()
	for _, p := range l.seats {
		if p.conn != nil {
			p.conn.end(ErrStopped)
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.base), 2*time.Second)
	defer cancel()
	if l.base = ctx; !l.lost {
		l.ending = false
		l.flush() // what happened and is not in the log yet
	}
	if err := l.svc.db.Write(ctx, audit.Scope{Organization: string(l.org)}, func(tx *audit.Tx) error {
		return dropLease(ctx, tx, l.id, l.lease)
	}); err != nil {
		l.svc.log.Warn("give up a session", "session", string(l.id), "error", err)
	}
	l.svc.forget(l)
	close(l.stopped)
}

func (l *live) now() time.Time { return l.svc.db.Now() }

// within bounds one step of the queue: a database or engine that does not answer
// must not hold everybody.
func (l *live) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(l.base, 5*time.Second)
}

// write runs fn in the clinic's scope, if this node still holds the session.
func (l *live) write(actor identity.Actor, fn func(ctx context.Context, tx *audit.Tx) error) error {
	ctx, cancel := l.within()
	defer cancel()
	err := l.svc.db.Write(ctx, audit.Scope{Organization: string(l.org), Person: string(actor.Person)}, func(tx *audit.Tx) error {
		if err := holdLease(ctx, tx, l.id, l.lease); err != nil {
			return err
		}
		return fn(ctx, tx)
	})
	if errors.Is(err, ErrStopped) {
		l.ending, l.lost = true, true
	}
	return err
}

// event begins an event about the session.
func (l *live) event(actor identity.Actor, act string) audit.Event {
	e := actor.Event(act)
	if actor.Person == "" && actor.Job == "" {
		e.System = "sessions"
	}
	e.Organization = string(l.org)
	e.Epoch = l.machine.epoch
	e.Objects = map[string]string{"session": string(l.id)}
	return e
}

// append writes the changes of the machine as events, one each.
func (l *live) append(ctx context.Context, tx *audit.Tx, actor identity.Actor, m *machine, changes []change) error {
	l.session.Epoch, l.session.Mode = m.epoch, m.mode
	for _, c := range changes {
		e := l.event(actor, c.act)
		e.Epoch = m.epoch
		if c.who != "" {
			e.Objects["participant"] = string(c.who)
		}
		if c.booth != "" {
			e.Objects["booth"] = string(c.booth)
		}
		e.Reason = strings.ReplaceAll(c.cause, " ", "_")
		e.Detail = c.detail
		tx.Append(e)
		if err := l.keepGap(ctx, tx, c); err != nil {
			return err
		}
		if c.act == "booth.live" || c.act == "booth.taken" || c.act == "booth.assigned" {
			l.session.Interpreted = true
		}
	}
	return saveSession(ctx, tx, l.session, "")
}

// interpret does a command on the machine: on a copy first, which counts when the
// log has what changed. A refusal changes nothing.
func (l *live) interpret(actor identity.Actor, do func(m *machine) (effects, error)) error {
	m := l.machine.clone()
	e, err := do(m)
	if err != nil {
		return err
	}
	if len(e.changes) > 0 {
		if err := l.write(actor, func(ctx context.Context, tx *audit.Tx) error { return l.append(ctx, tx, actor, m, e.changes) }); err != nil {
			l.svc.log.Error("write a change of interpretation", "session", string(l.id), "error", err)
			return refuseUnavailable
		}
	}
	l.machine = m
	l.route()
	l.tell(e.cues)
	return nil
}

// happened is what must take effect at once, log or not: losses and revocations.
// The log gets it now or, if it does not answer, later.
func (l *live) happened(actor identity.Actor, e effects) {
	l.route()
	l.tell(e.cues)
	if len(e.changes) > 0 {
		l.pending = append(l.pending, pending{actor: actor, changes: e.changes})
	}
	l.flush()
}

func (l *live) flush() {
	for len(l.pending) > 0 && !l.ending {
		p := l.pending[0]
		if err := l.write(p.actor, func(ctx context.Context, tx *audit.Tx) error {
			for _, who := range p.saves {
				if err := saveParticipant(ctx, tx, who); err != nil {
					return err
				}
			}
			return l.append(ctx, tx, p.actor, l.machine, p.changes)
		}); err != nil {
			if l.base.Err() != nil {
				return // stopping: finish writes it
			}
			l.svc.log.Error("write what happened in a session", "session", string(l.id), "error", err)
			l.repeat = l.now().Add(time.Second)
			return
		}
		l.pending = l.pending[1:]
	}
	l.repeat = time.Time{}
}

// route gives the engine the routes that follow from the machine, if they are new.
func (l *live) route() {
	if !l.opened {
		return
	}
	r := l.machine.routes()
	r.Epoch, r.Record = l.routed.Epoch, l.recordable()
	if reflect.DeepEqual(r, l.routed) && l.reroute.IsZero() {
		return
	}
	l.sequence++
	r.Epoch = l.sequence
	ctx, cancel := l.within()
	defer cancel()
	if err := l.svc.media.Route(ctx, l.id, r); err != nil {
		l.svc.log.Error("route a session", "session", string(l.id), "error", err)
		l.reroute = l.now().Add(500 * time.Millisecond)
		return
	}
	l.routed, l.reroute = r, time.Time{}
}

// openMedia makes the rooms of the session at the engine.
func (l *live) openMedia() error {
	if l.opened && !l.stale {
		return nil
	}
	ctx, cancel := l.within()
	defer cancel()
	if err := l.svc.media.Open(ctx, l.id, l.machine.rooms()...); err != nil {
		return err
	}
	l.opened, l.stale = true, false
	l.routed = Routes{}
	return nil
}

// deadline is when tick has something to do.
func (l *live) deadline() time.Time {
	next := l.renew
	for _, at := range []time.Time{l.machine.deadline(), l.reroute, l.repeat, l.recheck, l.session.Closes, l.aloneDeadline(), l.scopeDeadline()} {
		if !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	return next
}

// tick does what is due.
func (l *live) tick() {
	now := l.now()
	if !now.Before(l.renew) {
		ctx, cancel := l.within()
		err := l.svc.db.Write(ctx, audit.Scope{Organization: string(l.org)}, func(tx *audit.Tx) error { return renewLease(ctx, tx, l.id, l.lease) })
		cancel()
		switch {
		case errors.Is(err, ErrStopped):
			l.ending, l.lost = true, true
			return
		case err != nil: // media goes on without the database; another node may take over after leaseTime
			l.svc.log.Error("renew a session", "session", string(l.id), "error", err)
			l.renew = now.Add(time.Second)
		default:
			l.renew = now.Add(leaseRenew)
			l.watchLogins(now)
		}
	}
	if !now.Before(l.session.Closes) {
		l.end(identity.System("sessions", l.org), "door_closed")
		return
	}
	if !l.repeat.IsZero() && !now.Before(l.repeat) {
		l.flush()
	}
	if !l.reroute.IsZero() && !now.Before(l.reroute) {
		l.route()
	}
	if at := l.machine.deadline(); !at.IsZero() && !now.Before(at) {
		l.happened(identity.Actor{}, l.machine.tick(now))
	}
	if !now.Before(l.recheck) {
		l.reconsider()
	}
	l.watchAlone(now)
	l.watchScopes(now)
}

// media is what the engine saw.
func (l *live) media(e MediaEvent) {
	p := l.seats[e.Identity]
	if p == nil {
		return // a channel participant
	}
	booth := p.Role == scheduling.RoleInterpreter && e.Room == boothOf(p.Pair)
	system := identity.Actor{}
	now := l.now()
	switch {
	case e.Kind == MediaJoined && e.Room == RoomMain:
		p.inMain = true
		l.watchAlone(now)
	case e.Kind == MediaLeft && e.Room == RoomMain:
		p.inMain = false
		l.watchAlone(now)
	case e.Kind == MediaJoined && booth:
		p.inBooth = true
	case e.Kind == MediaLeft && booth:
		p.inBooth = false
		l.happened(system, l.machine.gone(p.ID, now))
	case e.Kind == MediaUnpublished && booth && e.Source == SourceMicrophone:
		l.happened(system, l.machine.gone(p.ID, now))
	case e.Kind == MediaFlow && booth:
		l.happened(system, l.machine.flows(p.ID, e.Flow, now))
	case (e.Kind == MediaMuted || e.Kind == MediaUnmuted) && booth && e.Source == SourceMicrophone:
		if got, err := l.machine.mute(p.ID, e.Kind == MediaMuted, now); err == nil {
			l.happened(system, got)
		}
	}
}

// disconnected is a feed that ended; the person may come back.
func (l *live) disconnected(c *Conn) {
	p := l.seats[c.who]
	if p == nil || p.conn != c {
		return
	}
	p.conn = nil
	p.hand = false
	_ = l.machine.speech(p.ID, false, l.now()) // nobody tells any more
	l.watchAlone(l.now())
}

// checkLogins ends the feeds of a browser that was signed out.
func (l *live) checkLogins(login string) {
	for _, id := range l.ids() {
		if p := l.seats[id]; p.conn != nil && login != "" && string(p.conn.actor.Login) == login {
			l.signedOut(p)
		}
	}
}

// keepLogin is how often an open feed keeps its login from idling out.
const keepLogin = time.Minute

// watchLogins asks whether the logins behind the feeds are still open, in case the
// log's word of their end was missed, and keeps them from idling out.
func (l *live) watchLogins(now time.Time) {
	for _, id := range l.ids() {
		p := l.seats[id]
		if p.conn == nil || p.conn.actor.Login == "" {
			continue
		}
		if open, err := l.loginOpen(p.conn, now); err != nil {
			l.svc.log.Error("look after a login", "session", string(l.id), "error", err)
			return // the database is away; media goes on
		} else if !open {
			l.signedOut(p)
		}
	}
}

func (l *live) loginOpen(c *Conn, now time.Time) (open bool, err error) {
	ctx, cancel := l.within()
	defer cancel()
	if now.Sub(c.kept) < keepLogin {
		return l.svc.people.Live(ctx, c.actor.Login)
	}
	err = l.svc.people.KeepAlive(ctx, c.actor.Login)
	if errors.Is(err, identity.ErrNoLogin) {
		return false, nil
	}
	c.kept = now
	return err == nil, err
}

// signedOut takes out whoever's login has ended.
func (l *live) signedOut(p *seated) {
	p.conn.end(ErrTicket)
	p.conn = nil
	if p.State == Admitted {
		l.cut(p, Leave, identity.System("sessions", l.org), "signed_out")
	}
}
