package credentialing

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// ReceiveImport keeps a registry file as it came, with its SHA-256, and says what
// applying it would do. The same file of the same source again is the same import,
// applied or not. A file in another encoding or without the known columns is refused
// and not kept. The file is read in pieces, three times; it is never held whole.
func (s *Service) ReceiveImport(ctx context.Context, actor identity.Actor, f ImportFile) (ImportID, error) {
	if !officer(actor) && !system(actor) {
		return "", ErrForbidden
	}
	if f.Source == "" {
		return "", &Invalid{Field: "source"}
	}
	k, err := weigh(f.Content, MaxImport)
	switch {
	case errors.Is(err, ErrEvidenceEmpty):
		return "", &RowError{0, "", RowEmpty}
	case errors.Is(err, ErrEvidenceLarge):
		return "", &RowError{0, "", RowTooMany}
	case err != nil:
		return "", err
	}
	if err := rewind(f.Content); err != nil {
		return "", err
	}
	read, err := ReadRegistry(f.Content, f.Encoding, func(RegistryRow) error { return ctx.Err() })
	if err != nil {
		return "", err
	}
	k.media = map[string]string{"csv": "text/csv", "json": "application/json"}[read.Format]
	if k, err = s.store(ctx, k, f.Content); err != nil {
		return "", err
	}
	id := ImportID(newID())
	err = s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if err := insertKept(ctx, tx, k); err != nil {
			return err
		}
		args := pgx.StrictNamedArgs{"id": string(id), "source": f.Source, "format": read.Format, "mapping": importMapping, "sha256": k.sum[:],
			"by": null(actor.Person), "now": tx.Now(), "encoding": string(read.Encoding)}
		tag, err := tx.Exec(ctx, `
			insert into registry_import (id, source, format, mapping, sha256, received_by, received_at, encoding)
			values (@id, @source, @format, @mapping, @sha256, @by, @now, @encoding)
			on conflict on constraint registry_import_once do nothing`, args)
		if err != nil {
			return mapped("receive file", err)
		}
		if tag.RowsAffected() == 0 {
			return mapped("find file", tx.QueryRow(ctx, `select id from registry_import where source = $1 and sha256 = $2 and encoding = $3`,
				f.Source, k.sum[:], string(read.Encoding)).Scan(&id))
		}
		ev := actor.Event("registry.received")
		ev.Objects = map[string]string{"import": string(id)}
		ev.Hashes = map[string]string{"file": fmt.Sprintf("%x", k.sum)}
		tx.Append(ev)
		return nil
	})
	return id, err
}

// Imports are the registry files, the last first, without their rows.
func (s *Service) Imports(ctx context.Context, actor identity.Actor) ([]Import, error) {
	if !officer(actor) {
		return nil, ErrForbidden
	}
	var out []Import
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		rows, err := tx.Query(ctx, importSQL+` order by i.received_at desc, i.id desc limit 200`)
		if err != nil {
			return mapped("list files", err)
		}
		out, err = pgx.CollectRows(rows, scanImport)
		return mapped("list files", err)
	})
	return out, err
}

const importSQL = `
	select i.id, i.source, i.format, i.encoding, i.mapping, i.sha256, e.size, i.received_by, i.received_at, a.applied_by, a.applied_at, a.counts
	from registry_import i
	join evidence e on e.sha256 = i.sha256
	left join registry_application a on a.import_id = i.id`

func scanImport(row pgx.CollectableRow) (Import, error) {
	var i Import
	var sum []byte
	var by, applied *string
	var at *time.Time
	var counts []byte
	err := row.Scan(&i.ID, &i.Source, &i.Format, &i.Encoding, &i.Mapping, &sum, &i.Size, &by, &i.ReceivedAt, &applied, &at, &counts)
	if err == nil && counts != nil {
		err = json.Unmarshal(counts, &i.Counts)
	}
	copy(i.SHA256[:], sum)
	i.ReceivedBy, i.AppliedBy, i.ReceivedAt, i.AppliedAt = identity.PersonID(text(by)), identity.PersonID(text(applied)), i.ReceivedAt.UTC(), orZero(at)
	return i, err
}

