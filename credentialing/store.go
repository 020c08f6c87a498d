package credentialing

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// null is an id for the database: "" is no one.
func null[T ~string](id T) *string {
	if id == "" {
		return nil
	}
	s := string(id)
	return &s
}

func nullTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// registerEdition keeps a pack's content; fresh tells whether it was new.
func registerEdition(ctx context.Context, tx *audit.Tx, e Edition, content []byte, state string) (fresh bool, err error) {
	tag, err := tx.Exec(ctx, `
		insert into pack_edition (code, version, sha256, content, effective, state, published_at)
		values (@code, @version, decode(@sha256, 'hex'), @content, tstzrange(null, null), @state, @now)
		on conflict on constraint pack_edition_pk do nothing`,
		pgx.StrictNamedArgs{"code": e.Code, "version": e.Version, "sha256": e.SHA256, "content": string(content), "state": state, "now": tx.Now()})
	if err != nil {
		return false, mapped("register pack "+e.Code, err)
	}
	if tag.RowsAffected() == 1 {
		return true, nil
	}
	var have string
	err = tx.QueryRow(ctx, `select encode(sha256, 'hex') from pack_edition where code = $1 and version = $2`, e.Code, e.Version).Scan(&have)
	if err != nil {
		return false, mapped("register pack "+e.Code, err)
	}
	if have != e.SHA256 {
		return false, fmt.Errorf("register pack %s %s: %w", e.Code, e.Version, ErrEditionImmutable)
	}
	return false, nil
}

// loadEditions reads the contents of editions by file name.
func loadEditions(ctx context.Context, tx *audit.Tx, editions []Edition) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, e := range editions {
		var content string
		err := tx.QueryRow(ctx, `
			select content
			from pack_edition
			where code = $1 and version = $2 and sha256 = decode($3, 'hex')`, e.Code, e.Version, e.SHA256).Scan(&content)
		if err != nil {
			return nil, mapped("load edition "+e.Code+" "+e.Version, err)
		}
		name := e.Code + ".yaml"
		if e.Code == "conditions" {
			name = conditionsFile
		}
		files[name] = []byte(content)
	}
	return files, nil
}

func findCredential(ctx context.Context, tx *audit.Tx, r ClaimRequest) (CredentialID, error) {
	var id CredentialID
	err := tx.QueryRow(ctx, `
		select id
		from credential
		where person_id = @person and issuer = @issuer and kind = @kind and number = @number
		for update`,
		pgx.StrictNamedArgs{"person": string(r.Person), "issuer": r.Issuer, "kind": string(r.Kind), "number": r.Number}).Scan(&id)
	return id, mapped("find credential", err)
}

func insertCredential(ctx context.Context, tx *audit.Tx, id CredentialID, by identity.PersonID, r ClaimRequest) error {
	_, err := tx.Exec(ctx, `
		insert into credential (id, person_id, kind, issuer, number, jurisdiction, via, compact_principal, entered_by, recorded_at)
		values (@id, @person, @kind, @issuer, @number, @jurisdiction, @via, @principal, @by, @now)`,
		pgx.StrictNamedArgs{"id": string(id), "person": string(r.Person), "kind": string(r.Kind), "issuer": r.Issuer, "number": r.Number,
			"jurisdiction": null(r.Jurisdiction), "via": r.Via, "principal": r.CompactPrincipal, "by": null(by), "now": tx.Now()})
	return mapped("enter credential", err)
}

func insertClaim(ctx context.Context, tx *audit.Tx, credential CredentialID, by identity.PersonID, c Claim) (ClaimID, error) {
	return insertClaimBy(ctx, tx, credential, by, c, "")
}

// insertClaimBy is insertClaim; link is named where it came by an upload link.
func insertClaimBy(ctx context.Context, tx *audit.Tx, credential CredentialID, by identity.PersonID, c Claim, link UploadLinkID) (ClaimID, error) {
	content, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	_, err = tx.Exec(ctx, `
		update credential_claim
		set known = tstzrange(lower(known), greatest(@now, lower(known)))
		where credential_id = @credential and upper_inf(known)`,
		pgx.StrictNamedArgs{"credential": string(credential), "now": tx.Now()})
	if err != nil {
		return "", mapped("close claim", err)
	}
	id := ClaimID(newID())
	_, err = tx.Exec(ctx, `
		insert into credential_claim (id, credential_id, content, entered_by, known, link_id)
		values (@id, @credential, @content, @by, tstzrange(greatest(@now,
			(select max(upper(known)) from credential_claim where credential_id = @credential)), null), @link)`,
		pgx.StrictNamedArgs{"id": string(id), "credential": string(credential), "content": content, "by": null(by), "now": tx.Now(), "link": null(link)})
	return id, mapped("enter claim", err)
}

