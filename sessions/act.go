package sessions

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/language"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/sessions/workspace"
)

// Limits of what people send.
const (
	maxChat    = 4000            // characters of one message
	keptChat   = 200             // messages that a returning person gets again
	signalRest = 5 * time.Second // between two signals of a kind from one booth
)

// signals are what an interpreter may say to speakers.
var signals = []string{"slow_down", "repeat", "pause", "louder", "one_at_a_time", "sound_problem"}

var plainPlace = regexp.MustCompile(`^[A-Z]{2}(-[A-Z0-9]{1,3})?$`)

// said is one chat message as it went out.
type said struct {
	msgChat
	when time.Time
}

// command is one frame of a browser, in the session's order. Who sent it is what the
// connection says, never what the frame says.
func (l *live) command(c *Conn, cmd command) {
	if cmd.Type == "hello" {
		l.hello(c)
		return
	}
	p := l.seats[c.who]
	if p == nil || p.conn != c {
		c.end(ErrReplaced)
		return
	}
	err := l.dispatch(p, cmd)
	var r refusal
	switch {
	case err == nil:
		if cmd.ID != "" {
			c.say(msgDone{Type: "done", Command: cmd.Type, ID: cmd.ID, Epoch: l.machine.epoch})
		}
	case errors.As(err, &r):
		c.say(msgError{Type: "error", Command: cmd.Type, ID: cmd.ID, Code: string(r), MessageID: messageID(string(r)), Epoch: l.machine.epoch})
	case errors.Is(err, ErrProtocol):
		c.end(err)
	default:
		l.svc.log.Error("command of a session", "session", string(l.id), "command", cmd.Type, "error", err)
		c.say(msgError{Type: "error", Command: cmd.Type, ID: cmd.ID, Code: string(refuseUnavailable),
			MessageID: messageID(string(refuseUnavailable)), Epoch: l.machine.epoch})
	}
}

// hello is a browser that arrives, for the first time or again.
func (l *live) hello(c *Conn) {
	p := l.seats[c.who]
	if p == nil {
		if p = l.late(c); p == nil {
			c.end(ErrNotFound)
			return
		}
	}
	if p.conn == c {
		return
	}
	if p.conn != nil {
		p.conn.end(ErrReplaced)
	}
	p.conn, p.actor, c.epoch = c, c.actor, l.machine.epoch
	next, ok := p.State.Next(Arrive)
	if !ok { // removed
		c.state("welcome", l.welcome(p))
		c.say(msgRemoved{Type: "removed", Reason: "removed"})
		return
	}
	if next != p.State || p.arrived.IsZero() {
		p.arrived = l.now()
	}
	if next != p.State {
		before := p.Participant
		p.State = next
		if err := l.save(p, "session.arrived", string(p.Role)); err != nil {
			p.Participant = before
			c.end(ErrStopped)
			return
		}
	}
	c.state("welcome", l.welcome(p))
	switch {
	case p.State == Admitted:
		l.replay(p)
		_ = l.admit(p, p) // a refusal was told
	case hosts(p.Role):
		if err := l.admit(p, p); err != nil {
			l.tellError(p, "admit", err)
		}
	}
	l.watchAlone(l.now())
}

// late is somebody who was noted after the session had begun to run here.
func (l *live) late(c *Conn) *seated {
	var found *seated
	err := l.write(c.actor, func(ctx context.Context, tx *audit.Tx) error {
		list, err := participants(ctx, tx, l.id)
		if err != nil {
			return err
		}
		for _, p := range list {
			if p.ID == c.who && p.Person == c.actor.Person {
				found, err = l.seat(ctx, tx, p)
				return err
			}
		}
		return ErrNotFound
	})
	if err != nil {
		return nil
	}
	return found
}

// save keeps a participant and says what happened to them.
func (l *live) save(p *seated, act, reason string) error {
	return l.write(p.actor, func(ctx context.Context, tx *audit.Tx) error {
		e := l.event(p.actor, act)
		e.Objects["participant"] = string(p.ID)
		e.Reason = reason
		tx.Append(e)
		return saveParticipant(ctx, tx, p.Participant)
	})
}

func (l *live) tellError(p *seated, cmd string, err error) {
	var r refusal
	if p.conn == nil || !errors.As(err, &r) {
		return
	}
	p.conn.say(msgError{Type: "error", Command: cmd, Code: string(r), MessageID: messageID(string(r)), Epoch: l.machine.epoch})
}