// Preview says what applying a file would do to the record as it is now; of a file
// that was applied, what it did.
func (s *Service) Preview(ctx context.Context, actor identity.Actor, id ImportID) (Import, error) {
	if !officer(actor) {
		return Import{}, ErrForbidden
	}
	var i Import
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		i, err = s.preview(ctx, tx, actor, id)
		return err
	})
	return i, err
}

func (s *Service) preview(ctx context.Context, tx *audit.Tx, actor identity.Actor, id ImportID) (Import, error) {
	rows, err := tx.Query(ctx, importSQL+` where i.id = $1`, string(id))
	if err != nil {
		return Import{}, mapped("find file", err)
	}
	i, err := pgx.CollectExactlyOneRow(rows, scanImport)
	if err != nil {
		return Import{}, mapped("find file", err)
	}
	if i.Applied() {
		i.Rows, err = selectApplied(ctx, tx, id)
	} else {
		err = s.planImport(ctx, tx, actor, &i)
	}
	if err != nil {
		return Import{}, err
	}
	if i.Counts == nil { // of a file that was applied before outcomes were counted
		i.Counts = map[Outcome]int{}
		for _, r := range i.Rows {
			i.Counts[r.Outcome]++
		}
	}
	slices.SortStableFunc(i.Rows, func(a, b PlannedRow) int {
		if x, y := slices.Index(Outcomes, a.Outcome), slices.Index(Outcomes, b.Outcome); x != y {
			return x - y
		}
		return a.Row - b.Row
	})
	return i, nil
}

// Rows are matched with the record in batches; of those that match nobody, so many are
// kept to be seen.
const (
	importBatch    = 2000
	shownUnmatched = 200
	shownNamesakes = 1000
)

// planImport reads the file through once more and says what each row does. What it
// keeps grows with the record, not with the file.
func (s *Service) planImport(ctx context.Context, tx *audit.Tx, actor identity.Actor, i *Import) error {
	f, err := selectEvidence(ctx, tx, i.SHA256)
	if err != nil {
		return err
	}
	r, err := s.openIn(ctx, tx, f)
	if err != nil {
		return fmt.Errorf("registry file: %w", err)
	}
	defer r.Close()
	p := planner{tx: tx, actor: actor.Person, i: i, issuers: map[string]bool{}, named: map[string]bool{}}
	i.Counts = map[Outcome]int{}
	if err := p.knownIssuers(ctx); err != nil {
		return err
	}
	sum := sha256.New()
	whole := io.TeeReader(r, sum)
	file, err := ReadRegistry(whole, i.Encoding, func(row RegistryRow) error {
		p.batch = append(p.batch, row)
		if len(p.batch) < importBatch {
			return nil
		}
		return p.flush(ctx)
	})
	if err != nil {
		return fmt.Errorf("registry file: %w", err)
	}
	if err := p.flush(ctx); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, whole); err != nil {
		return fmt.Errorf("registry file: %w", err)
	}
	if [32]byte(sum.Sum(nil)) != i.SHA256 {
		return fmt.Errorf("registry file: %w", ErrEvidenceAltered)
	}
	i.Errors = append(file.Errors, i.Errors...)
	slices.SortStableFunc(i.Errors, func(a, b RowError) int { return a.Row - b.Row })
	absent, err := selectAbsent(ctx, tx, p.issuers, p.named)
	i.Rows = append(i.Rows, absent...)
	if len(absent) > 0 {
		i.Counts[OutcomeAbsent] = len(absent)
	}
	return err
}

// planner matches the rows of a file with the record as they come.
type planner struct {
	tx        *audit.Tx
	actor     identity.PersonID
	i         *Import
	batch     []RegistryRow
	onFile    map[string]bool // kinds and issuers of what is on file
	issuers   map[string]bool // of them those that the file has
	named     map[string]bool // what is on file and in the file
	unmatched int             // kept
	namesakes int             // kept
}

func (p *planner) knownIssuers(ctx context.Context) error {
	rows, err := p.tx.Query(ctx, `select distinct kind, issuer from credential`)
	if err != nil {
		return mapped("list issuers", err)
	}
	p.onFile = map[string]bool{}
	var kind, issuer string
	_, err = pgx.ForEachRow(rows, []any{&kind, &issuer}, func() error {
		p.onFile[kind+"\x00"+issuer] = true
		return nil
	})
	return mapped("list issuers", err)
}

