package credentialing

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

const (
	// keptBytes is about how much a Service keeps of what is on file: some 8 000 people
	// with four credentials each.
	keptBytes = 64 << 20
	// keptSubjects is about how many people and organizations at most is asked whether what
	// is kept of them still holds; questions about more are read anew.
	keptSubjects = 8
)

// keptFiles is what was on file about people and organizations, as it was read. What is
// kept holds as long as nothing was written about whom it is of, which each transaction
// asks of the database: see mark. The zero value is ready.
type keptFiles struct {
	mu            sync.Mutex
	people        map[identity.PersonID]personFile             // guarded by mu
	organizations map[identity.OrganizationID]organizationFile // guarded by mu
	bytes         int                                          // guarded by mu; about what both take
}

// mark names a state of what is on file about somebody: how many rows of file_change there
// are, and the instant of the last. Rows are never removed, so a state that was committed
// has a number of its own.
type mark struct {
	rows int64
	last time.Time // zero: none
}

// personFile is what is on file about a person. It is not written to.
type personFile struct {
	mark
	held    *Credentials
	written []byte // held in canonical JSON
	employs []tenure
	rules   *RuleSet // under which it was read: they say what a group of places covers
}

// organizationFile is what is on file about an organization. It is not written to.
type organizationFile struct {
	mark
	place      string
	licenses   []FacilityLicense
	agreements []Agreement
}

// marks are the states of what is on file about the subjects of a question, as the
// transaction sees them.
type marks struct {
	of    map[string]mark
	rules int // editions published
	// wrote tells that the transaction has written something: what it sees is its own, and
	// neither kept nor taken from what is kept.
	wrote bool
}

// queueMarks queues the question of the states, before that of what is on file: what is
// written between the two is read then, and kept by the earlier mark, which nobody sees
// any more.
func queueMarks(b *pgx.Batch, subjects []string) *marks {
	out := &marks{of: make(map[string]mark, len(subjects))}
	b.Queue(`
		select s.id, c.rows, c.last, pg_current_xact_id_if_assigned() is not null,
			(select count(*) from pack_edition where published_by is not null or by_operator)
		from unnest($1::uuid[]) as s(id)
		cross join lateral (
			select count(*) as rows, max(f.at) as last
			from file_change f -- file_change_pkey
			where f.subject_id = s.id) as c`, subjects).Query(func(rows pgx.Rows) error {
		var id string
		var m mark
		var last *time.Time
		_, err := pgx.ForEachRow(rows, []any{&id, &m.rows, &last, &out.wrote, &out.rules}, func() error {
			m.last = orZero(last)
			out.of[id] = m
			return nil
		})
		return err
	})
	return out
}

// holds tells whether what is kept of somebody by m is what is known at an instant: nothing
// was written since, and all of it was recorded by then.
func (now *marks) holds(id string, m mark, knownAt time.Time) bool {
	is, ok := now.of[id]
	return ok && is.rows == m.rows && is.last.Equal(m.last) && !knownAt.Before(is.last)
}

// take is what is kept of all people and organizations asked for, whether it holds or not;
// ok is false if something is not kept. rules are those under which all of it was read;
// nil: not the same of all.
func (k *keptFiles) take(people []identity.PersonID, organizations []identity.OrganizationID) (d *dossier, of map[string]mark, rules *RuleSet, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	d, of = newDossier(), make(map[string]mark, len(people)+len(organizations))
	for i, id := range people {
		f, ok := k.people[id]
		if !ok {
			return nil, nil, nil, false
		}
		if i == 0 {
			rules = f.rules
		} else if rules != f.rules {
			rules = nil
		}
		of[string(id)] = f.mark
		d.people[id], d.written[id] = f.held, f.written
		if f.employs != nil {
			d.employs[id] = f.employs
		}
	}
	for _, id := range organizations {
		f, ok := k.organizations[id]
		if !ok {
			return nil, nil, nil, false
		}
		of[string(id)] = f.mark
		d.places[id], d.licenses[id], d.agreements[id] = f.place, f.licenses, f.agreements
	}
	return d, of, rules, true
}

