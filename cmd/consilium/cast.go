package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
)

// cast is who the demonstration's people and organizations became in the database.
// It is kept beside the data, so that later starts know them again.
type cast struct {
	Day           time.Time                          `json:"day"` // D: the first start
	Organizations map[string]identity.OrganizationID `json:"organizations"`
	People        map[string]identity.PersonID       `json:"people"`
	// Credentials are those verified by the seed, by number.
	Credentials map[string]credentialing.CredentialID `json:"credentials"`
	// Verified is when the last of them was verified.
	Verified time.Time `json:"verified"`

	file *castFile // where they come from
}

const castKept = "cast.json"

// seed brings the cast onto the stage: everything on the first start, and on every
// start what would go stale with time. All of it goes through the ordinary
// commands.
func (a *app) seed(ctx context.Context, from *castFile) (*cast, error) {
	file := filepath.Join(a.cfg.Data, castKept)
	s := seeder{a: a, file: from, cast: &cast{}, actors: map[string]identity.Actor{}}
	defer s.signOut(ctx)
	raw, err := os.ReadFile(file)
	switch {
	case err == nil:
		if err := json.Unmarshal(raw, s.cast); err != nil {
			return nil, fmt.Errorf("cast: %w", err)
		}
		if err := s.known(); err != nil {
			return nil, err
		}
		if err := s.every(ctx); err != nil {
			return nil, fmt.Errorf("cast: %w", err)
		}
	case os.IsNotExist(err):
		*s.cast = cast{Day: a.db.Now(), Verified: a.db.Now(), Organizations: map[string]identity.OrganizationID{},
			People: map[string]identity.PersonID{}, Credentials: map[string]credentialing.CredentialID{}}
		if err := s.first(ctx); err != nil {
			return nil, fmt.Errorf("cast: %w", err)
		}
	default:
		return nil, fmt.Errorf("cast: %w", err)
	}
	if raw, err = json.Marshal(s.cast); err != nil {
		return nil, err
	}
	if err := os.WriteFile(file+".new", raw, 0o600); err != nil {
		return nil, err
	}
	s.cast.file = from
	return s.cast, os.Rename(file+".new", file)
}

// known tells whether everybody of the file is in the data already.
func (s *seeder) known() error {
	for _, p := range s.file.People {
		if _, ok := s.cast.People[p.Key]; !ok {
			return fmt.Errorf("cast: %s holds another cast; --reset begins anew", s.a.cfg.Data)
		}
	}
	return nil
}

type seeder struct {
	a      *app
	file   *castFile
	cast   *cast
	actors map[string]identity.Actor // signed in, by key
}

// as signs a person of the cast in, once, and returns the actor.
func (s *seeder) as(ctx context.Context, key string) (identity.Actor, error) {
	if actor, ok := s.actors[key]; ok {
		return actor, nil
	}
	token, err := s.a.identity.SignInDemo(ctx, s.cast.People[key])
	if err != nil {
		return identity.Actor{}, fmt.Errorf("sign in %s: %w", key, err)
	}
	actor, _, err := s.a.identity.Authenticate(ctx, token)
	if err != nil {
		return identity.Actor{}, fmt.Errorf("sign in %s: %w", key, err)
	}
	s.actors[key] = actor
	return actor, nil
}

func (s *seeder) signOut(ctx context.Context) {
	for key, actor := range s.actors {
		if err := s.a.identity.SignOut(ctx, actor); err != nil {
			s.a.log.WarnContext(ctx, "cast: sign out", "who", key, "error", err)
		}
	}
}