func (p *planner) flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil || len(p.batch) == 0 {
		return err
	}
	have, err := selectOnRecord(ctx, p.tx, p.batch)
	if err != nil {
		return err
	}
	var strangers []PlannedRow
	for _, r := range p.batch {
		if of := string(r.Kind) + "\x00" + r.Issuer; p.onFile[of] {
			p.issuers[of] = true
		}
		key := rowKey(r.Kind, r.Issuer, r.Number)
		if len(have[key]) > 0 {
			p.named[key] = true
		}
		row, problem := planRow(r, have[key], p.actor)
		switch {
		case problem != nil:
			if len(p.i.Errors) < maxRowErrors {
				p.i.Errors = append(p.i.Errors, *problem)
			}
			continue
		case row.Outcome == OutcomeUnmatched:
			strangers = append(strangers, row)
		default:
			p.i.Rows = append(p.i.Rows, row)
		}
		p.i.Counts[row.Outcome]++
	}
	p.batch = p.batch[:0]
	if err := lookTwice(ctx, p.tx, strangers); err != nil {
		return err
	}
	for _, row := range strangers {
		switch {
		case row.Namesake != "" && p.namesakes < shownNamesakes:
			p.namesakes++
		case p.unmatched < shownUnmatched:
			p.unmatched++
		default:
			continue
		}
		p.i.Rows = append(p.i.Rows, row)
	}
	return nil
}

func rowKey(k Kind, issuer, number string) string {
	return string(k) + "\x00" + issuer + "\x00" + number
}

// selectOnRecord reads what is on file of the credentials that rows name.
func selectOnRecord(ctx context.Context, tx *audit.Tx, rows []RegistryRow) (map[string][]onRecord, error) {
	var kinds, issuers, numbers []string
	for _, r := range rows {
		kinds, issuers, numbers = append(kinds, string(r.Kind)), append(issuers, r.Issuer), append(numbers, r.Number)
	}
	found, err := tx.Query(ctx, `
		select c.kind, c.issuer, c.number, c.id, c.person_id, coalesce(c.jurisdiction, ''), cl.id, cl.content,
			exists (select 1 from verification v where v.credential_id = c.id and v.claim_id = cl.id and upper_inf(v.known) and v.state <> 'rejected'),
			coalesce((select s.status from credential_status s
				where s.credential_id = c.id and (s.status <> 'active' or s.confirmed_by is not null)
					and not exists (select 1 from credential_status n where n.supersedes = s.id)
				order by s.from_at desc, s.recorded_at desc, s.id desc
				limit 1), ''),
			exists (select 1 from credential_status s where s.credential_id = c.id and s.status = 'active' and s.confirmed_by is not null)
		from unnest(@kinds::text[], @issuers::text[], @numbers::text[]) as want (kind, issuer, number)
		join credential c on c.kind = want.kind and c.issuer = want.issuer and c.number = want.number
		join credential_claim cl on cl.credential_id = c.id and upper_inf(cl.known)`,
		pgx.StrictNamedArgs{"kinds": kinds, "issuers": issuers, "numbers": numbers})
	if err != nil {
		return nil, mapped("match rows", err)
	}
	out := map[string][]onRecord{}
	var kind Kind
	var issuer, number string
	var h onRecord
	var content []byte
	_, err = pgx.ForEachRow(found, []any{&kind, &issuer, &number, &h.id, &h.person, &h.jurisdiction, &h.claim, &content, &h.answered, &h.status, &h.everActive}, func() error {
		one := h
		one.content = Claim{}
		if err := json.Unmarshal(content, &one.content); err != nil {
			return err
		}
		key := rowKey(kind, issuer, number)
		out[key] = append(out[key], one)
		return nil
	})
	return out, mapped("match rows", err)
}

// lookTwice names, for numbers that matched nobody, the one person on file of the
// same name.
func lookTwice(ctx context.Context, tx *audit.Tx, rows []PlannedRow) error {
	var names []string
	for _, r := range rows {
		if r.Outcome == OutcomeUnmatched && r.Holder != "" {
			names = append(names, r.Holder)
		}
	}
	if len(names) == 0 {
		return nil
	}
	found, err := tx.Query(ctx, `
		select name, min(id::text)
		from person
		where name = any($1)
		group by name
		having count(*) = 1`, names)
	if err != nil {
		return mapped("look for names", err)
	}
	same := map[string]identity.PersonID{}
	var name string
	var id identity.PersonID
	if _, err = pgx.ForEachRow(found, []any{&name, &id}, func() error { same[name] = id; return nil }); err != nil {
		return mapped("look for names", err)
	}
	for i := range rows {
		if rows[i].Outcome == OutcomeUnmatched {
			rows[i].Namesake = same[rows[i].Holder]
		}
	}
	return nil
}

