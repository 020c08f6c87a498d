package identity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
)

func contactOf(ctx context.Context, tx *audit.Tx, id PersonID) (Contact, error) {
	c := Contact{Person: id, Channel: ChannelMail, Quiet: DefaultQuiet}
	err := tx.QueryRow(ctx, `
		select channel, phone, quiet_from, quiet_until
		from contact
		where person_id = $1`, string(id)).Scan(&c.Channel, &c.Phone, &c.Quiet.From, &c.Quiet.Until)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return c, fmt.Errorf("read contact: %w", err)
	}
	err = tx.QueryRow(ctx, `
		select phone
		from contact_code
		where person_id = $1 and ended_at is null and expires_at > $2 and tries < $3
		order by asked_at desc, id desc
		limit 1`, string(id), tx.Now(), mostTries).Scan(&c.Pending)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return c, fmt.Errorf("read code: %w", err)
	}
	return c, nil
}

func quietOf(ctx context.Context, tx *audit.Tx, ids []PersonID) (map[PersonID]Quiet, error) {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = string(id)
	}
	rows, _ := tx.Query(ctx, `
		select person_id::text, quiet_from, quiet_until
		from contact
		where person_id = any($1::uuid[])`, list)
	out := map[PersonID]Quiet{}
	var id PersonID
	var q Quiet
	if _, err := pgx.ForEachRow(rows, []any{&id, &q.From, &q.Until}, func() error {
		out[id] = q
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read quiet hours: %w", err)
	}
	return out, nil
}

func saveContact(ctx context.Context, tx *audit.Tx, c Contact) error {
	_, err := tx.Exec(ctx, `
		insert into contact as had (person_id, channel, phone, verified_at, quiet_from, quiet_until, changed_at)
		values (@person, @channel, @phone, case when @phone = '' then null else @now::timestamptz end, @from, @until, @now)
		on conflict on constraint contact_pkey do update
		set channel = excluded.channel, phone = excluded.phone, quiet_from = excluded.quiet_from, quiet_until = excluded.quiet_until,
			verified_at = case when had.phone = excluded.phone then had.verified_at else excluded.verified_at end, changed_at = excluded.changed_at`,
		pgx.StrictNamedArgs{"person": string(c.Person), "channel": string(c.Channel), "phone": c.Phone, "from": c.Quiet.From, "until": c.Quiet.Until, "now": tx.Now()})
	if err != nil {
		return fmt.Errorf("save contact: %w", err)
	}
	return nil
}

func codesSince(ctx context.Context, tx *audit.Tx, id PersonID, since time.Time) (n int, err error) {
	// One at a time: of many requests at once not all may find room.
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended($1, 106))`, string(id)); err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, `
		select count(*)
		from contact_code
		where person_id = $1 and asked_at > $2`, string(id), since).Scan(&n)
	return n, err
}

func insertCode(ctx context.Context, tx *audit.Tx, id string, person PersonID, phone string, expires time.Time) error {
	if _, err := tx.Exec(ctx, `
		update contact_code
		set ended_at = $2
		where person_id = $1 and ended_at is null`, string(person), tx.Now()); err != nil {
		return fmt.Errorf("end older codes: %w", err)
	}
	_, err := tx.Exec(ctx, `
		insert into contact_code (id, person_id, phone, tries, asked_at, expires_at)
		values ($1, $2, $3, 0, $4, $5)`, id, string(person), phone, tx.Now(), expires)
	if err != nil {
		return fmt.Errorf("insert code: %w", err)
	}
	return nil
}

func setCode(ctx context.Context, tx *audit.Tx, id string, person PersonID, hash []byte) (phone string, err error) {
	err = tx.QueryRow(ctx, `
		update contact_code
		set code_sha256 = $3
		where id = $1 and person_id = $2 and ended_at is null and expires_at > $4
		returning phone`, id, string(person), hash, tx.Now()).Scan(&phone)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", ErrCodeOver
	}
	return phone, err
}

// openCode is the code that waits to be typed, locked.
func openCode(ctx context.Context, tx *audit.Tx, person PersonID) (id, phone string, hash []byte, err error) {
	err = tx.QueryRow(ctx, `
		select id::text, phone, coalesce(code_sha256, '')
		from contact_code
		where person_id = $1 and ended_at is null and expires_at > $2 and tries < $3
		order by asked_at desc, id desc
		limit 1
		for update`, string(person), tx.Now(), mostTries).Scan(&id, &phone, &hash)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrCodeOver
	}
	return id, phone, hash, err
}

func countTry(ctx context.Context, tx *audit.Tx, id string) error {
	_, err := tx.Exec(ctx, `update contact_code set tries = tries + 1 where id = $1`, id)
	return err
}

func endCode(ctx context.Context, tx *audit.Tx, id string) error {
	_, err := tx.Exec(ctx, `update contact_code set ended_at = $2 where id = $1`, id, tx.Now())
	return err
}
