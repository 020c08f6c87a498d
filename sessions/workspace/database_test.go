package workspace_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/sessions/workspace"
)

// refusedBy wants an SQL statement refused by a constraint or trigger of that name,
// also when the owner of the schema runs it.
func (w *world) refusedBy(name, sql string, args ...any) {
	w.t.Helper()
	conn, err := pgx.Connect(w.ctx, w.db.AdminURL)
	w.ok(err)
	defer conn.Close(w.ctx)
	_, err = conn.Exec(w.ctx, sql, args...)
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.ConstraintName != name {
		w.t.Errorf("%s: got %v, want it refused by %s", strings.Join(strings.Fields(sql), " "), err, name)
	}
}

func TestDatabaseRefusesWhatTheCodeWouldLetSlip(t *testing.T) {
	w := newWorld(t)
	id, op := w.ready()
	open, _ := w.ready() // advised, not decided
	d := w.decide(id, op)

	for table, key := range map[string]string{"opinion": "id", "decision": "id", "document_signature": "document_id", "read_back": "id",
		"read_back_confirmation": "case_id", "case_consent": "id", "case_place": "id", "case_file": "id"} {
		if n := w.count(`select count(*) from ` + table); n == 0 && table != "case_place" && table != "case_file" {
			t.Errorf("no row in %s to try", table)
		} else if n > 0 {
			w.refusedBy(table+"_insert_only", `update `+table+` set `+key+` = `+key)
			w.refusedBy(table+"_insert_only", `delete from `+table)
		}
		w.refusedBy(table+"_no_truncate", `truncate `+table+` cascade`)
	}

	copyDecision := `insert into decision (id, organization_id, case_id, signer_id, sha256, sealed_document, determination_id, signed_at)
		select gen_random_uuid(), organization_id, $1, $2, sha256, sealed_document, determination_id, signed_at from decision where id = $3`
	w.refusedBy("decision_signer_responsible", copyDecision, string(open), string(w.tremblay), string(d))
	w.refusedBy("decision_signer_responsible", copyDecision, string(open), string(w.kiptoo), string(d))
	w.refusedBy("decision_one_per_case", copyDecision, string(id), string(w.otieno), string(d))
	// The responsible physician with a determination of another instant or person.
	w.refusedBy("decision_determination_permits", `insert into decision (id, organization_id, case_id, signer_id, sha256, sealed_document, determination_id, signed_at)
		select gen_random_uuid(), organization_id, $1, signer_id, sha256, sealed_document, determination_id, signed_at + interval '1 second' from decision where id = $2`,
		string(open), string(d))
	w.refusedBy("decision_determination_permits", `insert into decision (id, organization_id, case_id, signer_id, sha256, sealed_document, determination_id, signed_at)
		select gen_random_uuid(), d.organization_id, $1, d.signer_id, d.sha256, d.sealed_document, o.determination_id, o.signed_at from decision d, opinion o where d.id = $2 and o.case_id = d.case_id`,
		string(open), string(d))
	w.refusedBy("decision_signed", copyDecision, string(open), string(w.otieno), string(d))
	w.refusedBy("clinical_case_decided", `update clinical_case set state = 'decided' where id = $1`, string(open))
	w.refusedBy("clinical_case_handed_back", `update clinical_case set state = 'closed' where id = $1`, string(id))
	w.refusedBy("case_member_one_responsible", `insert into case_member (id, organization_id, case_id, person_id, role, from_at, added_by)
		select gen_random_uuid(), organization_id, id, $2, 'responsible', now(), $2 from clinical_case where id = $1`, string(open), string(w.kamau))
	w.refusedBy("sign_request_used_once", `update sign_request set used_at = now() where used_at is not null`)
	w.refusedBy("sign_request_used_once", `update sign_request set challenge = sha256('x'), used_at = now() where used_at is null or true`)
}

func TestRowsOfOtherClinicsAreNotSeen(t *testing.T) {
	w := newWorld(t)
	w.ready()
	tables := []string{"clinical_case", "case_patient", "case_member", "case_consent", "case_message", "case_file", "opinion", "decision",
		"document_signature", "sign_request", "opinion_draft", "read_back", "read_back_confirmation", "case_counter", "case_place", "case_hand_back", "case_consent_withdrawal"}
	for _, table := range tables {
		if n := w.count(`select count(*) from pg_class where relname = $1 and relrowsecurity and relforcerowsecurity`, table); n != 1 {
			t.Errorf("%s has no forced row security", table)
		}
		w.ok(w.audit.Read(w.ctx, audit.Scope{Organization: string(w.institute)}, func(tx *audit.Tx) error {
			var n int
			if err := tx.QueryRow(w.ctx, `select count(*) from `+table).Scan(&n); err != nil {
				return err
			}
			if n != 0 {
				t.Errorf("another clinic sees %d rows of %s", n, table)
			}
			return nil
		}))
	}
}

func TestNothingClinicalStandsInTheDatabaseOrTheLog(t *testing.T) {
	w := newWorld(t)
	id, op := w.ready()
	must(w.cases.Say(w.ctx, w.actors[w.otieno], id, workspace.Message{Text: "Markermessage", Language: "en"}))(t)
	w.decide(id, op)
	conn, err := pgx.Connect(w.ctx, w.db.AdminURL)
	w.ok(err)
	defer conn.Close(w.ctx)
	rows, err := conn.Query(w.ctx, `select table_name from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'`)
	w.ok(err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	w.ok(err)
	for _, table := range names {
		if table == "person" { // a patient with an account is in the directory of people
			continue
		}
		for _, marker := range []string{"Murmur", "JH-7781", "1993-04-02", "Markermessage", "Penicillin", "transœsophagienne", "TEE on Thursday"} {
			hex := ""
			for _, b := range []byte(marker) {
				hex += string("0123456789abcdef"[b>>4]) + string("0123456789abcdef"[b&15])
			}
			var n int
			w.ok(conn.QueryRow(w.ctx, `select count(*) from `+pgx.Identifier{table}.Sanitize()+` t where t::text like '%' || $1 || '%' or t::text like '%' || $2 || '%'`, marker, hex).Scan(&n))
			if n != 0 {
				t.Errorf("%q stands readable in %s", marker, table)
			}
		}
	}
}

// A case whose key is gone cannot be read, and a sealed value does not open in
// another row.
func TestSealedTextOpensOnlyInItsPlace(t *testing.T) {
	w := newWorld(t)
	a, b := w.create(), w.create()
	conn, err := pgx.Connect(w.ctx, w.db.AdminURL)
	w.ok(err)
	defer conn.Close(w.ctx)
	_, err = conn.Exec(w.ctx, `update clinical_case set sealed_content = (select sealed_content from clinical_case where id = $2) where id = $1`, string(a), string(b))
	w.ok(err)
	if _, err := w.cases.Open(w.ctx, w.actors[w.otieno], a); err == nil {
		t.Error("the text of another case opened")
	}
	if _, err := w.cases.Open(w.ctx, w.actors[w.otieno], b); err != nil {
		t.Error(err)
	}
}