// host tells whether p leads now: the local physician, or the coordinator until one
// is there. For the lobby both do.
func (l *live) host(p *seated) bool {
	if p.State != Admitted || !hosts(p.Role) {
		return false
	}
	return p.over.IsZero() && (p.Role == scheduling.RoleLocalPhysician || !l.localThere())
}

func (l *live) dispatch(p *seated, cmd command) error {
	actor := p.conn.actor
	switch cmd.Type { // also in the lobby
	case "lobby.check":
		return l.checked(p, cmd)
	case "place.confirm":
		return l.placed(p, cmd.Place)
	case "leave":
		return l.leave(p)
	case "spoken.set":
		return l.speaks(p, cmd.Tag)
	}
	if p.State != Admitted {
		return refuseForbidden
	}
	if l.session.State == SessionEnded {
		return refuseEnded
	}
	if !p.over.IsZero() && !closing[cmd.Type] {
		return refusal(p.overBy)
	}
	now := l.now()
	switch cmd.Type {
	case "admit", "decline", "remove", "back_to_lobby":
		return l.door(p, cmd)
	case "end":
		if !l.host(p) {
			return refuseForbidden
		}
		if l.session.State != SessionRunning {
			return refuseState
		}
		l.end(actor, "ended_by_host")
		return nil
	case "ticket.renew":
		return l.admit(p, p)
	case "listen.set":
		return l.listens(p, cmd.Tag)
	case "chat.say":
		return l.says(p, cmd)
	case "hand":
		p.hand = cmd.Raised
		return nil
	case "signal":
		return l.signals(p, cmd.Kind, now)
	case "mute":
		return l.interpret(actor, func(m *machine) (effects, error) { return m.mute(p.ID, cmd.Muted, now) })
	case "cough":
		return l.interpret(actor, func(m *machine) (effects, error) { return m.coughs(p.ID, cmd.On, now) })
	case "speech":
		return l.machine.speech(p.ID, cmd.On, now)
	}
	do := l.interpretation(p, cmd, now)
	if do == nil {
		return errUnknown
	}
	if l.machine.stale(cmd.ExpectEpoch) {
		return refuseStale
	}
	before := l.machine.mode
	if err := l.interpret(actor, do); err != nil {
		return err
	}
	if l.machine.mode != before {
		return l.modeChanged()
	}
	return nil
}

var errUnknown = errors.Join(ErrProtocol, errors.New("unknown command"))

// interpretation maps a command to what it does to the machine. These carry the
// epoch that the sender saw.
func (l *live) interpretation(p *seated, cmd command, now time.Time) func(m *machine) (effects, error) {
	within := time.Duration(0)
	if cmd.Now {
		within = 15 * time.Second
	}
	switch cmd.Type {
	case "go_live", "take":
		return func(m *machine) (effects, error) { return m.goLive(p.ID) }
	case "stop":
		return func(m *machine) (effects, error) { return m.stop(p.ID) }
	case "direction.set":
		return func(m *machine) (effects, error) { return m.direct(p.ID, cmd.Out) }
	case "input.set":
		return func(m *machine) (effects, error) { return m.choose(p.ID, cmd.Tag) }
	case "handover.offer":
		return func(m *machine) (effects, error) { return m.offer(p.ID, cmd.To, within, now) }
	case "handover.request":
		return func(m *machine) (effects, error) { return m.request(p.ID, within, now) }
	case "handover.accept":
		return func(m *machine) (effects, error) { return m.accept(p.ID, now) }
	case "handover.decline", "handover.cancel":
		return func(m *machine) (effects, error) { return m.cancel(p.ID) }
	case "handover.switch":
		return func(m *machine) (effects, error) { return m.swap(p.ID, now) }
	case "coordinator.assign":
		return func(m *machine) (effects, error) {
			if !hosts(p.Role) {
				return effects{}, refuseForbidden
			}
			return m.assign(p.ID, cmd.Participant)
		}
	case "mode.propose":
		return func(m *machine) (effects, error) { return m.propose(p.ID, l.host(p), cmd.Mode) }
	case "mode.confirm":
		return func(m *machine) (effects, error) { return m.confirm(p.ID, l.host(p), cmd.Mode) }
	}
	return nil
}

// modeChanged gives interpreters the rights of the new mode.
func (l *live) modeChanged() error {
	ctx, cancel := l.within()
	defer cancel()
	for _, id := range l.ids() {
		p := l.seats[id]
		if p.Role != scheduling.RoleInterpreter || p.State != Admitted {
			continue
		}
		if err := l.svc.media.Change(ctx, l.id, RoomMain, p.ID, rights(p.Role, RoomMain, l.machine.mode)); err != nil {
			return err
		}
	}
	return nil
}