// credentialRow is a credential locked for a command.
type credentialRow struct {
	person     identity.PersonID
	kind       Kind
	claim      ClaimID
	content    Claim
	everActive bool
}

func lockCredential(ctx context.Context, tx *audit.Tx, id CredentialID) (credentialRow, error) {
	var c credentialRow
	var content []byte
	err := tx.QueryRow(ctx, `
		select c.person_id, c.kind, cl.id, cl.content,
			exists (select 1 from credential_status s
				where s.credential_id = c.id and s.status = 'active' and s.confirmed_by is not null)
		from credential c
		join credential_claim cl on cl.credential_id = c.id and upper_inf(cl.known)
		where c.id = $1
		for update of c`, string(id)).Scan(&c.person, &c.kind, &c.claim, &content, &c.everActive)
	if err != nil {
		return c, mapped("lock credential", err)
	}
	return c, json.Unmarshal(content, &c.content)
}

// verificationRow is the current version of a verification.
type verificationRow struct {
	id, root      VerificationID
	credential    CredentialID
	subject       identity.PersonID
	claim         ClaimID
	verifier      identity.PersonID
	method        string
	source        string
	sourceAddress string
	askedAt       time.Time
	first, result Result
	sourceStatus  Status
	statusFrom    time.Time
	evidence      []byte
	cause         string
	state         State
}

// lockVerification finds the current version by the id of any of its versions.
func lockVerification(ctx context.Context, tx *audit.Tx, id VerificationID) (verificationRow, error) {
	var v verificationRow
	err := tx.QueryRow(ctx, `
		select v.id, v.root_id, v.credential_id, v.subject_id, v.claim_id, v.verifier_id, v.method, v.source, v.source_address,
			v.asked_at, v.first_result, v.result, v.source_status, v.status_from, v.evidence_sha256, v.cause, v.state
		from verification w
		join verification v on v.root_id = w.root_id and upper_inf(v.known)
		join credential c on c.id = v.credential_id
		where w.id = $1
		for update of v, c`, string(id)).Scan(&v.id, &v.root, &v.credential, &v.subject, &v.claim, &v.verifier, &v.method, &v.source,
		&v.sourceAddress, &v.askedAt, &v.first, &v.result, &v.sourceStatus, &v.statusFrom, &v.evidence, &v.cause, &v.state)
	return v, mapped("lock verification", err)
}

// closeOpenVerifications ends unapproved verifications that a new answer replaces.
func closeOpenVerifications(ctx context.Context, tx *audit.Tx, credential CredentialID, claim ClaimID) error {
	_, err := tx.Exec(ctx, `
		update verification
		set known = tstzrange(lower(known), greatest(@now, lower(known)))
		where credential_id = @credential and claim_id = @claim and upper_inf(known) and state <> 'approved'`,
		pgx.StrictNamedArgs{"credential": string(credential), "claim": string(claim), "now": tx.Now()})
	return mapped("close verification", err)
}

const insertVerificationSQL = `
	insert into verification (id, root_id, credential_id, subject_id, claim_id, verifier_id, approver_id, method, source, source_address,
		asked_at, first_result, result, result_reason, source_status, status_from, evidence_sha256, cause, state, next_due, known)
	values (@id, @root, @credential, @subject, @claim, @verifier, @approver, @method, @source, @address,
		@asked, @first, @result, @reason, @status, @from, @evidence, @cause, @state, @due, tstzrange(greatest(@now,
			(select max(upper(known)) from verification where root_id = @root)), null))`

