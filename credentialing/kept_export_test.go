package credentialing

import (
	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
)

// KeptPeople is of how many people what is on file is kept.
func (s *Service) KeptPeople() int {
	s.kept.mu.Lock()
	defer s.kept.mu.Unlock()
	return len(s.kept.people)
}

// ReadsOf are the statements that read what is on file for a question.
func (s *Service) ReadsOf(tx *audit.Tx, ask Ask) (out []string) {
	var b pgx.Batch
	s.queueLoad(&b, tx, tx.Now(), ask)
	for _, q := range b.QueuedQueries {
		out = append(out, q.SQL)
	}
	return out
}

// Try answers a question as Determine does, and keeps nothing.
func (f *Files) Try(ask Ask) (Determination, error) {
	held, err := f.held(ask)
	if err != nil {
		return Determination{}, err
	}
	q := f.s.compose(ask, f.d, f.now)
	d := Decide(q, *held)
	if w, ok := f.d.written[ask.Person]; ok {
		err = record(q, w, &d)
	} else {
		err = Record(q, *held, &d)
	}
	return d, err
}
