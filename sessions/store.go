package sessions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
)

const sessionColumns = `id::text, organization_id::text, appointment_id::text, coalesce(case_id::text, ''), kind, mode, state, start_at, end_at, closes_at, epoch, interpreted, feed_key`

func scanSession(row pgx.CollectableRow) (s Session, err error) {
	return s, row.Scan(&s.ID, &s.Organization, &s.Appointment, &s.Case, &s.Kind, &s.Mode, &s.State, &s.Start, &s.End, &s.Closes,
		&s.Epoch, &s.Interpreted, &s.feedKey)
}

// sessionWhere reads one session; ErrNotFound when there is none in the scope.
func sessionWhere(ctx context.Context, tx *audit.Tx, where string, arg string) (Session, error) {
	rows, err := tx.Query(ctx, `select `+sessionColumns+` from session where `+where, arg)
	if err != nil {
		return Session{}, fmt.Errorf("read session: %w", err)
	}
	s, err := pgx.CollectExactlyOneRow(rows, scanSession)
	if errors.Is(err, pgx.ErrNoRows) {
		return Session{}, ErrNotFound
	}
	if err != nil {
		return Session{}, fmt.Errorf("read session: %w", err)
	}
	return s, nil
}

// insertSession makes the session of an appointment unless it is there.
func insertSession(ctx context.Context, tx *audit.Tx, s Session) (bool, error) {
	tag, err := tx.Exec(ctx, `
		insert into session (id, organization_id, appointment_id, case_id, kind, mode, state, start_at, end_at, closes_at, feed_key, opened_at)
		values (@id, @organization, @appointment, @case, @kind, @mode, @state, @start, @end, @closes, @key, @now)
		on conflict on constraint session_once do nothing`,
		pgx.StrictNamedArgs{"id": string(s.ID), "organization": string(s.Organization), "appointment": string(s.Appointment),
			"case": null(string(s.Case)), "kind": string(s.Kind), "mode": string(s.Mode), "state": string(s.State), "start": s.Start, "end": s.End,
			"closes": s.Closes, "key": s.feedKey, "now": tx.Now()})
	if err != nil {
		return false, fmt.Errorf("open session: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// saveSession writes what changes of a session.
func saveSession(ctx context.Context, tx *audit.Tx, s Session, reason string) error {
	_, err := tx.Exec(ctx, `
		update session
		set mode = @mode, state = @state, reason = @reason, epoch = @epoch, interpreted = @interpreted,
			begun_at = case when @state::text = 'running' then coalesce(begun_at, @now) else begun_at end,
			ended_at = case when @state::text = 'ended' then coalesce(ended_at, @now) else ended_at end
		where id = @id`,
		pgx.StrictNamedArgs{"id": string(s.ID), "mode": string(s.Mode), "state": string(s.State), "reason": reason,
			"epoch": int64(s.Epoch), "interpreted": s.Interpreted, "now": tx.Now()})
	if err != nil {
		return fmt.Errorf("save session %s: %w", s.ID, err)
	}
	return nil
}

// moveSession writes the times of an appointment that was moved.
func moveSession(ctx context.Context, tx *audit.Tx, s Session) error {
	_, err := tx.Exec(ctx, `update session set start_at = $2, end_at = $3, closes_at = $4 where id = $1`, string(s.ID), s.Start, s.End, s.Closes)
	if err != nil {
		return fmt.Errorf("move session %s: %w", s.ID, err)
	}
	return nil
}

const participantColumns = `id::text, session_id::text, person_id::text, role, state, pair, spoken, listening, place, checked_at, admitted_at,
	admitted_by::text, determination_id::text, check_audio, check_video, check_network`

func scanParticipant(row pgx.CollectableRow) (p Participant, err error) {
	var pair []string
	var checked, admitted *time.Time
	var by, determination, network *string
	var audio, video *bool
	err = row.Scan(&p.ID, &p.Session, &p.Person, &p.Role, &p.State, &pair, &p.Spoken, &p.Listening, &p.Place, &checked, &admitted, &by, &determination, &audio, &video, &network)
	if err != nil {
		return p, err
	}
	if len(pair) == 2 {
		p.Pair = [2]string(pair)
	}
	if checked != nil {
		p.CheckedAt = *checked
	}
	if audio != nil && video != nil && network != nil && checked != nil {
		p.Check = &DeviceCheck{At: checked.UTC(), Audio: *audio, Video: *video, Network: *network}
	}
	if admitted != nil {
		p.AdmittedAt = *admitted
	}
	if by != nil {
		p.AdmittedBy = identity.PersonID(*by)
	}
	if determination != nil {
		p.Determination = *determination
	}
	return p, nil
}

func participants(ctx context.Context, tx *audit.Tx, id SessionID) ([]Participant, error) {
	rows, err := tx.Query(ctx, `select `+participantColumns+` from session_participant where session_id = $1 order by id`, string(id))
	if err != nil {
		return nil, fmt.Errorf("read participants: %w", err)
	}
	out, err := pgx.CollectRows(rows, scanParticipant)
	if err != nil {
		return nil, fmt.Errorf("read participants: %w", err)
	}
	return out, nil
}

// checksOf reads the participants of an appointment's session that the scope may see.
func checksOf(ctx context.Context, tx *audit.Tx, id scheduling.AppointmentID) ([]Participant, error) {
	rows, err := tx.Query(ctx, `
		select `+participantColumns+`
		from session_participant
		where session_id in (select s.id from session s where s.appointment_id = $1)`, string(id))
	if err != nil {
		return nil, fmt.Errorf("read participants: %w", err)
	}
	out, err := pgx.CollectRows(rows, scanParticipant)
	if err != nil {
		return nil, fmt.Errorf("read participants: %w", err)
	}
	return out, nil
}

// clinicOf finds, in the person's own scope, the clinic whose session a person
// takes part in.
func clinicOf(ctx context.Context, tx *audit.Tx, id SessionID, person identity.PersonID) (identity.OrganizationID, error) {
	var org string
	err := tx.QueryRow(ctx, `
		select organization_id::text
		from session_participant
		where session_id = $1 and person_id = $2`, string(id), string(person)).Scan(&org)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("find session %s: %w", id, err)
	}
	return identity.OrganizationID(org), nil
}

// insertParticipant notes who may come; a person is noted once.
func insertParticipant(ctx context.Context, tx *audit.Tx, p Participant) (bool, error) {
	pair := []string{}
	if p.Role == scheduling.RoleInterpreter {
		pair = p.Pair[:]
	}
	tag, err := tx.Exec(ctx, `
		insert into session_participant (id, organization_id, session_id, person_id, role, state, pair, spoken, listening)
		values (@id, @organization, @session, @person, @role, @state, @pair, @spoken, @listening)
		on conflict do nothing`,
		pgx.StrictNamedArgs{"id": string(p.ID), "organization": tx.Scope.Organization, "session": string(p.Session), "person": string(p.Person),
			"role": string(p.Role), "state": string(p.State), "pair": pair, "spoken": p.Spoken, "listening": p.Listening})
	if err != nil {
		return false, fmt.Errorf("note participant: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// saveParticipant writes what changes of a participant.
func saveParticipant(ctx context.Context, tx *audit.Tx, p Participant) error {
	var audio, video *bool
	var network *string
	if p.Check != nil {
		audio, video, network = &p.Check.Audio, &p.Check.Video, &p.Check.Network
	}
	_, err := tx.Exec(ctx, `
		update session_participant
		set state = @state, spoken = @spoken, listening = @listening,
			place_at = case when place is distinct from @place then @now else place_at end, place = @place,
			checked_at = @checked, arrived_at = coalesce(arrived_at, @now), admitted_at = @admitted, admitted_by = @by,
			determination_id = @determination, check_audio = @audio, check_video = @video, check_network = @network
		where id = @id`,
		pgx.StrictNamedArgs{"id": string(p.ID), "state": string(p.State), "spoken": p.Spoken, "listening": p.Listening, "place": p.Place,
			"now": tx.Now(), "checked": nullTime(p.CheckedAt), "admitted": nullTime(p.AdmittedAt), "by": null(string(p.AdmittedBy)),
			"determination": null(p.Determination), "audio": audio, "video": video, "network": network})
	if err != nil {
		return fmt.Errorf("save participant %s: %w", p.ID, err)
	}
	return nil
}

// A lease lasts leaseTime and is renewed each leaseRenew: a node that misses three
// renewals has lost the session.
const (
	leaseTime  = 10 * time.Second
	leaseRenew = 3 * time.Second
)

// takeLease gives the session to a node if nobody else runs it, with a new epoch.
// Otherwise it returns the address of the node that does.
func takeLease(ctx context.Context, tx *audit.Tx, id SessionID, node, address string) (epoch uint64, holder string, err error) {
	err = tx.QueryRow(ctx, `
		insert into session_lease as l (session_id, organization_id, node, address, epoch, until)
		values (@session, @organization, @node, @address, 1, @until)
		on conflict (session_id) do update
		set node = excluded.node, address = excluded.address, epoch = l.epoch + 1, until = excluded.until
		where l.until < @now or l.node = excluded.node
		returning l.epoch`,
		pgx.StrictNamedArgs{"session": string(id), "organization": tx.Scope.Organization, "node": node, "address": address,
			"now": tx.Now(), "until": tx.Now().Add(leaseTime)}).Scan(&epoch)
	if err == nil {
		return epoch, "", nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return 0, "", fmt.Errorf("take session %s: %w", id, err)
	}
	err = tx.QueryRow(ctx, `select address from session_lease where session_id = $1`, string(id)).Scan(&holder)
	if err != nil {
		return 0, "", fmt.Errorf("take session %s: %w", id, err)
	}
	return 0, holder, &Elsewhere{Address: holder}
}

// renewLease keeps the session for the node that holds the epoch.
func renewLease(ctx context.Context, tx *audit.Tx, id SessionID, epoch uint64) error {
	tag, err := tx.Exec(ctx, `update session_lease set until = $3 where session_id = $1 and epoch = $2`, string(id), int64(epoch), tx.Now().Add(leaseTime))
	if err != nil {
		return fmt.Errorf("renew session %s: %w", id, err)
	}
	if tag.RowsAffected() == 0 {
		return ErrStopped
	}
	return nil
}

// holdLease makes a write impossible for a node that lost the session.
func holdLease(ctx context.Context, tx *audit.Tx, id SessionID, epoch uint64) error {
	var held bool
	err := tx.QueryRow(ctx, `select epoch = $2 from session_lease where session_id = $1 for share`, string(id), int64(epoch)).Scan(&held)
	if err != nil {
		return fmt.Errorf("hold session %s: %w", id, err)
	}
	if !held {
		return ErrStopped
	}
	return nil
}

// dropLease lets another node take the session at once.
func dropLease(ctx context.Context, tx *audit.Tx, id SessionID, epoch uint64) error {
	_, err := tx.Exec(ctx, `update session_lease set until = $3 where session_id = $1 and epoch = $2`, string(id), int64(epoch), tx.Now())
	return err
}

// logSize is the index of the next leaf of the log.
func logSize(ctx context.Context, tx *audit.Tx) (size int64, err error) {
	return size, tx.QueryRow(ctx, `select size from audit_head`).Scan(&size)
}

func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func nullTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

// beginGap notes that an interpreter lost a relay.
func beginGap(ctx context.Context, tx *audit.Tx, id SessionID, who Identity, g gap) error {
	_, err := tx.Exec(ctx, `
		insert into relay_gap (organization_id, session_id, participant_id, channel, began_at)
		select p.organization_id, p.session_id, p.id, @channel, @began
		from session_participant p
		where p.id = @participant and p.session_id = @session
		on conflict (participant_id, began_at) do nothing`,
		pgx.StrictNamedArgs{"session": string(id), "participant": string(who), "channel": g.tag, "began": g.since})
	if err != nil {
		return fmt.Errorf("begin a relay gap: %w", err)
	}
	return nil
}

// endGap notes how and when it ended.
func endGap(ctx context.Context, tx *audit.Tx, who Identity, g gap, ending string) error {
	_, err := tx.Exec(ctx, `
		update relay_gap
		set ended_at = greatest(began_at, @ended), ending = @ending
		where participant_id = @participant and ended_at is null`,
		pgx.StrictNamedArgs{"participant": string(who), "ended": g.until, "ending": ending})
	if err != nil {
		return fmt.Errorf("end a relay gap: %w", err)
	}
	return nil
}

// closeGaps ends what a stopped server left open.
func closeGaps(ctx context.Context, tx *audit.Tx, id SessionID) error {
	_, err := tx.Exec(ctx, `
		update relay_gap
		set ended_at = greatest(began_at, @now), ending = 'closed'
		where session_id = @session and ended_at is null`,
		pgx.StrictNamedArgs{"session": string(id), "now": tx.Now()})
	if err != nil {
		return fmt.Errorf("close relay gaps: %w", err)
	}
	return nil
}

// gapsOf reads the gaps of an appointment's session that the scope may see, by
// relay_gap_of_session.
func gapsOf(ctx context.Context, tx *audit.Tx, id scheduling.AppointmentID) ([]Gap, error) {
	rows, err := tx.Query(ctx, `
		select p.person_id::text, g.channel, g.began_at, g.ended_at, g.ending
		from relay_gap g
		join session_participant p on p.id = g.participant_id
		where g.session_id in (select s.id from session s where s.appointment_id = $1)
		order by g.began_at, g.participant_id`, string(id))
	if err != nil {
		return nil, fmt.Errorf("read relay gaps: %w", err)
	}
	out, err := pgx.CollectRows(rows, Gap{}.scan)
	if err != nil {
		return nil, fmt.Errorf("read relay gaps: %w", err)
	}
	return out, nil
}