// checked notes the check of devices at the door; for an interpreter it is the
// check-in.
func (l *live) checked(p *seated, cmd command) error {
	if cmd.Network != "good" && cmd.Network != "fair" && cmd.Network != "poor" {
		return ErrProtocol
	}
	c := &check{Audio: cmd.Audio, Video: cmd.Video, Network: cmd.Network}
	if p.Role == scheduling.RoleInterpreter && !cmd.Audio && p.State != Admitted {
		p.check = c
		if p.CheckedAt.IsZero() {
			return nil
		}
		p.CheckedAt, p.Check = time.Time{}, nil
		return l.save(p, "session.checked", "no_sound")
	}
	if !p.CheckedAt.IsZero() && p.check != nil && *p.check == *c {
		return nil
	}
	before := p.Participant
	p.CheckedAt = l.now()
	p.Check = &DeviceCheck{At: p.CheckedAt, Audio: cmd.Audio, Video: cmd.Video, Network: cmd.Network}
	if err := l.save(p, "session.checked", cmd.Network); err != nil {
		p.Participant = before
		return err
	}
	p.check = c
	return nil
}

// placed notes where the patient says to be now. Everything that depends on it is
// determined anew before anything goes on.
func (l *live) placed(p *seated, place string) error {
	if p.Role != scheduling.RolePatient {
		return refuseForbidden
	}
	if !plainPlace.MatchString(place) {
		return refusal("bad_place")
	}
	if l.caseID != "" {
		ctx, cancel := l.within()
		defer cancel()
		err := l.svc.cases.ConfirmPlace(ctx, p.conn.actor, l.caseID, place, "asked_at_the_door")
		var no *workspace.Refusal
		switch {
		case errors.As(err, &no), errors.Is(err, workspace.ErrNotFound):
			return refuseForbidden
		case err != nil:
			return err
		}
	}
	before := p.Participant
	p.Place = place
	if err := l.save(p, "session.place_confirmed", place); err != nil {
		p.Participant = before
		return err
	}
	l.reconsider()
	return nil
}

func (l *live) leave(p *seated) error {
	if p.State == Removed {
		return refuseState
	}
	if err := l.cut(p, Leave, p.conn.actor, "left"); err != nil {
		return err
	}
	return nil
}

// tag reads a language tag, canonical.
func tag(s string) (string, error) {
	t, err := language.Parse(s)
	if err != nil || len(s) > 35 || t == language.Und {
		return "", refuseTag
	}
	return t.String(), nil
}

func (l *live) speaks(p *seated, s string) error {
	t, err := tag(s)
	if err != nil {
		return err
	}
	if t == p.Spoken {
		return nil
	}
	before := p.Participant
	p.Spoken = t
	if err := l.save(p, "session.speech_declared", t); err != nil {
		p.Participant = before
		return err
	}
	if p.State == Admitted {
		return l.machine.speak(p.ID, t)
	}
	return nil
}

// listens sets what a person hears. The route comes first: a switch must not wait
// for the log.
func (l *live) listens(p *seated, s string) error {
	t := ""
	if s != "floor" && s != "" {
		var err error
		if t, err = tag(s); err != nil {
			return err
		}
		for !l.machine.hasTag(t) { // RFC 4647 lookup: es-MX, then es
			cut := strings.LastIndexByte(t, '-')
			if cut < 0 {
				return refuseChannel
			}
			t = t[:cut]
		}
	}
	if p.Listening == t {
		return nil
	}
	if err := l.machine.listen(p.ID, t); err != nil {
		return err
	}
	p.Listening = t
	l.route()
	to := t
	if to == "" {
		to = "floor"
	}
	var e effects
	e.did("session.channel_chosen", p.ID, nil, to)
	l.pending = append(l.pending, pending{actor: p.conn.actor, changes: e.changes, saves: []Participant{p.Participant}})
	l.flush()
	return nil
}

