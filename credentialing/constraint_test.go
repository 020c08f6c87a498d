package credentialing_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
)

// TestDatabaseRefusesByName says each thing that must never be stored to the
// database itself, behind the service's back.
func TestDatabaseRefusesByName(t *testing.T) {
	w := newWorld(t)
	w.cast()
	e := w.onFile(license(w.weber, "DE", "DE-1", credentialing.Date(2028, 1, 1)))
	w.must(w.s.CheckExclusions(t.Context(), w.grace, credentialing.ExclusionCheck{Person: w.weber.Person, Lists: []string{"L"},
		Hits: []credentialing.ExclusionHit{{List: "L", Entry: "1"}}}))
	cred, weber, grace, samuel := string(e.Credential), string(w.weber.Person), string(w.grace.Person), string(w.samuel.Person)
	verification := func(subject, verifier, approver, state, result string, evidence, due any) []any {
		return []any{`insert into verification (id, root_id, credential_id, subject_id, claim_id, verifier_id, approver_id, method, source, asked_at,
			first_result, result, source_status, status_from, evidence_sha256, cause, state, next_due, known)
			values (gen_random_uuid(), gen_random_uuid(), $1, $2, $3, $4, nullif($5, '')::uuid, 'primary-source', 'x', now(), 'found', $7, 'active', now(),
			$8, 'manual', $6, $9, tstzrange(now(), null))`, cred, subject, string(e.Claim), verifier, approver, state, result, evidence, due}
	}
	var sum []byte
	w.must(w.pg.Pool.QueryRow(t.Context(), `select sha256 from credential_evidence where credential_id = $1`, cred).Scan(&sum))
	soon := time.Now().Add(time.Hour)
	for name, c := range map[string][]any{
		"credential_kind_known": {`insert into credential (id, person_id, kind, issuer, number, recorded_at) values (gen_random_uuid(), $1, 'wish', 'x', 'y', now())`, weber},
		"credential_jurisdiction_needed": {`insert into credential (id, person_id, kind, issuer, number, recorded_at)
			values (gen_random_uuid(), $1, 'licence', 'x', 'y', now())`, weber},
		"credential_jurisdiction_code": {`insert into credential (id, person_id, kind, issuer, number, jurisdiction, recorded_at)
			values (gen_random_uuid(), $1, 'licence', 'x', 'y', 'Kenya', now())`, weber},
		"credential_number_unique": {`insert into credential (id, person_id, kind, issuer, number, jurisdiction, recorded_at)
			select gen_random_uuid(), person_id, kind, issuer, number, jurisdiction, now() from credential where kind = 'registration' limit 1`},
		"credential_license_holder_unique": {`insert into credential (id, person_id, kind, issuer, number, jurisdiction, recorded_at)
			values (gen_random_uuid(), $1, 'licence', 'regulator of DE', 'DE-1', 'DE', now())`, samuel},
		"credential_claim_one_known": {`insert into credential_claim (id, credential_id, content, known)
			values (gen_random_uuid(), $1, '{}', tstzrange(now(), null))`, cred},
		"credential_status_known": {`insert into credential_status (id, credential_id, subject_id, status, from_at, source, recorded_at)
			values (gen_random_uuid(), $1, $2, 'resting', now(), 'x', now())`, cred, weber},
		"credential_status_subject_true": {`insert into credential_status (id, credential_id, subject_id, status, from_at, source, recorded_at)
			values (gen_random_uuid(), $1, $2, 'suspended', now(), 'x', now())`, cred, grace},
		"credential_status_two_persons": {`insert into credential_status (id, credential_id, subject_id, status, from_at, source, reported_by, confirmed_by, recorded_at)
			values (gen_random_uuid(), $1, $2, 'active', now(), 'x', $3, $3, now())`, cred, weber, grace},
		"credential_status_not_by_subject": {`insert into credential_status (id, credential_id, subject_id, status, from_at, source, reported_by, confirmed_by, recorded_at)
			values (gen_random_uuid(), $1, $2, 'active', now(), 'x', $3, $2, now())`, cred, weber, grace},
		"evidence_sha256_length":            {`insert into evidence (sha256, media_type, bytes_ref, size) values ('\x00', 'text/plain', 'x', 1)`},
		"evidence_bytes_true":               {`insert into evidence_bytes (sha256, bytes) values ($1, 'other')`, sum},
		"verification_subject_true":         verification(grace, samuel, "", "answered", "found", sum, nil),
		"verification_not_by_subject":       verification(weber, weber, "", "answered", "found", sum, nil),
		"verification_two_persons":          verification(weber, grace, grace, "approved", "found", sum, soon),
		"verification_approved_complete":    verification(weber, grace, samuel, "approved", "found", nil, soon),
		"verification_approved_found":       verification(weber, grace, samuel, "approved", "not-found", sum, soon),
		"verification_state_known":          verification(weber, grace, "", "dreamt", "found", sum, nil),
		"exclusion_decision_two_persons":    {`insert into exclusion_decision (id, exclusion_id, subject_id, decision, proposed_by, confirmed_by, reason, recorded_at) select gen_random_uuid(), id, person_id, 'cleared', $1, $1, 'x', now() from exclusion limit 1`, grace},
		"exclusion_decision_not_by_subject": {`insert into exclusion_decision (id, exclusion_id, subject_id, decision, proposed_by, reason, recorded_at) select gen_random_uuid(), id, person_id, 'cleared', person_id, 'x', now() from exclusion limit 1`},
		"exclusion_check_not_ahead": {`insert into exclusion_check (id, person_id, lists, checked_at, hits, recorded_at)
			values (gen_random_uuid(), $1, '{L}', now() + interval '1 day', 0, now())`, weber},
		"pack_edition_two_persons": {`insert into pack_edition (code, version, sha256, content, effective, state, drafted_by, published_by)
			values ('KE', 'x', sha256('c'), 'c', tstzrange(null, null), 'in-review', $1, $1)`, grace},
		"pack_edition_content_true": {`insert into pack_edition (code, version, sha256, content, effective, state)
			values ('KE', 'x', sha256('c'), 'd', tstzrange(null, null), 'in-review')`},
		"pack_edition_pk": {`insert into pack_edition select * from pack_edition where code = 'KE'`},
		"determination_hash_true": {`insert into determination (id, person_id, activity, at, mode, decided_at, decision, facts, answer, hash)
			values (gen_random_uuid(), $1, 'sign_decision', now(), 'act', now(), 'permit', '{}', '{}', sha256('x'))`, weber},
		"agreement_two_organizations": {`insert into agreement (id, from_organization_id, to_organization_id, ground, data_classes, valid_from, known)
			values (gen_random_uuid(), $1, $1, 'x', '{}', now(), tstzrange(now(), null))`, string(w.nairobi)},
		"agreement_no_overlap": {`insert into agreement (id, from_organization_id, to_organization_id, ground, data_classes, valid_from, known)
			select gen_random_uuid(), from_organization_id, to_organization_id, ground, data_classes, valid_from, known from agreement limit 1`},
		"facility_license_one_known": {`insert into facility_license (id, organization_id, jurisdiction, type, issuer, number, valid_from, known)
			select gen_random_uuid(), organization_id, jurisdiction, type, issuer, number, valid_from, known from facility_license limit 1`},
	} {
		_, err := w.pg.Pool.Exec(t.Context(), c[0].(string), c[1:]...)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.ConstraintName != name {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestManyBookingsAreJudgedTogether: questions about the same people share what is
// read, and each gets its own answer.
func TestManyBookingsAreJudgedTogether(t *testing.T) {
	w := newWorld(t)
	w.cast()
	var asks []credentialing.Ask
	for i := range 200 {
		a := w.ask(w.tremblay, credentialing.Activities[i%5])
		a.At = start.Add(time.Duration(i) * 6 * time.Hour)
		asks = append(asks, a)
	}
	w.must(w.db.Read(t.Context(), w.grace.Scope(), func(tx *audit.Tx) error {
		all, err := w.s.JudgeAll(t.Context(), tx, asks)
		if err != nil {
			return err
		}
		for i, a := range asks {
			one, err := w.s.Judge(t.Context(), tx, a)
			if err != nil {
				return err
			}
			if one.Decision != all[i].Decision || len(one.Reasons) != len(all[i].Reasons) {
				t.Errorf("question %d: together %s, alone %s", i, all[i].Decision, one.Decision)
			}
		}
		return nil
	}))
}

// BenchmarkTenThousandBookings measures looking again at what is booked, database
// included (design credentialing §11: under two seconds on two cores).
func BenchmarkTenThousandBookings(b *testing.B) {
	w := newWorld(b)
	w.cast()
	asks := make([]credentialing.Ask, 10_000)
	for i := range asks {
		asks[i] = w.ask(w.tremblay, credentialing.JointVideoVisit)
		asks[i].At = start.Add(time.Duration(i) * 5 * time.Minute)
	}
	for b.Loop() {
		w.must(w.db.Read(b.Context(), w.grace.Scope(), func(tx *audit.Tx) error {
			for from := 0; from < len(asks); from += 1000 {
				if _, err := w.s.JudgeAll(b.Context(), tx, asks[from:from+1000]); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}