func insertVerification(ctx context.Context, tx *audit.Tx, id VerificationID, subject, verifier identity.PersonID, state State, r VerifyRequest) error {
	var evidence []byte
	if r.Evidence != [32]byte{} {
		evidence = r.Evidence[:]
		var ok bool
		err := tx.QueryRow(ctx, `select exists (select 1 from credential_evidence where credential_id = $1 and sha256 = $2)`,
			string(r.Credential), evidence).Scan(&ok)
		if err != nil {
			return mapped("find evidence", err)
		}
		if !ok {
			return ErrEvidenceMissing
		}
	}
	_, err := tx.Exec(ctx, insertVerificationSQL, pgx.StrictNamedArgs{"id": string(id), "root": string(id), "credential": string(r.Credential),
		"subject": string(subject), "claim": string(r.Claim), "verifier": string(verifier), "approver": nil, "method": r.Method,
		"source": r.Source, "address": r.SourceAddress, "asked": r.AskedAt, "first": string(r.Result), "result": string(r.Result), "reason": "",
		"status": string(r.SourceStatus), "from": r.StatusFrom, "evidence": evidence, "cause": "manual", "state": string(state), "due": nil, "now": tx.Now()})
	return mapped("record verification", err)
}

// nextVerification closes the version and inserts the next.
func nextVerification(ctx context.Context, tx *audit.Tx, v verificationRow, state State, approver identity.PersonID, due time.Time, reason string) error {
	tag, err := tx.Exec(ctx, `
		update verification
		set known = tstzrange(lower(known), greatest(@now, lower(known)))
		where id = @id and upper_inf(known)`, pgx.StrictNamedArgs{"id": string(v.id), "now": tx.Now()})
	if err != nil {
		return mapped("close verification", err)
	}
	if tag.RowsAffected() != 1 {
		return ErrStale
	}
	_, err = tx.Exec(ctx, insertVerificationSQL, pgx.StrictNamedArgs{"id": newID(), "root": string(v.root), "credential": string(v.credential),
		"subject": string(v.subject), "claim": string(v.claim), "verifier": string(v.verifier), "approver": string(approver), "method": v.method,
		"source": v.source, "address": v.sourceAddress, "asked": v.askedAt, "first": string(v.first), "result": string(v.result), "reason": reason,
		"status": string(v.sourceStatus), "from": v.statusFrom, "evidence": v.evidence, "cause": v.cause, "state": string(state),
		"due": nullTime(due), "now": tx.Now()})
	return mapped("record verification", err)
}

func insertStatus(ctx context.Context, tx *audit.Tx, subject identity.PersonID, r StatusReport, reported, confirmed identity.PersonID, supersedes string) (string, error) {
	id := newID()
	_, err := tx.Exec(ctx, `
		insert into credential_status (id, credential_id, subject_id, status, from_at, source, reported_by, confirmed_by, recorded_at, supersedes)
		values (@id, @credential, @subject, @status, @from, @source, @reported, @confirmed, @now, @supersedes)`,
		pgx.StrictNamedArgs{"id": id, "credential": string(r.Credential), "subject": string(subject), "status": string(r.Status), "from": r.From,
			"source": r.Source, "reported": null(reported), "confirmed": null(confirmed), "now": tx.Now(), "supersedes": null(supersedes)})
	return id, mapped("record status", err)
}

// openProposal is the last report that a credential is active again, if nobody has
// confirmed it and no bad news came after it.
func openProposal(ctx context.Context, tx *audit.Tx, id CredentialID) (proposal string, by identity.PersonID, from time.Time, err error) {
	err = tx.QueryRow(ctx, `
		select s.id, s.reported_by, s.from_at
		from credential_status s
		where s.credential_id = $1 and s.status = 'active' and s.confirmed_by is null
			and not exists (select 1 from credential_status n where n.supersedes = s.id)
			and not exists (select 1 from credential_status n
				where n.credential_id = s.credential_id and n.status <> 'active' and n.id > s.id)
		order by s.id desc
		limit 1`, string(id)).Scan(&proposal, &by, &from)
	return proposal, by, from, mapped("find proposal", err)
}

func insertExclusionCheck(ctx context.Context, tx *audit.Tx, by identity.PersonID, r ExclusionCheck) error {
	_, err := tx.Exec(ctx, `
		insert into exclusion_check (id, person_id, lists, list_version, checked_at, hits, checked_by, recorded_at)
		values (@id, @person, @lists, @version, @at, @hits, @by, @now)`,
		pgx.StrictNamedArgs{"id": newID(), "person": string(r.Person), "lists": r.Lists, "version": r.ListVersion, "at": r.At,
			"hits": len(r.Hits), "by": null(by), "now": tx.Now()})
	return mapped("record check of exclusions", err)
}