// selectAbsent are the credentials on file by the file's issuers that it does not
// name: a task for somebody, never a revocation.
func selectAbsent(ctx context.Context, tx *audit.Tx, issuers, named map[string]bool) ([]PlannedRow, error) {
	var kinds, names []string
	for k := range issuers {
		kind, issuer, _ := cut(k)
		kinds, names = append(kinds, kind), append(names, issuer)
	}
	found, err := tx.Query(ctx, `
		select c.id, c.person_id, c.kind, c.issuer, c.number, coalesce(c.jurisdiction, '')
		from unnest($1::text[], $2::text[]) as want (kind, issuer)
		join credential c on c.kind = want.kind and c.issuer = want.issuer
		order by c.id`, kinds, names)
	if err != nil {
		return nil, mapped("look for absent rows", err)
	}
	var out []PlannedRow
	var p PlannedRow
	_, err = pgx.ForEachRow(found, []any{&p.Credential, &p.Person, &p.Kind, &p.Issuer, &p.Number, &p.Jurisdiction}, func() error {
		if !named[rowKey(p.Kind, p.Issuer, p.Number)] {
			p.Outcome = OutcomeAbsent
			out = append(out, p)
		}
		return nil
	})
	return out, mapped("look for absent rows", err)
}

func cut(key string) (before, after string, found bool) {
	for i := range len(key) {
		if key[i] == 0 {
			return key[:i], key[i+1:], true
		}
	}
	return key, "", false
}

func selectApplied(ctx context.Context, tx *audit.Tx, id ImportID) ([]PlannedRow, error) {
	rows, err := tx.Query(ctx, `select content from registry_row where import_id = $1 order by row, outcome`, string(id))
	if err != nil {
		return nil, mapped("read rows", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (PlannedRow, error) {
		var p PlannedRow
		var content []byte
		if err := row.Scan(&content); err != nil {
			return p, err
		}
		return p, json.Unmarshal(content, &p)
	})
	return out, mapped("read rows", err)
}

// ApplyImport does what the preview says, in one transaction: all of it, or nothing.
// expect is the number of rows of each outcome that the officer saw; ErrStale means
// that the record has moved since, ErrImportRows that rows cannot be read. Bad news
// counts at once; what else a source says stands as an answer that a second officer
// approves. A file that was applied changes nothing any more.
func (s *Service) ApplyImport(ctx context.Context, actor identity.Actor, id ImportID, expect map[Outcome]int) (Import, error) {
	if !officer(actor) {
		return Import{}, ErrForbidden
	}
	var i Import
	err := s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) (err error) {
		if i, err = s.preview(ctx, tx, actor, id); err != nil || i.Applied() {
			return err
		}
		if len(i.Errors) > 0 {
			return ErrImportRows
		}
		for _, o := range Outcomes {
			if expect != nil && expect[o] != i.Counts[o] {
				return ErrStale
			}
		}
		counts, err := json.Marshal(i.Counts)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `insert into registry_application (import_id, applied_by, applied_at, counts) values ($1, $2, $3, $4)`,
			string(id), null(actor.Person), tx.Now(), counts)
		if err != nil {
			return mapped("apply file", err)
		}
		for _, p := range i.Rows {
			if err := s.applyRow(ctx, tx, actor, i, p); err != nil {
				return fmt.Errorf("row %d: %w", p.Row, err)
			}
		}
		if err := insertRows(ctx, tx, id, i.Rows); err != nil {
			return err
		}
		i.AppliedBy, i.AppliedAt = actor.Person, tx.Now()
		ev := actor.Event("registry.applied")
		ev.Objects = map[string]string{"import": string(id)}
		ev.Hashes = map[string]string{"file": fmt.Sprintf("%x", i.SHA256)}
		ev.Detail = map[string]any{}
		for o, n := range i.Counts {
			ev.Detail[string(o)] = n
		}
		tx.Append(ev)
		return nil
	})
	if errors.Is(err, ErrExists) { // another officer applied it at the same time
		return s.Preview(ctx, actor, id)
	}
	return i, err
}

