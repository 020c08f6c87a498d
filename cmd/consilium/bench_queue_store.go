package main

import (
	"context"

	"github.com/consilium-health/consilium/credentialing/audit"
)

// copyCredentials puts some n credentials on file that are like those of one holder,
// for other people. Of every twentieth of these nobody has asked the source yet.
func copyCredentials(ctx context.Context, tx *audit.Tx, n int) error {
	var like string
	var each int
	err := tx.QueryRow(ctx, `
		select person_id::text, count(*) from credential
		group by person_id
		order by count(*) desc, person_id limit 1`).Scan(&like, &each)
	if err != nil {
		return err
	}
	for _, sql := range []string{`
		insert into person (id, name, language, languages, zone, home, specialty, email, created_at)
		select md5('holder ' || i)::uuid, 'Holder ' || i, 'en', '{en}', 'UTC', 'CA-ON', 'cardiology', '', now()
		from generate_series(1, $2::int) as i where $1::uuid is not null`, `
		insert into credential (id, person_id, kind, issuer, number, jurisdiction, via, compact_principal, entered_by, recorded_at)
		select md5(i || c.id::text)::uuid, md5('holder ' || i)::uuid, kind, issuer, number || '-' || i, jurisdiction, via, compact_principal, entered_by, recorded_at
		from credential c, generate_series(1, $2::int) as i where person_id = $1`, `
		insert into credential_claim (id, credential_id, content, entered_by, known)
		select md5(i || cl.id::text)::uuid, md5(i || c.id::text)::uuid, cl.content, cl.entered_by, cl.known
		from credential_claim cl join credential c on c.id = cl.credential_id, generate_series(1, $2::int) as i where c.person_id = $1`, `
		insert into credential_evidence (id, credential_id, sha256, source, captured_at, captured_by, recorded_at)
		select md5(i || e.id::text)::uuid, md5(i || c.id::text)::uuid, e.sha256, e.source, e.captured_at, e.captured_by, e.recorded_at
		from credential_evidence e join credential c on c.id = e.credential_id, generate_series(1, $2::int) as i where c.person_id = $1`, `
		insert into verification (id, root_id, credential_id, subject_id, claim_id, verifier_id, approver_id, method, source, asked_at, first_result, result,
			source_status, status_from, evidence_sha256, cause, state, next_due, known)
		select md5(i || v.id::text)::uuid, md5(i || v.root_id::text)::uuid, md5(i || v.credential_id::text)::uuid, md5('holder ' || i)::uuid,
			md5(i || v.claim_id::text)::uuid, v.verifier_id, v.approver_id, v.method, v.source, v.asked_at, v.first_result, v.result,
			v.source_status, v.status_from, v.evidence_sha256, v.cause, v.state, v.next_due, v.known
		from verification v, generate_series(1, $2::int) as i where v.subject_id = $1 and i % 20 > 0
		order by lower(v.known), v.id`, `
		insert into credential_status (id, credential_id, subject_id, status, from_at, source, reported_by, confirmed_by, recorded_at)
		select md5(i || s.id::text)::uuid, md5(i || s.credential_id::text)::uuid, md5('holder ' || i)::uuid, s.status, s.from_at, s.source,
			s.reported_by, s.confirmed_by, s.recorded_at
		from credential_status s, generate_series(1, $2::int) as i where s.subject_id = $1 and i % 20 > 0`, `
		insert into exclusion_check (id, person_id, lists, checked_at, hits, checked_by, recorded_at)
		select md5(i || x.id::text)::uuid, md5('holder ' || i)::uuid, x.lists, x.checked_at, x.hits, x.checked_by, x.recorded_at
		from exclusion_check x, generate_series(1, $2::int) as i where x.person_id = $1`,
	} {
		if _, err := tx.Exec(ctx, sql, like, n/each); err != nil {
			return err
		}
	}
	return nil
}
