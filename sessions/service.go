package sessions

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/sessions/workspace"
)

// People is what sessions asks of identity.Service: who somebody is. All methods
// read within tx and may be repeated.
type People interface {
	PeopleTx(ctx context.Context, tx *audit.Tx, ids ...identity.PersonID) (map[identity.PersonID]identity.Person, error)
	RolesOfTx(ctx context.Context, tx *audit.Tx, id identity.PersonID) ([]identity.Grant, error)
	OrganizationTx(ctx context.Context, tx *audit.Tx, id identity.OrganizationID) (identity.Organization, error)
	// Live tells whether a login is still open.
	Live(ctx context.Context, id identity.LoginID) (bool, error)
	// KeepAlive keeps a login from idling out; identity.ErrNoLogin if it has ended.
	KeepAlive(ctx context.Context, id identity.LoginID) error
}

// Scope is what sessions asks of credentialing.Service at the door and while people
// meet. All methods but Explain work within tx; Determine stores its answer.
type Scope interface {
	Determine(ctx context.Context, tx *audit.Tx, actor identity.Actor, ask credentialing.Ask) (credentialing.Determination, error)
	Judge(ctx context.Context, tx *audit.Tx, ask credentialing.Ask) (credentialing.Determination, error)
	NextChange(ctx context.Context, tx *audit.Tx, ask credentialing.Ask, until time.Time) (time.Time, error)
	Qualified(ctx context.Context, tx *audit.Tx, person identity.PersonID, pair [2]string, mode string, at time.Time) (ok bool, reason string, until time.Time, err error)
	Explain(code string) credentialing.Explanation
}

// Appointments is what sessions asks of scheduling.Service. Appointment opens a
// transaction of its own; the others work within tx and may be repeated.
type Appointments interface {
	Appointment(ctx context.Context, actor identity.Actor, id scheduling.AppointmentID) (scheduling.Appointment, error)
	SeatFor(ctx context.Context, tx *audit.Tx, id scheduling.AppointmentID, person identity.PersonID) (scheduling.Seat, scheduling.Appointment, error)
	Begin(ctx context.Context, tx *audit.Tx, id scheduling.AppointmentID) error
	Fulfill(ctx context.Context, tx *audit.Tx, id scheduling.AppointmentID) error
}

// Cases is what sessions asks of workspace.Service. ConfirmPlace opens a
// transaction of its own; the others work within tx, in the scope of the clinic.
type Cases interface {
	ContextTx(ctx context.Context, tx *audit.Tx, id workspace.CaseID, specialist identity.PersonID) (credentialing.CaseContext, error)
	Allows(ctx context.Context, tx *audit.Tx, id workspace.CaseID, purpose workspace.Purpose, class workspace.Class, destination string,
		receiver identity.PersonID, at time.Time) (bool, error)
	ConfirmPlace(ctx context.Context, actor identity.Actor, id workspace.CaseID, where, how string) error
	SayTx(ctx context.Context, tx *audit.Tx, actor identity.Actor, id workspace.CaseID, m workspace.Message) (workspace.MessageID, error)
}

var (
	_ People       = (*identity.Service)(nil)
	_ Scope        = (*credentialing.Service)(nil)
	_ Appointments = (*scheduling.Service)(nil)
	_ Cases        = (*workspace.Service)(nil)
)

// Config wires a Service.
type Config struct {
	DB            *audit.DB
	Identity      People
	Credentialing Scope
	Scheduling    Appointments
	Workspace     Cases
	Media         Media
	// Node names this process among several; Address is where others forward to.
	// With one node both may be "".
	Node    string
	Address string
	// Mode is the mode of interpretation that a session begins with; "" is
	// Simultaneous.
	Mode Mode
	Log  *slog.Logger // nil: slog.Default
}