// put keeps a dossier by the marks that were read before it. What was recorded after
// knownAt, by a clock that is ahead, is not in it: then nothing is kept of its subject.
func (k *keptFiles) put(d *dossier, now *marks, rules *RuleSet, knownAt time.Time) error {
	const entry = 1 << 10
	for id, held := range d.people {
		w, err := audit.Canonical(held.utc())
		if err != nil {
			return err
		}
		d.written[id] = w
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.people == nil || k.bytes > keptBytes {
		// Forgetting all is cheap and rare.
		k.people, k.organizations, k.bytes = map[identity.PersonID]personFile{}, map[identity.OrganizationID]organizationFile{}, 0
	}
	for id, held := range d.people {
		if m, ok := now.of[string(id)]; ok && !knownAt.Before(m.last) {
			k.bytes -= k.people[id].bytes(entry)
			f := personFile{m, held, d.written[id], d.employs[id], rules}
			k.people[id] = f
			k.bytes += f.bytes(entry)
		}
	}
	for id, place := range d.places {
		if m, ok := now.of[string(id)]; ok && !knownAt.Before(m.last) {
			had := k.organizations[id]
			f := organizationFile{m, place, d.licenses[id], d.agreements[id]}
			k.organizations[id] = f
			k.bytes += (len(f.licenses) + len(f.agreements) - len(had.licenses) - len(had.agreements) + 1) * entry
		}
	}
	return nil
}

// bytes is about what a file takes; 0 for none.
func (f personFile) bytes(entry int) int {
	if f.held == nil {
		return 0
	}
	return entry + 4*len(f.written) // JSON, and the same in structs
}

// queueKept queues what finds out whether what is kept of a few people and organizations
// holds; what it returns gives the dossier once the batch has been read, in a second round
// trip where it does not. ok is false if something is not kept.
func (s *Service) queueKept(b *pgx.Batch, tx *audit.Tx, knownAt time.Time, who subjects) (load func(ctx context.Context) (*dossier, error), ok bool) {
	d, of, rules, ok := s.kept.take(who.people, who.organizations)
	if !ok {
		return nil, false
	}
	now := queueMarks(b, who.ids())
	return func(ctx context.Context) (*dossier, error) {
		if err := s.useRules(ctx, tx, now.rules); err != nil {
			return nil, err
		}
		holds := !now.wrote && rules == s.Rules()
		for id, m := range of {
			holds = holds && now.holds(id, m, knownAt)
		}
		if holds {
			return d, nil
		}
		var anew pgx.Batch
		load := s.queueRead(&anew, tx, knownAt, who)
		if err := tx.SendBatch(ctx, &anew).Close(); err != nil {
			return nil, mapped("read what is on file", err)
		}
		return load(ctx)
	}, true
}

// queueRead queues the reading of what is on file, of a few in order to keep it.
func (s *Service) queueRead(b *pgx.Batch, tx *audit.Tx, knownAt time.Time, who subjects) func(ctx context.Context) (*dossier, error) {
	d := newDossier()
	var now *marks
	var fresh *int
	past := knownAt.Before(tx.Now())
	if who.few() && !past {
		now = queueMarks(b, who.ids())
		fresh = &now.rules
	} else {
		fresh = queueRules(b)
	}
	held := s.queueCredentials(b, knownAt, past, who.people...)
	if len(who.organizations) > 0 {
		orgs := idStrings(who.organizations)
		args := pgx.StrictNamedArgs{"organizations": orgs, "known": knownAt}
		d.queuePlaces(b, orgs)
		d.queueLicenses(b, args)
		d.queueAgreements(b, args)
	}
	d.queueTenures(b, idStrings(who.people), knownAt, past)
	return func(ctx context.Context) (*dossier, error) {
		if err := s.useRules(ctx, tx, *fresh); err != nil {
			return nil, err
		}
		rules := s.Rules()
		d.people = held(rules)
		if now == nil || now.wrote {
			return d, nil
		}
		return d, s.kept.put(d, now, rules, knownAt)
	}
}

// subjects are whom questions are about, each once and sorted.
type subjects struct {
	people        []identity.PersonID
	organizations []identity.OrganizationID
}

func (w subjects) ids() []string {
	return append(idStrings(w.people), idStrings(w.organizations)...)
}

// few tells whether it is worth asking for the marks of each.
func (w subjects) few() bool {
	n := len(w.people) + len(w.organizations)
	return n > 0 && n <= keptSubjects
}
