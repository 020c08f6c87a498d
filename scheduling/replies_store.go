package scheduling

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

type replyRef struct {
	organization identity.OrganizationID
	id           ReplyID
}

// replyClinic finds the appointment whose calendar file has an id. Index
// appointment_uid_unique.
func replyClinic(ctx context.Context, tx *audit.Tx, uid string) (org identity.OrganizationID, id AppointmentID, err error) {
	err = tx.QueryRow(ctx, `select organization_id::text, appointment_id::text from reply_clinic($1)`, uid).Scan(&org, &id)
	return org, id, oneRow(err)
}

// insertReply keeps an answer; fresh is false if the message was kept before, as had.
func insertReply(ctx context.Context, tx *audit.Tx, r MailReply, hash []byte) (fresh bool, had ReplyID, err error) {
	tag, err := tx.Exec(ctx, `
		insert into mail_reply (id, organization_id, appointment_id, message_sha256, address, vouched, method, response, sequence, stamped_at,
			recurrence_at, proposed_start, proposed_end, state, reason, received_at)
		values (@id, @organization, @appointment, @hash, @address, @vouched, @method, @response, @sequence, @stamp,
			@recurrence, @start, @end, 'received', '', @now)
		on conflict on constraint mail_reply_once do nothing`,
		pgx.StrictNamedArgs{"id": string(r.ID), "organization": string(r.Organization), "appointment": string(r.Appointment), "hash": hash,
			"address": r.Address, "vouched": r.Vouched, "method": string(r.Method), "response": string(r.Response), "sequence": r.Sequence,
			"stamp": r.Stamp, "recurrence": maybe(r.Recurrence), "start": maybe(r.ProposedStart), "end": maybe(r.ProposedEnd), "now": tx.Now()})
	if err != nil {
		return false, "", fmt.Errorf("insert reply: %w", err)
	}
	if tag.RowsAffected() == 1 {
		return true, r.ID, nil
	}
	err = tx.QueryRow(ctx, `
		select id::text
		from mail_reply
		where organization_id = $1 and message_sha256 = $2`, string(r.Organization), hash).Scan(&had)
	return false, had, oneRow(err)
}

// repliesWaiting counts the answers about an appointment that nobody has seen to. Index
// mail_reply_appointment.
func repliesWaiting(ctx context.Context, tx *audit.Tx, a AppointmentID) (n int, err error) {
	err = tx.QueryRow(ctx, `
		select count(*)
		from mail_reply
		where organization_id = $1 and appointment_id = $2 and state in ('received', 'open')`, tx.Scope.Organization, string(a)).Scan(&n)
	return n, err
}

// maybe is a time that may be none.
func maybe(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

// repliesDue uses the index mail_reply_received.
func repliesDue(ctx context.Context, tx *audit.Tx, most int) ([]replyRef, error) {
	rows, _ := tx.Query(ctx, `select organization_id::text, reply_id::text from replies_due($1)`, most)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r replyRef, err error) {
		return r, row.Scan(&r.organization, &r.id)
	})
}

const replyColumns = `r.id::text, r.organization_id::text, r.appointment_id::text, a.start_at, r.address, r.vouched, r.method, r.response, r.sequence, r.stamped_at,
	coalesce(r.recurrence_at, 'epoch'), coalesce(r.proposed_start, 'epoch'), coalesce(r.proposed_end, 'epoch'), r.reason, r.received_at`

func scanReply(row pgx.CollectableRow) (r MailReply, err error) {
	err = row.Scan(&r.ID, &r.Organization, &r.Appointment, &r.Start, &r.Address, &r.Vouched, &r.Method, &r.Response, &r.Sequence, &r.Stamp,
		&r.Recurrence, &r.ProposedStart, &r.ProposedEnd, &r.Reason, &r.ReceivedAt)
	for _, t := range []*time.Time{&r.Recurrence, &r.ProposedStart, &r.ProposedEnd} {
		if t.Unix() == 0 {
			*t = time.Time{}
		}
	}
	for _, t := range []*time.Time{&r.Start, &r.Stamp, &r.ReceivedAt, &r.Recurrence, &r.ProposedStart, &r.ProposedEnd} {
		*t = t.UTC()
	}
	return r, err
}

// lockReply reads an answer in a state; in another it is not found. The appointment is
// locked after it, never before.
func lockReply(ctx context.Context, tx *audit.Tx, id ReplyID, state string) (MailReply, error) {
	rows, _ := tx.Query(ctx, `
		select `+replyColumns+`
		from mail_reply r
		join appointment a on a.organization_id = r.organization_id and a.id = r.appointment_id
		where r.organization_id = $1 and r.id = $2 and r.state = $3
		for update of r`, tx.Scope.Organization, string(id), state)
	r, err := pgx.CollectExactlyOneRow(rows, scanReply)
	return r, oneRow(err)
}

// lastAnswer is when the last answer of a seat was given, by its page or by mail; zero if
// none was. A calendar tells the time to the second.
func lastAnswer(ctx context.Context, tx *audit.Tx, seat SeatID) (time.Time, error) {
	var at *time.Time
	err := tx.QueryRow(ctx, `
		select date_trunc('second', greatest(
			(select s.responded_at from seat s
			 where s.id = $2 and not exists (
				select from mail_reply r where r.organization_id = $1 and r.seat_id = s.id and r.handled_at = s.responded_at)),
			(select max(least(r.stamped_at, r.handled_at)) from mail_reply r
			 where r.organization_id = $1 and r.seat_id = $2)))`, tx.Scope.Organization, string(seat)).Scan(&at)
	if err != nil || at == nil {
		return time.Time{}, oneRow(err)
	}
	return *at, nil
}

// takeReply notes whose answer it is.
func takeReply(ctx context.Context, tx *audit.Tx, r MailReply, seat SeatID) error {
	_, err := tx.Exec(ctx, `
		update mail_reply
		set state = 'applied', seat_id = $3, handled_at = $4
		where organization_id = $1 and id = $2`, string(r.Organization), string(r.ID), string(seat), tx.Now())
	return err
}

func openReply(ctx context.Context, tx *audit.Tx, r MailReply, reason string) error {
	_, err := tx.Exec(ctx, `
		update mail_reply
		set state = 'open', reason = $3, handled_at = $4
		where organization_id = $1 and id = $2`, string(r.Organization), string(r.ID), reason, tx.Now())
	return err
}

func closeReply(ctx context.Context, tx *audit.Tx, r MailReply, by identity.PersonID) error {
	_, err := tx.Exec(ctx, `
		update mail_reply
		set state = 'done', done_by = $3, done_at = $4
		where organization_id = $1 and id = $2`, string(r.Organization), string(r.ID), null(by), tx.Now())
	return err
}

// openReplies uses the index mail_reply_open.
func openReplies(ctx context.Context, tx *audit.Tx, most int) ([]MailReply, error) {
	rows, _ := tx.Query(ctx, `
		select `+replyColumns+`
		from mail_reply r
		join appointment a on a.organization_id = r.organization_id and a.id = r.appointment_id
		where r.organization_id = $1 and r.state = 'open'
		order by r.id
		limit $2`, tx.Scope.Organization, most)
	list, err := pgx.CollectRows(rows, scanReply)
	if err != nil {
		return nil, fmt.Errorf("read replies: %w", err)
	}
	return list, nil
}
