package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
)

// castFile says who stands on the stage of a demonstration: `consilium demo` brings
// the standing cast of standing.json, `consilium demo --cast FILE` those of another
// file of this form. The seed does with the ordinary commands what people would do,
// in the order of the fields; what is not here is done in the pages.
//
// A day is a date, "2027-01-15", or counted from the first start: "D-60", "D+300".
// People and organizations are named by their key within the file.
type castFile struct {
	// Officers are two people with the role credentialing_officer: the first enters
	// each credential and asks its source, the second approves.
	Officers [2]string `json:"officers"`
	// ExclusionLists are looked into for everybody but patients and the first
	// officer, at each start.
	ExclusionLists []string           `json:"exclusion_lists"`
	Organizations  []castOrganization `json:"organizations"`
	People         []castPerson       `json:"people"`
	Credentials    []castCredential   `json:"credentials"`
	Agreements     []castAgreement    `json:"agreements"`

	// standing is set on the cast of the binary alone, which has cases too.
	standing bool
}

type castOrganization struct {
	Key        string `json:"key"`
	Name       string `json:"name"`
	Kind       string `json:"kind"` // hospital, specialist-center, interpreter-agency, authority
	Zone       string `json:"zone"`
	Place      string `json:"place"`
	Telehealth bool   `json:"telehealth"` // holds a facility license for telehealth
}

type castPerson struct {
	Key          string            `json:"key"`
	Name         string            `json:"name"`
	Title        string            `json:"title"` // shown under the name: a code such as "cardiologist", or free text
	Roles        []identity.Role   `json:"roles"`
	Organization string            `json:"organization"`
	Home         string            `json:"home"`      // ISO 3166 code of the place where a clinician is established
	Specialty    string            `json:"specialty"` // code, of a specialist
	Zone         string            `json:"zone"`
	Language     string            `json:"language"`  // of pages and mail
	Languages    []string          `json:"languages"` // worked in, best first
	Gender       identity.Gender   `json:"gender"`    // as stated: female, male or other; none is not stated
	Hours        []scheduling.Rule `json:"hours"`     // when they work; none: none of their own
	OnCall       bool              `json:"on_call"`   // all day, no notice, for the 7 days after each start
}

func (p castPerson) patient() bool { return slices.Contains(p.Roles, identity.RolePatient) }

// castCredential is a claim; unless waiting, it is verified and approved.
type castCredential struct {
	Person      string                   `json:"person"`
	Kind        credentialing.Kind       `json:"kind"`
	Issuer      string                   `json:"issuer"`
	Number      string                   `json:"number"`
	Place       string                   `json:"place"`
	Type        string                   `json:"type"`        // "temporary-licence"; level of a certificate
	Facility    string                   `json:"facility"`    // the organization named on it
	Activities  []credentialing.Activity `json:"activities"`  // none: all
	Specialties []string                 `json:"specialties"` // none: all
	Territories []string                 `json:"territories"` // liability cover
	Pair        []string                 `json:"pair"`        // of an interpreter: two languages
	From        castDay                  `json:"from"`
	To          castDay                  `json:"to"`
	Suspended   castDay                  `json:"suspended"` // the day from which it is; none: never
	Waiting     bool                     `json:"waiting"`   // entered with its evidence, verified by nobody yet
}

// method is how it is verified: liability cover by its certificate.
func (c castCredential) method() string {
	if c.Kind == credentialing.KindMalpractice {
		return "certificate"
	}
	return "primary-source"
}

// castAgreement lets records flow from one organization to another.
type castAgreement struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// castDay is a day of the file: a date, or days from the first start.
type castDay struct {
	date time.Time // zero: counted from the first start
	days int
	set  bool
}

// UnmarshalText reads "2027-01-15", "D-60" or "D+300".
func (d *castDay) UnmarshalText(text []byte) error {
	s := string(text)
	if n, ok := strings.CutPrefix(s, "D"); ok {
		days, err := strconv.Atoi(n)
		if err != nil || n[0] != '+' && n[0] != '-' {
			return fmt.Errorf("%q is not a day such as D-60 or D+300", s)
		}
		*d = castDay{days: days, set: true}
		return nil
	}
	date, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return fmt.Errorf("%q is neither a date such as 2027-01-15 nor a day such as D+300", s)
	}
	*d = castDay{date: date, set: true}
	return nil
}

// on is the day, at midnight UTC of a date, where the first start was at first.
func (d castDay) on(first time.Time) time.Time {
	if d.date.IsZero() {
		return first.AddDate(0, 0, d.days)
	}
	return d.date
}

//go:embed standing.json
var standingJSON []byte

// readCast reads the file of a cast; "" is the standing cast.
func readCast(file string) (*castFile, error) {
	raw := standingJSON
	if file != "" {
		var err error
		if raw, err = os.ReadFile(file); err != nil {
			return nil, fmt.Errorf("--cast: %w", err)
		}
	}
	c := &castFile{standing: file == ""}
	r := json.NewDecoder(bytes.NewReader(raw))
	r.DisallowUnknownFields()
	if err := r.Decode(c); err != nil {
		return nil, fmt.Errorf("--cast %s: %w", file, err)
	}
	if _, err := r.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("--cast %s: more than one object", file)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("--cast %s: %w", file, err)
	}
	return c, nil
}

// check says in one error which names are missing, twice, or of nobody. All else is
// refused by the commands themselves.
func (c *castFile) check() error {
	var problems []error
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	organizations, people, numbers := map[string]bool{}, map[string][]identity.Role{}, map[string]bool{}
	for _, o := range c.Organizations {
		if o.Key == "" || organizations[o.Key] {
			add("organization %q: a key of its own is needed", o.Key)
		}
		organizations[o.Key] = true
	}
	for _, p := range c.People {
		if _, twice := people[p.Key]; p.Key == "" || twice {
			add("person %q: a key of their own is needed", p.Key)
		}
		if !organizations[p.Organization] {
			add("person %q: there is no organization %q", p.Key, p.Organization)
		}
		people[p.Key] = p.Roles
	}
	for _, key := range c.Officers {
		if !slices.Contains(people[key], identity.RoleOfficer) {
			add("officers: %q is nobody with the role credentialing_officer", key)
		}
	}
	if c.Officers[0] == c.Officers[1] {
		add("officers: two people are needed")
	}
	for _, d := range c.Credentials {
		if _, ok := people[d.Person]; !ok {
			add("credential %s: there is nobody %q", d.Number, d.Person)
		}
		if d.Facility != "" && !organizations[d.Facility] {
			add("credential %s: there is no organization %q", d.Number, d.Facility)
		}
		if !d.From.set || !d.To.set {
			add("credential %s: from and to are needed", d.Number)
		}
		if numbers[d.Number] {
			add("credential %s: the number stands twice", d.Number)
		}
		numbers[d.Number] = true
	}
	for _, a := range c.Agreements {
		if !organizations[a.From] || !organizations[a.To] {
			add("agreement from %q to %q: there is no such organization", a.From, a.To)
		}
	}
	return errors.Join(problems...)
}