// insertExclusion records a match; "" if it is on file already.
func insertExclusion(ctx context.Context, tx *audit.Tx, r ExclusionCheck, h ExclusionHit, by identity.PersonID) (ExclusionID, error) {
	if h.From.IsZero() {
		h.From = r.At
	}
	strength := "weak"
	if h.Strong {
		strength = "strong"
	}
	id := ExclusionID(newID())
	tag, err := tx.Exec(ctx, `
		insert into exclusion (id, person_id, list, list_version, entry, type, from_at, to_at, strength, reported_by, recorded_at)
		values (@id, @person, @list, @version, @entry, @type, @from, @to, @strength, @by, @now)
		on conflict on constraint exclusion_once do nothing`,
		pgx.StrictNamedArgs{"id": string(id), "person": string(r.Person), "list": h.List, "version": r.ListVersion, "entry": h.Entry, "type": h.Type,
			"from": h.From, "to": nullTime(h.To), "strength": strength, "by": null(by), "now": tx.Now()})
	if err != nil {
		return "", mapped("record exclusion", err)
	}
	if tag.RowsAffected() == 0 {
		return "", nil
	}
	return id, nil
}

// lockExclusion returns whose match it is and who has proposed to clear it.
func lockExclusion(ctx context.Context, tx *audit.Tx, id ExclusionID) (subject, proposer identity.PersonID, err error) {
	var by *string
	err = tx.QueryRow(ctx, `
		select e.person_id, (
			select case when d.decision = 'cleared' and d.confirmed_by is null then d.proposed_by end
			from exclusion_decision d
			where d.exclusion_id = e.id
			order by d.id desc
			limit 1)
		from exclusion e
		where e.id = $1
		for update of e`, string(id)).Scan(&subject, &by)
	return subject, identity.PersonID(text(by)), mapped("lock exclusion", err)
}

func insertExclusionDecision(ctx context.Context, tx *audit.Tx, id ExclusionID, subject identity.PersonID, clear bool, proposed, confirmed identity.PersonID, reason string) error {
	decision := "confirmed"
	if clear {
		decision = "cleared"
	}
	_, err := tx.Exec(ctx, `
		insert into exclusion_decision (id, exclusion_id, subject_id, decision, proposed_by, confirmed_by, reason, recorded_at)
		values (@id, @exclusion, @subject, @decision, @proposed, @confirmed, @reason, @now)`,
		pgx.StrictNamedArgs{"id": newID(), "exclusion": string(id), "subject": string(subject), "decision": decision,
			"proposed": string(proposed), "confirmed": null(confirmed), "reason": reason, "now": tx.Now()})
	return mapped("decide exclusion", err)
}

func sumOrNil(s [32]byte) []byte {
	if s == [32]byte{} {
		return nil
	}
	return s[:]
}

func insertAgreement(ctx context.Context, tx *audit.Tx, a Agreement, by identity.PersonID) error {
	if a.DataClasses == nil {
		a.DataClasses = []string{}
	}
	_, err := tx.Exec(ctx, `
		insert into agreement (id, from_organization_id, to_organization_id, ground, data_classes, valid_from, valid_to, entered_by, evidence_sha256, known)
		values (@id, @from_org, @to_org, @ground, @classes, @from, @to, @by, @evidence, tstzrange(@now, null))`,
		pgx.StrictNamedArgs{"id": string(a.ID), "from_org": string(a.From), "to_org": string(a.To), "ground": a.Ground, "classes": a.DataClasses,
			"from": a.ValidFrom, "to": nullTime(a.ValidTo), "by": null(by), "evidence": sumOrNil(a.Evidence), "now": tx.Now()})
	return mapped("add agreement", err)
}