func insertRows(ctx context.Context, tx *audit.Tx, id ImportID, rows []PlannedRow) error {
	n := 0
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"registry_row"}, []string{"import_id", "row", "outcome", "credential_id", "person_id", "content"},
		pgx.CopyFromSlice(len(rows), func(k int) ([]any, error) {
			p := rows[k]
			row := p.Row
			if p.Outcome == OutcomeAbsent { // they have no row in the file
				n++
				row = n
			}
			content, err := json.Marshal(p)
			return []any{string(id), row, string(p.Outcome), null(p.Credential), null(p.Person), content}, err
		}))
	return mapped("keep rows", err)
}

// applyRow does one row.
func (s *Service) applyRow(ctx context.Context, tx *audit.Tx, actor identity.Actor, i Import, p PlannedRow) error {
	if p.Outcome != OutcomeNew && p.Outcome != OutcomeChanged && p.Outcome != OutcomeAdverse {
		return nil
	}
	c, err := lockCredential(ctx, tx, p.Credential)
	if err != nil {
		return err
	}
	from := tx.Now()
	if !p.StatusFrom.IsZero() {
		from = p.StatusFrom.begins(nil, false) // bad news counts from the earliest begin of its day
	}
	report := StatusReport{Credential: p.Credential, Status: p.Status, From: from, Source: i.Source}
	if p.Outcome == OutcomeAdverse {
		if _, err := insertStatus(ctx, tx, c.person, report, actor.Person, "", ""); err != nil {
			return err
		}
		return s.change(ctx, tx, c.person, "", "status-"+string(p.Status), from)
	}
	if slices.Contains(p.Fields, "status") {
		if _, _, _, err := openProposal(ctx, tx, p.Credential); errors.Is(err, ErrNotFound) {
			if _, err := insertStatus(ctx, tx, c.person, report, actor.Person, "", ""); err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
		if len(p.Fields) == 1 {
			return nil
		}
	}
	claim, content := c.claim, c.content
	if p.Outcome == OutcomeChanged {
		content = p.onto(c.content)
		if claim, err = insertClaim(ctx, tx, p.Credential, actor.Person, content); err != nil {
			return err
		}
	}
	// The holder may read the evidence of what is theirs: the row alone, not the file.
	page, err := json.Marshal(map[string]any{"file_sha256": fmt.Sprintf("%x", i.SHA256), "row": p.RegistryRow})
	if err != nil {
		return err
	}
	kept, err := s.page(ctx, "application/json", page)
	if err != nil {
		return err
	}
	if err := attach(ctx, tx, p.Credential, actor.Person, kept, i.Source, i.ReceivedAt, ""); err != nil {
		return err
	}
	if err := closeOpenVerifications(ctx, tx, p.Credential, claim); err != nil {
		return err
	}
	statusFrom := i.ReceivedAt
	if !content.ValidFrom.IsZero() && !c.everActive {
		statusFrom = content.ValidFrom.begins(nil, false)
	}
	id := newID()
	_, err = tx.Exec(ctx, insertVerificationSQL, pgx.StrictNamedArgs{"id": id, "root": id, "credential": string(p.Credential), "subject": string(c.person),
		"claim": string(claim), "verifier": string(actor.Person), "approver": nil, "method": methodPrimary, "source": i.Source, "address": "",
		"asked": i.ReceivedAt, "first": string(ResultFound), "result": string(ResultFound), "reason": "", "status": string(StatusActive),
		"from": statusFrom, "evidence": kept.sum[:], "cause": "import", "state": string(StateAnswered), "due": nil, "now": tx.Now()})
	if err != nil {
		return mapped("record answer", err)
	}
	ev := actor.Event("credential.verified")
	ev.Objects = map[string]string{"credential": string(p.Credential), "verification": id, "person": string(c.person), "import": string(i.ID)}
	ev.Reason = string(ResultFound)
	ev.Hashes = map[string]string{"evidence": fmt.Sprintf("%x", kept.sum)}
	tx.Append(ev)
	return nil
}