// Service runs the sessions of this node.
type Service struct {
	db     *audit.DB
	people People
	scope  Scope
	visits Appointments
	cases  Cases
	media  Media
	node   string
	addr   string
	mode   Mode
	log    *slog.Logger
	unwind func() // ends the watch on the engine

	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	followed chan struct{} // closed when the follower has ended

	mu     sync.Mutex
	lives  map[SessionID]*live // guarded by mu
	feeds  map[string]int      // guarded by mu; open ones of each login
	closed bool                // guarded by mu
}

// New returns the service, which follows the log from now on; Close ends it.
func New(c Config) (*Service, error) {
	if c.DB == nil || c.Identity == nil || c.Credentialing == nil || c.Scheduling == nil || c.Workspace == nil || c.Media == nil {
		return nil, errors.New("sessions: DB, Identity, Credentialing, Scheduling, Workspace and Media are needed")
	}
	if c.Node == "" {
		c.Node = "node"
	}
	if c.Mode == "" {
		c.Mode = Simultaneous
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	s := &Service{db: c.DB, people: c.Identity, scope: c.Credentialing, visits: c.Scheduling, cases: c.Workspace, media: c.Media,
		node: c.Node, addr: c.Address, mode: c.Mode, log: c.Log, lives: map[SessionID]*live{}, feeds: map[string]int{},
		followed: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.unwind = c.Media.Watch(func(e MediaEvent) {
		if l := s.running(e.Session); l != nil {
			l.post(func() { l.media(e) })
		}
	})
	go func() {
		defer close(s.followed)
		s.run(s.ctx)
	}()
	return s, nil
}

// run follows the log, so that a consent withdrawn, a place confirmed or a credential
// reported anywhere reaches running sessions at once, until ctx ends.
func (s *Service) run(ctx context.Context) {
	from := int64(-1) // the next leaf to see; kept when following is interrupted
	for {
		err := s.follow(ctx, &from)
		if ctx.Err() != nil {
			return
		}
		s.log.WarnContext(ctx, "following the log", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second): // the database is away; try again
		}
	}
}

func (s *Service) follow(ctx context.Context, from *int64) error {
	if *from < 0 {
		if err := s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) (err error) {
			*from, err = logSize(ctx, tx)
			return err
		}); err != nil {
			*from = -1
			return err
		}
	}
	return s.db.Follow(ctx, *from, func(leaf audit.Leaf) error {
		*from = leaf.Index + 1
		e := leaf.Event
		room, _, _ := strings.Cut(e.Act, ".")
		switch {
		case room == "consent" || e.Act == "case.place_confirmed" || e.Act == "case.handed_over":
			s.each(func(l *live) {
				if string(l.caseID) == e.Objects["case"] {
					l.reconsider()
				}
			})
		case room == "credential" || room == "credentials" || room == "exclusion" || room == "exclusions" || room == "packs" ||
			room == "agreement" || room == "facility_license" || room == "role" || e.Act == "person.disabled" || room == "appointment" && e.Act == "appointment.canceled":
			s.each(func(l *live) { l.reconsider() })
		case e.Act == "login.ended":
			s.each(func(l *live) { l.checkLogins(e.Objects["login"]) })
		}
		return nil
	})
}

// each posts f to the queue of every running session.
func (s *Service) each(f func(*live)) {
	s.mu.Lock()
	lives := make([]*live, 0, len(s.lives))
	for _, l := range s.lives {
		lives = append(lives, l)
	}
	s.mu.Unlock()
	for _, l := range lives {
		l.post(func() { f(l) })
	}
}

// Close stops all sessions of this node: feeds end, leases are given up, the media
// engine is left alone. Another node, or this one later, takes them up.
func (s *Service) Close() {
	s.mu.Lock()
	s.closed = true
	lives := make([]*live, 0, len(s.lives))
	for _, l := range s.lives {
		lives = append(lives, l)
	}
	s.mu.Unlock()
	s.unwind()
	s.cancel()
	for _, l := range lives {
		<-l.stopped
	}
	<-s.followed
}

func (s *Service) running(id SessionID) *live {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lives[id]
}

func newID[T ~string]() T { return T(uuid.Must(uuid.NewV7()).String()) }