func lockAgreement(ctx context.Context, tx *audit.Tx, id AgreementID) (Agreement, error) {
	a := Agreement{ID: id}
	var to *time.Time
	var sum []byte
	err := tx.QueryRow(ctx, `
		select from_organization_id, to_organization_id, ground, data_classes, valid_from, valid_to, evidence_sha256
		from agreement
		where id = $1 and upper_inf(known)
		for update`, string(id)).Scan(&a.From, &a.To, &a.Ground, &a.DataClasses, &a.ValidFrom, &to, &sum)
	a.ValidTo = orZero(to)
	copy(a.Evidence[:], sum)
	return a, mapped("lock agreement", err)
}

// endAgreement closes the version known so far and inserts one that ends now; an
// agreement that had not begun is only closed.
func endAgreement(ctx context.Context, tx *audit.Tx, a Agreement, by identity.PersonID) error {
	_, err := tx.Exec(ctx, `
		update agreement
		set known = tstzrange(lower(known), greatest(@now, lower(known)))
		where id = @id`, pgx.StrictNamedArgs{"id": string(a.ID), "now": tx.Now()})
	if err != nil {
		return mapped("end agreement", err)
	}
	if !a.ValidFrom.Before(tx.Now()) {
		return nil
	}
	a.ID = AgreementID(newID())
	a.ValidTo = tx.Now()
	return insertAgreement(ctx, tx, a, by)
}

func insertFacilityLicense(ctx context.Context, tx *audit.Tx, l FacilityLicense, by identity.PersonID) error {
	_, err := tx.Exec(ctx, `
		insert into facility_license (id, organization_id, jurisdiction, type, issuer, number, valid_from, valid_to, entered_by, evidence_sha256, known)
		values (@id, @organization, @jurisdiction, 'telehealth', @issuer, @number, @from, @to, @by, @evidence, tstzrange(@now, null))`,
		pgx.StrictNamedArgs{"id": string(l.ID), "organization": string(l.Organization), "jurisdiction": l.Jurisdiction, "issuer": l.Issuer,
			"number": l.Number, "from": l.ValidFrom, "to": nullTime(l.ValidTo), "by": null(by), "evidence": sumOrNil(l.Evidence), "now": tx.Now()})
	return mapped("add facility license", err)
}

func insertAttestation(ctx context.Context, tx *audit.Tx, person identity.PersonID, a Attestation) ([32]byte, error) {
	sum := sha256.Sum256([]byte(a.Text))
	_, err := tx.Exec(ctx, `
		insert into attestation (id, person_id, kind, text_version, text_sha256, language, signed_at, place)
		values (@id, @person, @kind, @version, @sum, @language, @now, @place)`,
		pgx.StrictNamedArgs{"id": newID(), "person": string(person), "kind": a.Kind, "version": a.TextVersion, "sum": sum[:],
			"language": a.Language, "now": tx.Now(), "place": null(a.Place)})
	return sum, mapped("sign attestation", err)
}

func insertDetermination(ctx context.Context, tx *audit.Tx, d Determination, org identity.OrganizationID) error {
	_, err := tx.Exec(ctx, `
		insert into determination (id, person_id, organization_id, activity, at, through, mode, decided_at, decision, facts, answer, hash)
		values (@id, @person, @organization, @activity, @at, @through, @mode, @decided, @decision, @facts, @answer, @hash)`,
		pgx.StrictNamedArgs{"id": string(d.ID), "person": string(d.Person), "organization": null(org), "activity": string(d.Activity), "at": d.At,
			"through": nullTime(d.Through), "mode": string(d.Mode), "decided": d.DecidedAt, "decision": string(d.Decision),
			"facts": string(d.Facts), "answer": string(d.Answer), "hash": d.Hash[:]})
	return mapped("record determination", err)
}

func selectDetermination(ctx context.Context, tx *audit.Tx, id DeterminationID) (Determination, error) {
	d := Determination{ID: id}
	var through *time.Time
	var f, a string
	var hash []byte
	err := tx.QueryRow(ctx, `
		select person_id, activity, at, through, mode, decided_at, decision, facts, answer, hash
		from determination
		where id = $1`, string(id)).Scan(&d.Person, &d.Activity, &d.At, &through, &d.Mode, &d.DecidedAt, &d.Decision, &f, &a, &hash)
	if err != nil {
		return d, mapped("find determination", err)
	}
	d.Through, d.Facts, d.Answer = orZero(through), []byte(f), []byte(a)
	copy(d.Hash[:], hash)
	return d, nil
}
