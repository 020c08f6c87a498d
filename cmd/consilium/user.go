package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/deploy/localpg"
)

// operator is who acts by this command in the log.
var operator = identity.System("operator", "")

// runUser is how the first people come in, before anybody can sign in: it adds a
// person with a role at an organization and prints the link at which they make
// their first passkey.
func runUser(ctx context.Context, e environment, args []string) error {
	f := flags("user")
	name := f.String("name", "", "as shown, such as \"Dr Amina Otieno\"")
	email := f.String("email", "", "where invitations go; names the person for invite")
	role := f.String("role", "", "local_physician, specialist, interpreter, coordinator, credentialing_officer or administrator")
	organization := f.String("organization", "", "its name; made when there is none of that name")
	kind := f.String("kind", "hospital", "of a new organization: hospital, specialist-center or interpreter-agency")
	place := f.String("place", "", "of a new organization: ISO 3166 code, such as KE or CA-ON")
	zone := f.String("zone", "", "IANA time zone, such as Africa/Nairobi")
	language := f.String("language", "en", "of the pages and mail: en, fr or ar")
	languages := f.String("languages", "", "the person works in, best first, such as en,sw; default: --language")
	specialty := f.String("specialty", "", "of a specialist, such as cardiology")
	home := f.String("home", "", "ISO 3166 code of the place where a clinician is established; default: the organization's")
	rest, err := parse(e, f, args)
	if err != nil {
		return err
	}
	if len(rest) != 1 || rest[0] != "add" && rest[0] != "invite" {
		f.Usage()
		return errUsage
	}
	c, err := load(false, e.getenv)
	if err != nil {
		return err
	}
	if c.Origin == "" {
		return errors.New("CONSILIUM_ORIGIN is not set: the address people type, such as https://consult.example.org")
	}
	db, done, err := openRunning(ctx, c)
	if err != nil {
		return err
	}
	defer done()
	people, err := identity.New(identity.Config{DB: db, RPID: c.rpID(), RPName: "Consilium", Origins: []string{c.Origin}})
	if err != nil {
		return err
	}
	var id identity.PersonID
	if rest[0] == "invite" {
		id, err = personByEmail(ctx, db, *email)
	} else {
		if *home == "" {
			*home = *place
		}
		if *languages == "" {
			*languages = *language
		}
		p := identity.Person{Name: *name, Title: *role, Email: *email, Zone: *zone, Language: *language, Languages: strings.Split(*languages, ","), Home: *home, Specialty: *specialty}
		id, err = addPerson(ctx, people, p, identity.Role(*role), identity.Organization{Name: *organization, Kind: *kind, Place: *place, Zone: *zone})
	}
	if err != nil {
		return err
	}
	token, err := people.Invite(ctx, operator, id)
	if errors.Is(err, identity.ErrForbidden) {
		return errors.New("user: this person has a passkey already")
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "person  %s\nlink    %s/enroll/%s\n        (72 hours; whoever opens it makes the person's first passkey)\n", id, c.Origin, token)
	return nil
}

// addPerson adds a person and, when there is none of its name, the organization.
func addPerson(ctx context.Context, people *identity.Service, p identity.Person, role identity.Role, o identity.Organization) (identity.PersonID, error) {
	if p.Name == "" || p.Email == "" || role == "" || o.Name == "" || p.Zone == "" {
		return "", errors.New("user: --name, --email, --role, --organization and --zone are needed")
	}
	all, err := people.Organizations(ctx)
	if err != nil {
		return "", err
	}
	var org identity.OrganizationID
	for _, known := range all {
		if strings.EqualFold(known.Name, o.Name) {
			org = known.ID
		}
	}
	if org == "" {
		if o.Place == "" {
			return "", fmt.Errorf("user: there is no organization %q; to make it, give its --place", o.Name)
		}
		if org, err = people.AddOrganization(ctx, operator, o); err != nil {
			return "", err
		}
	}
	return people.AddPerson(ctx, operator, p, identity.Grant{Organization: org, Role: role})
}

func personByEmail(ctx context.Context, db *audit.DB, email string) (id identity.PersonID, err error) {
	if email == "" {
		return "", errors.New("user: --email is needed")
	}
	err = db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		rows, err := tx.Query(ctx, `select id from person where lower(email) = lower($1) and not disabled`, email)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if id != "" {
				return fmt.Errorf("user: several people have the address %s", email)
			}
			if err := rows.Scan(&id); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	if err == nil && id == "" {
		err = fmt.Errorf("user: nobody has the address %s", email)
	}
	return id, err
}

// openRunning opens the database of the service: the named one, or the private one
// of the service that runs now.
func openRunning(ctx context.Context, c config) (db *audit.DB, done func(), err error) {
	url := c.DatabaseURL
	if url == "" {
		base := filepath.Join(c.Data, "database")
		cluster, err := localpg.Attach(base)
		if errors.Is(err, localpg.ErrNotRunning) {
			return nil, nil, fmt.Errorf("the service does not run: start consilium serve first (its data would be in %s)", c.Data)
		}
		if err != nil {
			return nil, nil, err
		}
		url = cluster.AppURL()
	}
	if err := checkDatabase(ctx, url); err != nil {
		return nil, nil, fmt.Errorf("database: %w", err)
	}
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, nil, fmt.Errorf("database: %w", err)
	}
	if err := c.besideClock(); err != nil {
		pool.Close()
		return nil, nil, err
	}
	return audit.New(audit.Config{Pool: pool, Clock: c.now}), pool.Close, nil
}
