package credentialing

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Fault is what stands against one credential, as a reason "credential:<id>:<what>"
// of an answer names it, with what a page needs to say which credential and when.
type Fault struct {
	Code         string // the reason
	What         string // "expired", "suspended", ...
	Credential   CredentialID
	Person       identity.PersonID
	Kind         Kind
	Issuer       string
	Number       string
	Jurisdiction string
	ValidFrom    Moment    // of the version that counts and begins last
	ValidTo      Moment    // of the version that counts and ends last
	Since        time.Time // from when the status holds; zero if no status was reported
	NextDue      time.Time // when it is or was to be verified again; zero if nobody has verified it
}

// Faults says of which credentials the reasons speak that are of the form
// "credential:<id>:<what>"; others are left out. Who may see an answer may see them.
func (s *Service) Faults(ctx context.Context, codes []string) ([]Fault, error) {
	what, ids := map[string][]string{}, []string{}
	for _, code := range codes {
		if rest, ok := strings.CutPrefix(code, "credential:"); ok {
			if id, _, ok := strings.Cut(rest, ":"); ok {
				if what[id] == nil {
					ids = append(ids, id)
				}
				what[id] = append(what[id], code)
			}
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	var out []Fault
	err := s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		people, err := holders(ctx, tx, ids)
		if err != nil {
			return err
		}
		all, err := s.credentialsOf(ctx, tx, tx.Now(), people...)
		if err != nil {
			return err
		}
		for _, id := range ids {
			for _, person := range people {
				if f, ok := faultOf(all[person], id); ok {
					for _, code := range what[id] {
						f.Code, f.What = code, code[strings.LastIndexByte(code, ':')+1:]
						out = append(out, f)
					}
				}
			}
		}
		return nil
	})
	return out, err
}

// faultOf finds a credential among those of a person, over all versions that count.
func faultOf(held *Credentials, id string) (f Fault, ok bool) {
	if held == nil {
		return f, false
	}
	for _, h := range held.List {
		if h.ID != id {
			continue
		}
		if !ok {
			f = Fault{Credential: CredentialID(h.ID), Person: held.Person, Kind: h.Kind, Issuer: h.Issuer, Number: h.Number,
				Jurisdiction: h.Jurisdiction, ValidFrom: h.ValidFrom, ValidTo: h.ValidTo}
			ok = true
		}
		if h.ValidTo.IsZero() || !f.ValidTo.IsZero() && h.ValidTo.ends(nil, false).After(f.ValidTo.ends(nil, false)) {
			f.ValidTo = h.ValidTo
		}
		if h.ValidFrom.begins(nil, false).After(f.ValidFrom.begins(nil, false)) {
			f.ValidFrom = h.ValidFrom
		}
		if n := len(h.Status); n > 0 {
			f.Since = h.Status[n-1].From
		}
		if h.Verified != nil && h.Verified.NextDue.After(f.NextDue) {
			f.NextDue = h.Verified.NextDue
		}
	}
	return f, ok
}

func holders(ctx context.Context, tx *audit.Tx, ids []string) ([]identity.PersonID, error) {
	rows, err := tx.Query(ctx, `
		select distinct person_id
		from credential
		where id = any(@ids::uuid[])`, pgx.StrictNamedArgs{"ids": ids})
	if err != nil {
		return nil, mapped("read holders", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[identity.PersonID])
	return out, mapped("read holders", err)
}

// Grounds are the credentials among the facts that the answer rests on: those of the
// person it is about, then the local physician's licenses of the place. Each with the
// version of its claim and its verification, which names the hash of the evidence.
func (d Determination) Grounds() ([]Held, error) {
	var f facts
	if err := json.NewDecoder(bytes.NewReader(d.Facts)).Decode(&f); err != nil {
		return nil, fmt.Errorf("facts of determination %s: %w", d.ID, err)
	}
	out := f.Specialist.List
	if f.Question.Local != nil {
		out = append(out, f.Question.Local.Licenses...)
	}
	return out, nil
}