var plainID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// OpenDoor shows a person the way into their appointment: who they are, when it is,
// and, from shortly before the start, the ticket of the session's feed. The session
// is made by whoever comes first. It tells nothing of the others.
func (s *Service) OpenDoor(ctx context.Context, actor identity.Actor, id scheduling.AppointmentID) (Door, error) {
	if !plainID.MatchString(string(id)) || actor.Person == "" {
		return Door{}, ErrNotFound
	}
	// A coordinator of the clinic has no seat and may come in to host the lobby.
	var arranged *scheduling.Appointment
	if !actor.Guest() && actor.Has(identity.RoleCoordinator) {
		a, err := s.visits.Appointment(ctx, actor, id)
		switch {
		case err == nil && a.Organization == actor.Organization:
			arranged = &a
		case err != nil && !errors.Is(err, scheduling.ErrNotFound):
			return Door{}, fmt.Errorf("door of appointment %s: %w", id, err)
		}
	}
	var d Door
	err := s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		seat, a, err := s.visits.SeatFor(ctx, tx, id, actor.Person)
		switch {
		case err == nil:
		case errors.Is(err, scheduling.ErrNotFound) && arranged != nil:
			a = *arranged
			seat = scheduling.Seat{Person: actor.Person, Role: scheduling.RoleCoordinator}
			if err := audit.Enter(ctx, tx, audit.Scope{Organization: string(a.Organization), Person: string(actor.Person)}); err != nil {
				return err
			}
		case errors.Is(err, scheduling.ErrNotFound):
			return ErrNotFound
		default:
			return err
		}
		if actor.Guest() && actor.Seat != string(seat.ID) {
			return ErrNotFound
		}
		d, err = s.door(ctx, tx, actor, seat, a)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return Door{}, ErrNotFound
	}
	if err != nil {
		return Door{}, fmt.Errorf("door of appointment %s: %w", id, err)
	}
	return d, nil
}

func (s *Service) door(ctx context.Context, tx *audit.Tx, actor identity.Actor, seat scheduling.Seat, a scheduling.Appointment) (Door, error) {
	people, err := s.people.PeopleTx(ctx, tx, actor.Person)
	if err != nil {
		return Door{}, err
	}
	me, ok := people[actor.Person]
	if !ok || me.Disabled {
		return Door{}, ErrNotFound
	}
	d := Door{State: DoorEarly, Appointment: a.ID, Role: seat.Role, Name: me.Name, Language: me.Language, Languages: me.Languages, Zone: me.Zone,
		Host: hosts(seat.Role), Kind: a.Kind, Mode: s.mode, Start: a.StartAt, End: a.End(), Opens: a.StartAt.Add(-doorOpens),
		Closes: a.End().Add(doorCloses), Pair: seat.Pair, AskPlace: seat.Role == scheduling.RolePatient}
	if a.Interpreted != [2]string{} {
		d.Channels = a.Carried()
	}
	switch a.State {
	case scheduling.StateBooked, scheduling.StateInProgress:
	case scheduling.StateFulfilled:
		d.State = DoorEnded
		return d, nil
	default:
		d.State = DoorUnready
		return d, nil
	}
	now := tx.Now()
	if now.Before(d.Opens) {
		return d, nil
	}
	if !now.Before(d.Closes) {
		d.State = DoorEnded
		return d, nil
	}
	session, err := s.open(ctx, tx, actor, a)
	if err != nil {
		return Door{}, err
	}
	d.Session, d.Mode = session.ID, session.Mode
	if session.State == SessionEnded {
		d.State = DoorEnded
		return d, nil
	}
	p, err := s.expect(ctx, tx, actor, session, a, seat, me)
	if err != nil {
		return Door{}, err
	}
	d.Participant, d.Place = p.ID, p.Place
	switch p.State {
	case Admitted:
		d.State = DoorAdmitted
	case Removed:
		d.State = DoorRemoved
	default:
		d.State = DoorLobby
	}
	if d.AskPlace && d.Place == "" && a.Case != "" {
		if c, err := s.cases.ContextTx(ctx, tx, workspace.CaseID(a.Case), ""); err == nil && len(c.Places) > 0 {
			d.Place = c.Places[0]
		}
	}
	d.Ticket = feedTicket(session.feedKey, session.ID, actor)
	return d, nil
}