// door is what hosts decide over others.
func (l *live) door(p *seated, cmd command) error {
	if !hosts(p.Role) {
		return refuseForbidden
	}
	other := l.seats[cmd.Participant]
	if other == nil || other.ID == p.ID {
		return refusePresent
	}
	actor := p.conn.actor
	switch cmd.Type {
	case "admit":
		if other.State == Admitted {
			return nil
		}
		return l.admit(p, other)
	case "decline":
		if other.State != InLobby {
			return refuseState
		}
	case "remove":
		if !l.host(p) {
			return refuseForbidden
		}
		if other.State != Admitted {
			return refuseState
		}
	case "back_to_lobby":
		if !l.host(p) {
			return refuseForbidden
		}
		return l.cut(other, SendBack, actor, "sent_back")
	}
	if other.Role == scheduling.RoleLocalPhysician && p.Role != scheduling.RoleLocalPhysician {
		return refuseForbidden // the patient is theirs
	}
	reason := map[string]string{"decline": "declined", "remove": "removed"}[cmd.Type]
	if err := l.cut(other, Expel, actor, reason); err != nil {
		return err
	}
	if other.conn != nil {
		other.conn.say(msgRemoved{Type: "removed", Reason: reason})
	}
	return nil
}

// hears tells whether a person takes part in a chat room.
func (l *live) hears(p *seated, from *seated, room string) bool {
	if p.State != Admitted || p.conn == nil {
		return false
	}
	switch room {
	case "main":
		return p.Role != scheduling.RoleCoordinator // no case data
	case "aside":
		return p.Role.Clinician()
	case "booth":
		return p.Role == scheduling.RoleInterpreter && from.Role == scheduling.RoleInterpreter && boothOf(p.Pair) == boothOf(from.Pair) ||
			p.Role == scheduling.RoleCoordinator
	}
	return false
}

// says is a chat message: kept in the case's discussion, except the booth's.
func (l *live) says(p *seated, cmd command) error {
	if cmd.Room == "" {
		cmd.Room = "main"
	}
	text := strings.TrimSpace(cmd.Text)
	if !l.hears(p, p, cmd.Room) {
		return refuseForbidden
	}
	if p.lost() { // what is written goes into the record: it is advice
		return refuseScope
	}
	if text == "" || utf8.RuneCountInString(text) > maxChat {
		return refusal("bad_text")
	}
	lang := p.Spoken
	if cmd.Language != "" {
		var err error
		if lang, err = tag(cmd.Language); err != nil {
			return err
		}
	}
	m := msgChat{Type: "chat", Room: cmd.Room, From: p.ID, Name: p.person.Name, Text: text, Language: lang}
	at := l.now()
	if cmd.Room == "booth" {
		m.ID = newID[string]()
	} else {
		if l.caseID == "" {
			return refuseState
		}
		if err := l.write(p.conn.actor, func(ctx context.Context, tx *audit.Tx) error {
			id, err := l.svc.cases.SayTx(ctx, tx, p.conn.actor, l.caseID, workspace.Message{Audience: cmd.Room, Session: string(l.id), Language: lang, Text: text})
			m.ID = string(id)
			return err
		}); err != nil {
			return err
		}
	}
	m.At = stamp(at)
	if cmd.Room != "booth" {
		l.chat = append(l.chat, said{m, at})
		if len(l.chat) > keptChat {
			l.chat = slices.Delete(l.chat, 0, len(l.chat)-keptChat)
		}
	}
	for _, id := range l.ids() {
		if other := l.seats[id]; l.hears(other, p, cmd.Room) {
			other.conn.say(m)
		}
	}
	return nil
}

// replay gives a returning person what was said since they were let in.
func (l *live) replay(p *seated) {
	for _, m := range l.chat {
		from := l.seats[m.From]
		if from != nil && l.hears(p, from, m.Room) && !m.when.Before(p.AdmittedAt) {
			p.conn.say(m.msgChat)
		}
	}
}

// signals is an interpreter's word to the speakers: slower, louder, one at a time.
func (l *live) signals(p *seated, kind string, now time.Time) error {
	if p.Role != scheduling.RoleInterpreter {
		return refuseForbidden
	}
	if !slices.Contains(signals, kind) {
		return ErrProtocol
	}
	key := string(boothOf(p.Pair)) + kind
	if last := l.signaled[key]; !last.IsZero() && now.Before(last.Add(signalRest)) {
		return refuseRate
	}
	l.signaled[key] = now
	for _, id := range l.inside() {
		other := l.seats[id]
		if other.conn != nil && other.Role != scheduling.RoleInterpreter && other.Role != scheduling.RoleCoordinator {
			other.conn.say(msgSignal{Type: "signal", Kind: kind, From: p.ID})
		}
	}
	return nil
}

// tell sends cues to people on the feed.
func (l *live) tell(cues []cue) {
	for _, c := range cues {
		n := noticeOf(c.level, c.code, c.data)
		for _, id := range c.to {
			if p := l.seats[id]; p != nil && p.conn != nil && p.State == Admitted {
				p.conn.say(n)
			}
		}
	}
}
