package credentialing

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Files are what was on file for several questions when they were read, with one query
// a table for all of them. They answer within the transaction that read them.
type Files struct {
	s   *Service
	d   *dossier
	now time.Time // of the transaction
}

// ReadFiles reads what the questions rest on: the people and organizations that they
// name. Files answers any question about these.
func (s *Service) ReadFiles(ctx context.Context, tx *audit.Tx, asks ...Ask) (*Files, error) {
	var b pgx.Batch
	files, err := s.QueueFiles(&b, tx, asks...)
	if err != nil {
		return nil, err
	}
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return nil, mapped("read what is on file", err)
	}
	return files(ctx)
}

// QueueFiles queues the questions of ReadFiles in a batch of reads; what it returns gives
// the files once the batch has been read.
func (s *Service) QueueFiles(b *pgx.Batch, tx *audit.Tx, asks ...Ask) (func(ctx context.Context) (*Files, error), error) {
	for _, a := range asks {
		if err := a.check(); err != nil {
			return nil, err
		}
	}
	load := s.queueLoad(b, tx, tx.Now(), asks...)
	return func(ctx context.Context) (*Files, error) {
		d, err := load(ctx)
		if err != nil {
			return nil, err
		}
		f := &Files{s: s, d: d, now: tx.Now()}
		for _, a := range asks {
			if _, err := f.held(a); err != nil {
				return nil, err
			}
		}
		return f, nil
	}, nil
}

func (f *Files) held(a Ask) (*Credentials, error) {
	if h, ok := f.d.people[a.Person]; ok {
		return h, nil
	}
	return nil, fmt.Errorf("person: %w", ErrNotFound)
}

// Spans answers like [Service.SpansFor].
func (f *Files) Spans(ask Ask, from, to time.Time) ([]Span, error) {
	if !from.Before(to) {
		return nil, nil
	}
	ask.At, ask.Through = from, time.Time{}
	if err := ask.check(); err != nil {
		return nil, err
	}
	held, err := f.held(ask)
	if err != nil {
		return nil, err
	}
	return f.s.spans(f.d, ask, *held, f.now, from, to), nil
}

// spans is a function of what was read.
func (s *Service) spans(d *dossier, ask Ask, held Credentials, now, from, to time.Time) []Span {
	var out []Span
	cuts := d.changes(ask, from, to)
	for _, cut := range s.current.Load().cuts {
		if cut.After(from) && cut.Before(to) {
			cuts = append(cuts, cut)
		}
	}
	slices.SortFunc(cuts, time.Time.Compare)
	cuts = slices.CompactFunc(cuts, time.Time.Equal)
	for i, at := range cuts {
		end := to
		if i+1 < len(cuts) {
			end = cuts[i+1]
		}
		ask.At = at
		q := s.compose(ask, d, now)
		for _, sp := range Spans(q, held, at, end) {
			if n := len(out); n > 0 && out[n-1].Determination.sameAnswer(sp.Determination) {
				out[n-1].To = sp.To
				continue
			}
			out = append(out, sp)
		}
	}
	return out
}

// Determine answers and keeps like [Service.Determine], in the order of the questions.
func (f *Files) Determine(ctx context.Context, tx *audit.Tx, actor identity.Actor, asks ...Ask) ([]Determination, error) {
	var b pgx.Batch
	out, err := f.QueueDetermine(&b, tx, actor, asks...)
	if err != nil {
		return nil, err
	}
	return out, mapped("record determinations", tx.SendBatch(ctx, &b).Close())
}

// QueueDetermine answers like Determine and queues the keeping of the answers: they are
// kept when the batch is sent, before what is queued after them.
func (f *Files) QueueDetermine(b *pgx.Batch, tx *audit.Tx, actor identity.Actor, asks ...Ask) ([]Determination, error) {
	out := make([]Determination, len(asks))
	kept := make([]*Determination, len(asks))
	for i, a := range asks {
		if err := a.check(); err != nil {
			return nil, err
		}
		held, err := f.held(a)
		if err != nil {
			return nil, err
		}
		q := f.s.compose(a, f.d, f.now)
		out[i] = Decide(q, *held)
		if w, ok := f.d.written[a.Person]; ok {
			err = record(q, w, &out[i])
		} else {
			err = Record(q, *held, &out[i])
		}
		if err != nil {
			return nil, err
		}
		out[i].ID = DeterminationID(newID())
		kept[i] = &out[i]
	}
	queueDeterminations(b, kept, asks)
	for i, a := range asks {
		tx.Append(determined(actor, a, out[i]))
	}
	return out, nil
}

// determined is the event of a determination that was kept.
func determined(actor identity.Actor, ask Ask, d Determination) audit.Event {
	ev := actor.Event("scope.determined")
	ev.Determination = string(d.ID)
	ev.Objects = map[string]string{"person": string(ask.Person)}
	if ask.Case.Case != "" {
		ev.Objects["case"] = ask.Case.Case
	}
	ev.Hashes = map[string]string{"determination": fmt.Sprintf("%x", d.Hash)}
	ev.Reason = string(d.Decision)
	if len(ask.Case.Places) > 0 {
		ev.Jurisdiction = ask.Case.Places[0]
	}
	return ev
}
