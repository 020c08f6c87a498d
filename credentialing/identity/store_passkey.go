package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
)

const passkeyColumns = `credential_id, person_id::text, label, kind, public_key, algorithm, aaguid, transports, attestation,
	sign_count, backup_eligible, backup_state, enrolled_at, last_used_at, leaf_index`

func scanPasskey(row pgx.CollectableRow) (k Passkey, err error) {
	var used *time.Time
	err = row.Scan(&k.ID, &k.Person, &k.Label, &k.Kind, &k.PublicKey, &k.Algorithm, &k.AAGUID, &k.Transports, &k.Attestation,
		&k.Counter, &k.BackupEligible, &k.BackupState, &k.Enrolled, &used, &k.Leaf)
	k.Enrolled, k.LastUsed = k.Enrolled.UTC(), deref(used)
	return k, err
}

func passkeys(ctx context.Context, tx pgx.Tx, id PersonID) ([]Passkey, error) {
	if !isID(string(id)) {
		return nil, nil
	}
	rows, _ := tx.Query(ctx, `
		select `+passkeyColumns+`
		from passkey -- passkey_person
		where person_id = $1 and revoked_at is null
		order by enrolled_at, credential_id`, string(id))
	return pgx.CollectRows(rows, scanPasskey)
}

func lockPasskey(ctx context.Context, tx pgx.Tx, person PersonID, id []byte) (Passkey, error) {
	rows, _ := tx.Query(ctx, `
		select `+passkeyColumns+`
		from passkey
		where credential_id = $1 and person_id = $2 and revoked_at is null
		for update`, id, string(person))
	k, err := pgx.CollectExactlyOneRow(rows, scanPasskey)
	return k, found(err)
}

func insertPasskey(ctx context.Context, tx pgx.Tx, k Passkey) error {
	_, err := tx.Exec(ctx, `
		insert into passkey (credential_id, person_id, label, kind, public_key, algorithm, aaguid, transports, attestation,
		                     sign_count, backup_eligible, backup_state, enrolled_at, leaf_index)
		values (@id, @person, @label, @kind, @key, @algorithm, @aaguid, @transports, @attestation,
		        @counter, @eligible, @state, @now, @leaf)`,
		pgx.StrictNamedArgs{"id": k.ID, "person": string(k.Person), "label": k.Label, "kind": k.Kind, "key": k.PublicKey,
			"algorithm": k.Algorithm, "aaguid": k.AAGUID, "transports": k.Transports, "attestation": k.Attestation,
			"counter": int64(k.Counter), "eligible": k.BackupEligible, "state": k.BackupState, "now": k.Enrolled, "leaf": k.Leaf})
	return mapped(err)
}

func updatePasskey(ctx context.Context, tx *audit.Tx, id []byte, counter uint32, backedUp bool) error {
	done, err := tx.Exec(ctx, `
		update passkey
		set sign_count = greatest(sign_count, $2), backup_state = $3, last_used_at = $4
		where credential_id = $1 and revoked_at is null`, id, int64(counter), backedUp, tx.Now())
	return changed(done.RowsAffected(), err)
}

func revokePasskey(ctx context.Context, tx *audit.Tx, person PersonID, id []byte) error {
	done, err := tx.Exec(ctx, `
		update passkey
		set revoked_at = $3
		where credential_id = $1 and person_id = $2 and revoked_at is null`, id, string(person), tx.Now())
	return changed(done.RowsAffected(), err)
}

func insertCeremony(ctx context.Context, tx *audit.Tx, c ceremony) error {
	state, err := json.Marshal(c.Session)
	if err != nil {
		return fmt.Errorf("ceremony: %w", err)
	}
	_, err = tx.Exec(ctx, `
		insert into ceremony (id, kind, person_id, login_id, state, created_at, expires_at)
		values (@id, @kind, @person, @login, @state, @now, @expires)`,
		pgx.StrictNamedArgs{"id": c.ID, "kind": c.Kind, "person": orNull(string(c.Person)), "login": orNull(string(c.Login)),
			"state": state, "now": tx.Now(), "expires": tx.Now().Add(ceremonyLimit)})
	return err
}

// spendCeremony marks it used and returns it: of several at once, one gets it.
func spendCeremony(ctx context.Context, tx *audit.Tx, id, kind string) (ceremony, error) {
	c := ceremony{ID: id, Kind: kind}
	var state []byte
	err := tx.QueryRow(ctx, `
		update ceremony
		set used_at = $3
		where id = $1 and kind = $2 and used_at is null and expires_at > $3
		returning coalesce(person_id::text, ''), coalesce(login_id::text, ''), state`, id, kind, tx.Now()).
		Scan(&c.Person, &c.Login, &state)
	if errors.Is(err, pgx.ErrNoRows) {
		return c, ErrChallenge
	}
	if err != nil {
		return c, fmt.Errorf("ceremony %s: %w", id, err)
	}
	return c, json.Unmarshal(state, &c.Session)
}

func sweepCeremonies(ctx context.Context, tx *audit.Tx) error {
	_, err := tx.Exec(ctx, `
		delete from ceremony
		where id in (
		  select id from ceremony -- ceremony_expiry
		  where expires_at < $1
		  limit 20
		  for update skip locked)`, tx.Now())
	return err
}

func insertInvite(ctx context.Context, tx *audit.Tx, hash []byte, id, by PersonID) error {
	_, err := tx.Exec(ctx, `
		insert into enrollment_invite (token_hash, person_id, issued_by, issued_at, expires_at)
		values ($1, $2, $3, $4, $5)`, hash, string(id), orNull(string(by)), tx.Now(), tx.Now().Add(inviteLimit))
	return mapped(err)
}

func revokeInvites(ctx context.Context, tx *audit.Tx, id PersonID) error {
	_, err := tx.Exec(ctx, `
		update enrollment_invite -- enrollment_invite_person
		set revoked_at = $2
		where person_id = $1 and used_at is null and revoked_at is null`, string(id), tx.Now())
	return err
}

// goodInvite finds who may make a first key by the token, and who answers for that.
func goodInvite(ctx context.Context, tx *audit.Tx, hash []byte, lock bool) (id, by PersonID, err error) {
	query := `
		select person_id::text, coalesce(issued_by::text, '')
		from enrollment_invite
		where token_hash = $1 and used_at is null and revoked_at is null and expires_at > $2`
	if lock {
		query += ` for update`
	}
	err = tx.QueryRow(ctx, query, hash, tx.Now()).Scan(&id, &by)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNoLogin
	}
	return id, by, err
}

func spendInvite(ctx context.Context, tx *audit.Tx, hash []byte) error {
	done, err := tx.Exec(ctx, `update enrollment_invite set used_at = $2 where token_hash = $1 and used_at is null`, hash, tx.Now())
	return changed(done.RowsAffected(), err)
}