// first makes what is made once. Cases belong to the standing cast alone.
func (s *seeder) first(ctx context.Context) error {
	steps := []func(context.Context) error{s.organizations, s.people, s.facilities, s.credentials, s.hours, s.checks}
	if s.file.standing {
		steps = append(steps, s.cases)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *seeder) organizations(ctx context.Context) error {
	for _, o := range s.file.Organizations {
		id, err := s.a.identity.AddOrganization(ctx, identity.System("seed", ""), identity.Organization{Name: o.Name, Kind: o.Kind, Zone: o.Zone, Place: o.Place})
		if err != nil {
			return fmt.Errorf("organization %s: %w", o.Key, err)
		}
		s.cast.Organizations[o.Key] = id
	}
	return nil
}

func (s *seeder) people(ctx context.Context) error {
	for _, p := range s.file.People {
		org := s.cast.Organizations[p.Organization]
		var grants []identity.Grant
		for _, r := range p.Roles {
			grants = append(grants, identity.Grant{Organization: org, Role: r})
		}
		id, err := s.a.identity.AddPerson(ctx, identity.System("seed", org), identity.Person{
			Name: p.Name, Title: p.Title, Language: p.Language, Languages: p.Languages, Zone: p.Zone,
			Home: p.Home, Specialty: p.Specialty, Email: p.Key + "@example.org", Gender: p.Gender,
		}, grants...)
		if err != nil {
			return fmt.Errorf("person %s: %w", p.Key, err)
		}
		s.cast.People[p.Key] = id
	}
	return nil
}

// facilities enters the hospitals' licenses and the agreements between institutions.
func (s *seeder) facilities(ctx context.Context) error {
	officer, err := s.as(ctx, s.file.Officers[0])
	if err != nil {
		return err
	}
	for i, o := range s.file.Organizations {
		if !o.Telehealth {
			continue
		}
		if _, err := s.a.credentialing.AddFacilityLicense(ctx, officer, credentialing.FacilityLicense{
			Organization: s.cast.Organizations[o.Key], Jurisdiction: o.Place, Issuer: "DEMO", Number: fmt.Sprintf("DEMO-FL-%04d", i+1),
			ValidFrom: s.cast.Day.AddDate(-1, 0, 0), ValidTo: s.cast.Day.AddDate(2, 0, 0),
		}); err != nil {
			return fmt.Errorf("facility license of %s: %w", o.Key, err)
		}
	}
	for _, g := range s.file.Agreements {
		if _, err := s.a.credentialing.AddAgreement(ctx, officer, credentialing.Agreement{
			From: s.cast.Organizations[g.From], To: s.cast.Organizations[g.To], Ground: "standard-contract",
			DataClasses: []string{"history", "labs", "images", "video"}, ValidFrom: s.cast.Day.AddDate(-1, 0, 0), ValidTo: s.cast.Day.AddDate(2, 0, 0),
		}); err != nil {
			return fmt.Errorf("agreement of %s and %s: %w", g.From, g.To, err)
		}
	}
	return nil
}

func (s *seeder) date(d castDay) credentialing.Moment {
	y, m, day := d.on(s.cast.Day).Date()
	return credentialing.Date(y, m, day)
}

// credentials enters each claim, and has the officers verify and approve those
// that are not left waiting.
func (s *seeder) credentials(ctx context.Context) error {
	for _, c := range s.file.Credentials {
		if err := s.credential(ctx, c); err != nil {
			return fmt.Errorf("credential %s: %w", c.Number, err)
		}
	}
	return nil
}

func (s *seeder) credential(ctx context.Context, c castCredential) error {
	verifier, err := s.as(ctx, s.file.Officers[0])
	if err != nil {
		return err
	}
	claim := credentialing.Claim{Type: c.Type, ValidFrom: s.date(c.From), ValidTo: s.date(c.To), Territories: c.Territories,
		Activities: c.Activities, Specialties: c.Specialties}
	if c.Facility != "" {
		claim.Facility = string(s.cast.Organizations[c.Facility])
	}
	switch c.Kind {
	case credentialing.KindMalpractice:
		claim.Currency, claim.PerClaim, claim.Aggregate = "USD", 1_000_000, 3_000_000 // whole units
	case credentialing.KindInterpreter:
		claim.Pair, claim.Modes = c.Pair, []string{"simultaneous", "consecutive"}
	}
	entered, err := s.a.credentialing.EnterClaim(ctx, verifier, credentialing.ClaimRequest{
		Person: s.cast.People[c.Person], Kind: c.Kind, Issuer: c.Issuer, Number: c.Number, Jurisdiction: c.Place, Claim: claim,
	})
	if err != nil {
		return err
	}
	evidence, err := s.evidence(ctx, entered.Credential, c)
	if err != nil || c.Waiting {
		return err
	}
	if err := s.verify(ctx, entered.Credential, c.method(), c.Issuer, evidence); err != nil {
		return err
	}
	s.cast.Credentials[c.Number] = entered.Credential
	if !c.Suspended.set {
		return nil
	}
	_, err = s.a.credentialing.ReportStatus(ctx, verifier, credentialing.StatusReport{
		Credential: entered.Credential, Status: credentialing.StatusSuspended, From: c.Suspended.on(s.cast.Day), Source: c.Issuer,
	})
	return err
}

// evidence attaches what the invented register shows.
func (s *seeder) evidence(ctx context.Context, id credentialing.CredentialID, c castCredential) ([32]byte, error) {
	verifier, err := s.as(ctx, s.file.Officers[0])
	if err != nil {
		return [32]byte{}, err
	}
	return s.a.credentialing.AttachEvidence(ctx, verifier, id, credentialing.EvidenceFile{
		Bytes: fmt.Appendf(nil, "Demonstration evidence of %s.\nIssuer: %s\nNumber: %s\nInvented: there is no such register.\n",
			s.a.db.Now().Format(time.DateOnly), c.Issuer, c.Number),
		Source: c.Issuer,
	})
}

// verify has the first officer record the source's answer and the second approve it.
func (s *seeder) verify(ctx context.Context, id credentialing.CredentialID, method, source string, evidence [32]byte) error {
	verifier, err := s.as(ctx, s.file.Officers[0])
	if err != nil {
		return err
	}
	approver, err := s.as(ctx, s.file.Officers[1])
	if err != nil {
		return err
	}
	verification, err := s.a.credentialing.Verify(ctx, verifier, credentialing.VerifyRequest{
		Credential: id, Method: method, Source: source, Result: credentialing.ResultFound, Evidence: evidence,
	})
	if err != nil {
		return err
	}
	return s.a.credentialing.Approve(ctx, approver, verification)
}

// hours publishes when the people of the cast work.
func (s *seeder) hours(ctx context.Context) error {
	for _, p := range s.file.People {
		if p.Hours == nil && !p.OnCall {
			continue
		}
		if err := s.setHours(ctx, p); err != nil {
			return fmt.Errorf("hours of %s: %w", p.Key, err)
		}
	}
	return nil
}

func (s *seeder) setHours(ctx context.Context, p castPerson) error {
	actor, err := s.as(ctx, p.Key)
	if err != nil {
		return err
	}
	a, err := s.a.scheduling.AvailabilityOf(ctx, actor, actor.Person)
	if err != nil {
		return err
	}
	a.Zone = p.Zone
	a.Rules = nil
	if p.Hours != nil {
		a.Rules = append(a.Rules, p.Hours...)
	} else {
		a.Rules = scheduling.PatientHours(p.Zone).Rules
	}
	if p.OnCall { // all day for the 7 days from this start on
		loc, err := scheduling.LoadZone(p.Zone)
		if err != nil {
			return err
		}
		today := scheduling.WallAt(loc, s.a.db.Now()).Date
		call := scheduling.Rule{Freq: scheduling.OnDates, Start: 0, End: 24 * 60}
		for i := range 8 {
			call.Dates = append(call.Dates, today+scheduling.Date(i))
		}
		a.Rules = append(a.Rules, call)
	}
	a.MinNotice = 0
	_, err = s.a.scheduling.SetAvailability(ctx, actor, actor.Person, a)
	return err
}

// verifiedAgain is after which time the seed has what it verified verified again,
// well within the year that a verification counts.
const verifiedAgain = 300 * 24 * time.Hour

// every renews what goes stale: checks of exclusion lists, re-verifications, and the
// hours on call.
func (s *seeder) every(ctx context.Context) error {
	if err := s.checks(ctx); err != nil {
		return err
	}
	if now := s.a.db.Now(); now.Sub(s.cast.Verified) > verifiedAgain {
		for _, c := range s.file.Credentials {
			id, ok := s.cast.Credentials[c.Number]
			if !ok || c.Suspended.set {
				continue
			}
			evidence, err := s.evidence(ctx, id, c)
			if err != nil {
				return fmt.Errorf("evidence of %s: %w", c.Number, err)
			}
			if err := s.verify(ctx, id, c.method(), c.Issuer, evidence); err != nil {
				return fmt.Errorf("verify %s again: %w", c.Number, err)
			}
		}
		s.cast.Verified = now
	}
	for _, p := range s.file.People {
		if p.OnCall {
			if err := s.setHours(ctx, p); err != nil {
				return fmt.Errorf("hours of %s: %w", p.Key, err)
			}
		}
	}
	return nil
}

// checks looks into the exclusion lists for everybody who practises.
func (s *seeder) checks(ctx context.Context) error {
	officer, err := s.as(ctx, s.file.Officers[0])
	if err != nil {
		return err
	}
	for _, p := range s.file.People {
		if p.Key == s.file.Officers[0] || p.patient() {
			continue
		}
		if err := s.a.credentialing.CheckExclusions(ctx, officer, credentialing.ExclusionCheck{
			Person: s.cast.People[p.Key], Lists: s.file.ExclusionLists, ListVersion: s.a.db.Now().Format(time.DateOnly),
		}); err != nil {
			return fmt.Errorf("exclusion check of %s: %w", p.Key, err)
		}
	}
	return nil
}
