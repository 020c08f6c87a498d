package credentialing

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// kindOwnPlace is the attestation that the regulator of where a person sits allows
// practising from there for patients elsewhere.
const kindOwnPlace = "own-place"

// ownPlaceYears is how long such a statement is good for: it is made once a year.
const ownPlaceYears = 1

// notCovered is what packs say of a specialist's own side: they describe the patient's.
const notCovered = "not-covered"

// OwnPlace tells what the packs in force say of practising from a place for patients
// elsewhere. They have no such side, so the answer is always "not-covered": the person's
// own statement stands in for it until somebody asks the regulator.
func OwnPlace(string) string { return notCovered }

// OwnPlaceState is one place from which a person works, as officers and the person see
// it. It proves nothing and no rule sees it (design credentialing §10).
type OwnPlaceState struct {
	Person   identity.PersonID
	Place    string
	Home     bool
	Covered  string    // what the packs say: "not-covered"
	SignedAt time.Time // of the last statement; zero: none
	Until    time.Time // how long it is good for; zero: none
	// License is a license of that place that counts now, or else the one that stands
	// nearest to it; "" if none is on file.
	License CredentialID
	// Fault is what stands against that license, as in [Standing.Reason]; "none" if there
	// is no license on file, "" if it is in good standing.
	Fault string
}

// Stated tells whether a statement is good at an instant.
func (o OwnPlaceState) Stated(at time.Time) bool { return !o.SignedAt.IsZero() && at.Before(o.Until) }

// InOrder tells whether nothing is missing: a statement of this year, and at home a
// license in good standing.
func (o OwnPlaceState) InOrder(at time.Time) bool { return o.Stated(at) && (!o.Home || o.Fault == "") }

// OwnPlaces are the places from which people work: home, and those that they made a
// statement about. Officers see everybody who holds a license or a registration,
// those with something missing first; others see their own.
func (s *Service) OwnPlaces(ctx context.Context, actor identity.Actor) (out []OwnPlaceState, err error) {
	if actor.Person == "" || actor.Guest() {
		return nil, ErrForbidden
	}
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		people := []identity.PersonID{actor.Person}
		if officer(actor) {
			if people, err = selectPeopleOnFile(ctx, tx); err != nil {
				return err
			}
			if !slices.Contains(people, actor.Person) {
				people = append(people, actor.Person)
			}
		}
		held, err := s.credentialsOf(ctx, tx, tx.Now(), people...)
		if err != nil {
			return err
		}
		signed, err := selectOwnPlaces(ctx, tx, people)
		if err != nil {
			return err
		}
		out = nil
		for id, c := range held {
			if relied(c.List) {
				out = append(out, ownPlacesOf(s.Rules(), *c, signed[id], tx.Now())...)
			}
		}
		now := tx.Now()
		slices.SortFunc(out, func(a, b OwnPlaceState) int {
			if x, y := a.InOrder(now), b.InOrder(now); x != y {
				if y {
					return -1
				}
				return 1
			}
			return compare(string(a.Person)+a.Place, string(b.Person)+b.Place)
		})
		return nil
	})
	return out, err
}

// ownPlacesOf is a function of values: signed are the last statements by place.
func ownPlacesOf(rules *RuleSet, c Credentials, signed map[string]time.Time, now time.Time) []OwnPlaceState {
	places := map[string]bool{}
	if c.Home != "" {
		places[c.Home] = true
	}
	for place := range signed {
		places[place] = true
	}
	var out []OwnPlaceState
	for place := range places {
		o := OwnPlaceState{Person: c.Person, Place: place, Home: place == c.Home, Covered: OwnPlace(place), Fault: "none"}
		if at, ok := signed[place]; ok {
			o.SignedAt, o.Until = at, at.AddDate(ownPlaceYears, 0, 0)
		}
		for _, h := range c.List {
			if h.Kind != KindLicense || h.Jurisdiction != place {
				continue
			}
			if st := rules.StandingOf(h, now); o.License == "" || st.Usable {
				o.License, o.Fault = CredentialID(h.ID), st.Reason
			}
		}
		out = append(out, o)
	}
	return out
}

// selectOwnPlaces are the last statements about own places, by person and place.
func selectOwnPlaces(ctx context.Context, tx *audit.Tx, people []identity.PersonID) (map[identity.PersonID]map[string]time.Time, error) {
	rows, err := tx.Query(ctx, `
		select person_id, place, max(signed_at)
		from attestation
		where person_id = any($1::uuid[]) and kind = 'own-place' and place is not null -- attestation_person
		group by person_id, place`, idStrings(people))
	if err != nil {
		return nil, mapped("read statements", err)
	}
	out := map[identity.PersonID]map[string]time.Time{}
	var person identity.PersonID
	var place string
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&person, &place, &at}, func() error {
		if out[person] == nil {
			out[person] = map[string]time.Time{}
		}
		out[person][place] = at.UTC()
		return nil
	})
	return out, mapped("read statements", err)
}
