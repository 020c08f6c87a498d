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
}

const castFile = "cast.json"

// seed brings the cast onto the stage: everything on the first start, and on every
// start what would go stale with time. All of it goes through the ordinary
// commands.
func (a *app) seed(ctx context.Context) (*cast, error) {
	file := filepath.Join(a.cfg.Data, castFile)
	s := seeder{a: a, cast: &cast{}, actors: map[string]identity.Actor{}}
	defer s.signOut(ctx)
	raw, err := os.ReadFile(file)
	switch {
	case err == nil:
		if err := json.Unmarshal(raw, s.cast); err != nil {
			return nil, fmt.Errorf("cast: %w", err)
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
	return s.cast, os.Rename(file+".new", file)
}

type seeder struct {
	a      *app
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

// first makes what is made once.
func (s *seeder) first(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		s.organizations, s.people, s.facilities, s.credentials, s.hours, s.checks, s.cases,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *seeder) organizations(ctx context.Context) error {
	for _, o := range castOrganizations {
		id, err := s.a.identity.AddOrganization(ctx, identity.System("seed", ""), identity.Organization{Name: o.name, Kind: o.kind, Zone: o.zone, Place: o.place})
		if err != nil {
			return fmt.Errorf("organization %s: %w", o.key, err)
		}
		s.cast.Organizations[o.key] = id
	}
	return nil
}

func (s *seeder) people(ctx context.Context) error {
	for _, p := range castPeople {
		org := s.cast.Organizations[p.org]
		var grants []identity.Grant
		for _, r := range p.roles {
			grants = append(grants, identity.Grant{Organization: org, Role: r})
		}
		id, err := s.a.identity.AddPerson(ctx, identity.System("seed", org), identity.Person{
			Name: p.name, Title: p.title, Language: p.language, Languages: p.languages, Zone: p.zone,
			Home: p.home, Specialty: p.specialty, Email: p.key + "@example.org",
		}, grants...)
		if err != nil {
			return fmt.Errorf("person %s: %w", p.key, err)
		}
		s.cast.People[p.key] = id
	}
	return nil
}

// facilities enters the hospitals' licenses and the agreements between institutions.
func (s *seeder) facilities(ctx context.Context) error {
	officer, err := s.as(ctx, "wanjiru")
	if err != nil {
		return err
	}
	for i, o := range castOrganizations {
		if !o.telehealth {
			continue
		}
		if _, err := s.a.credentialing.AddFacilityLicense(ctx, officer, credentialing.FacilityLicense{
			Organization: s.cast.Organizations[o.key], Jurisdiction: o.place, Issuer: "DEMO", Number: fmt.Sprintf("DEMO-FL-%04d", i+1),
			ValidFrom: s.day(-year), ValidTo: s.day(2 * year),
		}); err != nil {
			return fmt.Errorf("facility license of %s: %w", o.key, err)
		}
	}
	for _, g := range castAgreements {
		if _, err := s.a.credentialing.AddAgreement(ctx, officer, credentialing.Agreement{
			From: s.cast.Organizations[g.from], To: s.cast.Organizations[g.to], Ground: "standard-contract",
			DataClasses: []string{"history", "labs", "images", "video"}, ValidFrom: s.day(-year), ValidTo: s.day(2 * year),
		}); err != nil {
			return fmt.Errorf("agreement of %s and %s: %w", g.from, g.to, err)
		}
	}
	return nil
}

func (s *seeder) day(n int) time.Time { return s.cast.Day.AddDate(0, 0, n) }

func (s *seeder) date(n int) credentialing.Moment {
	y, m, d := s.day(n).Date()
	return credentialing.Date(y, m, d)
}

// credentials enters each claim, and has Wanjiru verify and Kiptoo approve those
// that are not left waiting.
func (s *seeder) credentials(ctx context.Context) error {
	for _, c := range castCredentials {
		if err := s.credential(ctx, c); err != nil {
			return fmt.Errorf("credential %s: %w", c.number, err)
		}
	}
	return nil
}

func (s *seeder) credential(ctx context.Context, c castCredential) error {
	verifier, err := s.as(ctx, "wanjiru")
	if err != nil {
		return err
	}
	claim := credentialing.Claim{Type: c.typ, ValidFrom: s.date(c.from), ValidTo: s.date(c.to), Territories: c.territories}
	for _, act := range c.activities {
		claim.Activities = append(claim.Activities, credentialing.Activity(act))
	}
	if c.facility != "" {
		claim.Facility = string(s.cast.Organizations[c.facility])
	}
	kind := credentialing.Kind(c.kind)
	switch kind {
	case credentialing.KindMalpractice:
		claim.Currency, claim.PerClaim, claim.Aggregate = "USD", 1_000_000_00, 3_000_000_00
	case credentialing.KindInterpreter:
		claim.Pair, claim.Modes = []string{c.pair[0], c.pair[1]}, []string{"simultaneous", "consecutive"}
	}
	entered, err := s.a.credentialing.EnterClaim(ctx, verifier, credentialing.ClaimRequest{
		Person: s.cast.People[c.person], Kind: kind, Issuer: c.issuer, Number: c.number, Jurisdiction: c.place, Claim: claim,
	})
	if err != nil {
		return err
	}
	evidence, err := s.evidence(ctx, entered.Credential, c)
	if err != nil || c.waiting {
		return err
	}
	if err := s.verify(ctx, entered.Credential, c.method(), c.issuer, evidence); err != nil {
		return err
	}
	s.cast.Credentials[c.number] = entered.Credential
	if c.suspended == 0 {
		return nil
	}
	_, err = s.a.credentialing.ReportStatus(ctx, verifier, credentialing.StatusReport{
		Credential: entered.Credential, Status: credentialing.StatusSuspended, From: s.day(c.suspended), Source: c.issuer,
	})
	return err
}

// evidence attaches what the invented register shows.
func (s *seeder) evidence(ctx context.Context, id credentialing.CredentialID, c castCredential) ([32]byte, error) {
	verifier, err := s.as(ctx, "wanjiru")
	if err != nil {
		return [32]byte{}, err
	}
	return s.a.credentialing.AttachEvidence(ctx, verifier, id, credentialing.EvidenceFile{
		Bytes: fmt.Appendf(nil, "Demonstration evidence of %s.\nIssuer: %s\nNumber: %s\nInvented: there is no such register.\n",
			s.a.db.Now().Format(time.DateOnly), c.issuer, c.number),
		Source: c.issuer,
	})
}

// verify has Wanjiru record the source's answer and Kiptoo approve it.
func (s *seeder) verify(ctx context.Context, id credentialing.CredentialID, method, source string, evidence [32]byte) error {
	verifier, err := s.as(ctx, "wanjiru")
	if err != nil {
		return err
	}
	approver, err := s.as(ctx, "kiptoo")
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
	for _, p := range castPeople {
		if p.days == nil && !p.onCall {
			continue
		}
		if err := s.setHours(ctx, p); err != nil {
			return fmt.Errorf("hours of %s: %w", p.key, err)
		}
	}
	return nil
}

func (s *seeder) setHours(ctx context.Context, p castPerson) error {
	actor, err := s.as(ctx, p.key)
	if err != nil {
		return err
	}
	a, err := s.a.scheduling.AvailabilityOf(ctx, actor, actor.Person)
	if err != nil {
		return err
	}
	a.Zone = p.zone
	a.Rules = nil
	if p.days != nil {
		rule := scheduling.Rule{Freq: scheduling.Weekly}
		for _, d := range p.days {
			var w scheduling.Weekday
			if err := w.UnmarshalText([]byte(d)); err != nil {
				return err
			}
			rule.Days = append(rule.Days, w)
		}
		if rule.Start, err = scheduling.ParseMinute(p.from); err != nil {
			return err
		}
		if rule.End, err = scheduling.ParseMinute(p.to); err != nil {
			return err
		}
		a.Rules = append(a.Rules, rule)
	} else {
		a.Rules = append(a.Rules, scheduling.PatientHours(p.zone).Rules...)
	}
	if p.onCall { // all day for the 7 days from this start on
		loc, err := scheduling.LoadZone(p.zone)
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

// every renews what goes stale: checks of exclusion lists, re-verifications, and the
// hours on call.
func (s *seeder) every(ctx context.Context) error {
	if err := s.checks(ctx); err != nil {
		return err
	}
	if now := s.a.db.Now(); now.Sub(s.cast.Verified) > 24*time.Hour {
		for _, c := range castCredentials {
			id, ok := s.cast.Credentials[c.number]
			if !ok || c.suspended != 0 {
				continue
			}
			evidence, err := s.evidence(ctx, id, c)
			if err != nil {
				return fmt.Errorf("evidence of %s: %w", c.number, err)
			}
			if err := s.verify(ctx, id, c.method(), c.issuer, evidence); err != nil {
				return fmt.Errorf("verify %s again: %w", c.number, err)
			}
		}
		s.cast.Verified = now
	}
	for _, p := range castPeople {
		if p.onCall {
			if err := s.setHours(ctx, p); err != nil {
				return fmt.Errorf("hours of %s: %w", p.key, err)
			}
		}
	}
	return nil
}

// checks looks into the exclusion lists for everybody who practises.
func (s *seeder) checks(ctx context.Context) error {
	officer, err := s.as(ctx, "wanjiru")
	if err != nil {
		return err
	}
	for _, p := range castPeople {
		if p.key == "wanjiru" || p.key == "idris" {
			continue
		}
		if err := s.a.credentialing.CheckExclusions(ctx, officer, credentialing.ExclusionCheck{
			Person: s.cast.People[p.key], Lists: []string{"DEMO-LIST"}, ListVersion: s.a.db.Now().Format(time.DateOnly),
		}); err != nil {
			return fmt.Errorf("exclusion check of %s: %w", p.key, err)
		}
	}
	return nil
}