// hosts tells whether a role may let others in.
func hosts(r scheduling.Role) bool {
	return r == scheduling.RoleLocalPhysician || r == scheduling.RoleCoordinator
}

// open finds the session of an appointment or makes it, with everybody seated.
func (s *Service) open(ctx context.Context, tx *audit.Tx, actor identity.Actor, a scheduling.Appointment) (Session, error) {
	session, err := sessionWhere(ctx, tx, `appointment_id = $1`, string(a.ID))
	if err == nil && session.State == SessionOpen && (!session.Start.Equal(a.StartAt) || !session.End.Equal(a.End())) {
		// The appointment was moved after somebody had been at the door.
		session.Start, session.End, session.Closes = a.StartAt, a.End(), a.End().Add(doorCloses)
		return session, moveSession(ctx, tx, session)
	}
	if err == nil || !errors.Is(err, ErrNotFound) {
		return session, err
	}
	session = Session{ID: newID[SessionID](), Organization: a.Organization, Appointment: a.ID, Case: workspace.CaseID(a.Case), Kind: a.Kind,
		Mode: s.mode, State: SessionOpen, Start: a.StartAt, End: a.End(), Closes: a.End().Add(doorCloses), feedKey: make([]byte, 32)}
	if _, err := rand.Read(session.feedKey); err != nil {
		return Session{}, err
	}
	made, err := insertSession(ctx, tx, session)
	if err != nil {
		return Session{}, err
	}
	if !made { // somebody came at the same moment
		return sessionWhere(ctx, tx, `appointment_id = $1`, string(a.ID))
	}
	var ids []identity.PersonID
	for _, seat := range a.Seats {
		if !seat.Released {
			ids = append(ids, seat.Person)
		}
	}
	people, err := s.people.PeopleTx(ctx, tx, ids...)
	if err != nil {
		return Session{}, err
	}
	for _, seat := range a.Seats {
		if seat.Released {
			continue
		}
		if _, err := insertParticipant(ctx, tx, expected(session, a, seat, people[seat.Person])); err != nil {
			return Session{}, err
		}
	}
	e := actor.Event("session.opened")
	e.Objects = map[string]string{"session": string(session.ID), "appointment": string(a.ID)}
	if a.Case != "" {
		e.Objects["case"] = string(a.Case)
	}
	tx.Append(e)
	return session, nil
}

// expected is a participant before they come. People are taken to speak, and hear,
// the first of their languages that the interpretation carries; they change it at
// will. Without interpretation it is their first language, and the floor.
func expected(session Session, a scheduling.Appointment, seat scheduling.Seat, person identity.Person) Participant {
	p := Participant{ID: Identity(seat.ID), Session: session.ID, Person: seat.Person, Role: seat.Role, State: Expected, Pair: seat.Pair, Spoken: "en"}
	if p.ID == "" {
		p.ID = newID[Identity]()
	}
	switch {
	case len(person.Languages) > 0:
		p.Spoken = person.Languages[0]
	case person.Language != "":
		p.Spoken = person.Language
	}
	if seat.Role == scheduling.RoleInterpreter || seat.Role == scheduling.RoleCoordinator || a.Interpreted == [2]string{} {
		return p
	}
	// Those of the two sides come before one that is only between them, or beside.
	for _, carried := range [][]string{a.Interpreted[:], a.Carried()} {
		for _, tag := range person.Languages {
			base, _, _ := strings.Cut(tag, "-")
			if slices.Contains(carried, tag) || slices.Contains(carried, base) {
				if p.Spoken = tag; !slices.Contains(carried, tag) {
					p.Spoken = base
				}
				p.Listening = p.Spoken
				return p
			}
		}
	}
	return p
}

