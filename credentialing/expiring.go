package credentialing

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// reminderDays are how long before the end of a credential its holder is told (NCQA's
// 90, 60, 30 days, and a week).
var reminderDays = []int{90, 60, 30, 7}

// Ending is a credential that counts now and ends soon, without a renewal on file.
type Ending struct {
	Credential   CredentialID
	Person       identity.PersonID
	Kind         Kind
	Jurisdiction string
	Number       string
	Ends         time.Time
	Within       int // 90, 60, 30 or 7 days
}

// Expiring lists what ends within 90 days, the next end first, for officers.
func (s *Service) Expiring(ctx context.Context, actor identity.Actor) (out []Ending, err error) {
	if !officer(actor) {
		return nil, ErrForbidden
	}
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		out, err = s.endings(ctx, tx)
		return err
	})
	return out, err
}

func (s *Service) endings(ctx context.Context, tx *audit.Tx) ([]Ending, error) {
	people, err := selectPeopleOnFile(ctx, tx)
	if err != nil {
		return nil, err
	}
	all, err := s.credentialsOf(ctx, tx, tx.Now(), people...)
	if err != nil {
		return nil, err
	}
	var out []Ending
	for person, c := range all {
		for _, e := range endingOf(s.Rules(), c.List, tx.Now()) {
			e.Person = person
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b Ending) int {
		if c := a.Ends.Compare(b.Ends); c != 0 {
			return c
		}
		return compare(string(a.Credential), string(b.Credential))
	})
	return out, nil
}

// endingOf is a function of values. A verified period that ends later is a renewal.
func endingOf(rules *RuleSet, list []Held, now time.Time) (out []Ending) {
	for _, h := range list {
		st := rules.StandingOf(h, now)
		if !st.Usable || st.Ends.IsZero() || st.Ends.Sub(now) > 90*day {
			continue
		}
		if slices.ContainsFunc(list, func(o Held) bool {
			if o.ID != h.ID || o.Version == h.Version || o.Verified == nil {
				return false
			}
			ends := rules.StandingOf(o, now).Ends
			return ends.IsZero() || ends.After(st.Ends)
		}) {
			continue
		}
		e := Ending{Credential: CredentialID(h.ID), Kind: h.Kind, Jurisdiction: h.Jurisdiction, Number: h.Number, Ends: st.Ends}
		for _, days := range reminderDays {
			if st.Ends.Sub(now) <= time.Duration(days)*day {
				e.Within = days
			}
		}
		out = append(out, e)
	}
	return out
}

// RemindExpiring tells the holders of what ends soon, once at each of 90, 60, 30 and
// 7 days, and returns how many were told. Called again it tells nobody twice.
func (s *Service) RemindExpiring(ctx context.Context) (told int, err error) {
	actor := identity.System("expiring", "")
	err = s.db.Write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		told = 0
		list, err := s.endings(ctx, tx)
		if err != nil {
			return err
		}
		for _, e := range list {
			tag, err := tx.Exec(ctx, `
				insert into credential_reminder (credential_id, ends_at, days, told_at)
				values (@credential, @ends, @days, @now)
				on conflict on constraint credential_reminder_once do nothing`,
				pgx.StrictNamedArgs{"credential": string(e.Credential), "ends": e.Ends, "days": e.Within, "now": tx.Now()})
			if err != nil {
				return mapped("remember a reminder", err)
			}
			if tag.RowsAffected() == 0 {
				continue
			}
			told++
			ev := actor.Event("credential.expiring")
			ev.Objects = map[string]string{"credential": string(e.Credential), "person": string(e.Person)}
			ev.Reason = "within-" + strconv.Itoa(e.Within)
			ev.Tell = []string{string(e.Person)}
			tx.Append(ev)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("remind of what ends soon: %w", err)
	}
	return told, nil
}
