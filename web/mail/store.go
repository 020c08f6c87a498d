package mail

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/consilium-health/consilium/credentialing/audit"
)

// jobRows are jobs of telling as columns: their arguments without the leaf, and the place
// of their event among those appended.
type jobRows struct {
	args  []string
	event []int
}

// queueJobs queues jobs as River's client inserts them (a test compares), and its call to
// those who work: the client would ask the database twice while the log is locked.
func queueJobs(b *pgx.Batch, jobs jobRows) {
	b.Queue(`
		with told as (
			insert into river_job (args, kind, max_attempts, tags)
			select jsonb_set(j.args, '{leaf}', to_jsonb(current_setting('consilium.leaf')::bigint + j.event)), $3, $4, '{}'
			from unnest($1::jsonb[], $2::bigint[]) as j(args, event)
			returning queue)
		select pg_notify(concat(current_schema(), '.river_insert'), json_build_object('queue', queue)::text)
		from (select distinct queue from told) as queues`, jobs.args, jobs.event, TellArgs{}.Kind(), river.MaxAttemptsDefault)
}

func insertMessage(ctx context.Context, tx *audit.Tx, id string, m Message) (bool, error) {
	tag, err := tx.Exec(ctx, `
		insert into outbox_message (id, key, leaf_index, person_id, name, email, language, subject, body, created_at)
		values (@id, @key, @leaf, @person, @name, @email, @language, @subject, @body, @at)
		on conflict (key) do nothing`,
		pgx.StrictNamedArgs{"id": id, "key": m.Key, "leaf": m.Leaf, "person": string(m.Person.ID), "name": m.Person.Name,
			"email": m.Person.Email, "language": m.Language, "subject": m.Subject, "body": m.Body, "at": tx.Now()})
	return tag.RowsAffected() == 1, err
}

func insertAttachment(ctx context.Context, tx *audit.Tx, message string, position int, a Attachment) error {
	_, err := tx.Exec(ctx, `
		insert into outbox_attachment (message_id, position, name, content_type, data)
		values ($1, $2, $3, $4, $5)`, message, position, a.Name, a.ContentType, a.Data)
	return err
}

// selectMessages pages by the primary key: a UUIDv7 grows with time.
func selectMessages(ctx context.Context, tx *audit.Tx, before string, most int) ([]Captured, error) {
	rows, err := tx.Query(ctx, `
		select m.id::text, m.name, m.email, m.language, m.subject, m.body, m.created_at,
		       array(select a.name from outbox_attachment a where a.message_id = m.id order by a.position)
		from outbox_message m
		where $1 = '' or m.id < nullif($1, '')::uuid
		order by m.id desc
		limit $2`, before, most)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Captured])
}

func selectAttachment(ctx context.Context, tx *audit.Tx, message string, position int) (Attachment, error) {
	var a Attachment
	err := tx.QueryRow(ctx, `
		select name, content_type, data
		from outbox_attachment
		where message_id = $1 and position = $2`, message, position).Scan(&a.Name, &a.ContentType, &a.Data)
	return a, err
}