// expect finds the participant of a seat or notes it: a substitute, a coordinator.
func (s *Service) expect(ctx context.Context, tx *audit.Tx, actor identity.Actor, session Session, a scheduling.Appointment, seat scheduling.Seat, me identity.Person) (Participant, error) {
	list, err := participants(ctx, tx, session.ID)
	if err != nil {
		return Participant{}, err
	}
	for _, p := range list {
		if p.Person == actor.Person {
			return p, nil
		}
	}
	p := expected(session, a, seat, me)
	made, err := insertParticipant(ctx, tx, p)
	if err != nil {
		return Participant{}, err
	}
	if !made {
		return Participant{}, ErrNotFound // the same seat or person at the same moment: come again
	}
	e := actor.Event("session.expected")
	e.Objects = map[string]string{"session": string(session.ID), "participant": string(p.ID)}
	e.Reason = string(p.Role)
	tx.Append(e)
	return p, nil
}

// Connect attaches a browser's feed to its session. Frames go to send, in order and
// from one goroutine; send may block for a while, and an error of it ends the feed.
// Nothing is sent before the first command, which must be "hello".
func (s *Service) Connect(ctx context.Context, actor identity.Actor, id SessionID, send func(frame []byte) error) (*Conn, error) {
	if !plainID.MatchString(string(id)) || actor.Person == "" {
		return nil, ErrNotFound
	}
	key := string(actor.Login)
	if key == "" {
		key = string(actor.Person)
	}
	s.mu.Lock()
	if s.feeds[key] >= feedsPerLogin {
		s.mu.Unlock()
		return nil, ErrTooMany
	}
	s.feeds[key]++
	s.mu.Unlock()
	l, who, err := s.find(ctx, actor, id)
	if err != nil {
		s.unfeed(key)
		return nil, err
	}
	c := &Conn{key: key, live: l, actor: actor, who: who, out: make(chan []byte, feedQueue), done: make(chan struct{}), gone: make(chan struct{}),
		last: map[string]string{}}
	c.start(send)
	return c, nil
}

func (s *Service) unfeed(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.feeds[key]--; s.feeds[key] <= 0 {
		delete(s.feeds, key)
	}
}

// find gives the running session and the actor's place in it.
func (s *Service) find(ctx context.Context, actor identity.Actor, id SessionID) (*live, Identity, error) {
	var session Session
	var me Participant
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		org, err := clinicOf(ctx, tx, id, actor.Person)
		if err != nil {
			return err
		}
		if err := audit.Enter(ctx, tx, audit.Scope{Organization: string(org), Person: string(actor.Person)}); err != nil {
			return err
		}
		if session, err = sessionWhere(ctx, tx, `id = $1`, string(id)); err != nil {
			return err
		}
		list, err := participants(ctx, tx, id)
		if err != nil {
			return err
		}
		for _, p := range list {
			if p.Person == actor.Person && (!actor.Guest() || actor.Seat == string(p.ID)) {
				me = p
				return nil
			}
		}
		return ErrNotFound
	})
	if err != nil {
		return nil, "", err
	}
	if session.State == SessionEnded || !s.db.Now().Before(session.Closes) {
		return nil, "", ErrEnded
	}
	l, err := s.live(ctx, session)
	return l, me.ID, err
}

// live returns the running session, starting it on this node if nobody runs it.
func (s *Service) live(ctx context.Context, session Session) (*live, error) {
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return nil, ErrStopped
		}
		l, ok := s.lives[session.ID]
		if !ok {
			l = newLive(s, session)
			s.lives[session.ID] = l
			s.mu.Unlock()
			l.started(l.begin(s.ctx))
			if l.failure != nil {
				return nil, l.failure
			}
			return l, nil
		}
		s.mu.Unlock()
		select {
		case <-l.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if l.failure != nil {
			return nil, l.failure
		}
		select {
		case <-l.stopped: // it ended while we came; look again
			continue
		default:
			return l, nil
		}
	}
}

// forget takes a stopped session off the list.
func (s *Service) forget(l *live) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lives[l.id] == l {
		delete(s.lives, l.id)
	}
}
