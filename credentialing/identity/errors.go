package identity

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

var (
	// ErrNoLogin means that a token opens nothing: never issued, ended, idle too
	// long, past its limit, or its person disabled. It does not say which.
	ErrNoLogin = errors.New("identity: no login")
	// ErrNotFound means that there is no such person, organization, grant or key, or
	// none that the actor may know of.
	ErrNotFound = errors.New("identity: not found")
	// ErrForbidden means that the actor may not do this.
	ErrForbidden = errors.New("identity: forbidden")
	// ErrAssertion means that an answer of an authenticator does not verify.
	ErrAssertion = errors.New("identity: assertion does not verify")
	// ErrChallenge means that a ceremony is unknown, expired, used or another's.
	ErrChallenge = errors.New("identity: challenge expired or used")
	// ErrNoPasskey means that the person has no passkey yet: the page offers to make one.
	ErrNoPasskey = errors.New("identity: no passkey")
	// ErrExists means that the person, organization or key is there already.
	ErrExists = errors.New("identity: exists already")
	// ErrGrantOverlaps means that the person holds that role there at that time already.
	ErrGrantOverlaps = errors.New("identity: role held already")
	// ErrStepUp means that the act needs an assertion of the last minutes.
	ErrStepUp = errors.New("identity: step-up needed")
)

// Invalid says which field of what was given cannot be: "zone", "language", "name", "phone".
type Invalid struct{ Field string }

func (i *Invalid) Error() string { return "identity: invalid " + i.Field }

// constraints maps the schema's names to what callers act on.
var constraints = map[string]error{
	"person_pkey":                     ErrExists,
	"organization_pkey":               ErrExists,
	"passkey_pkey":                    ErrExists,
	"role_grant_no_overlap":           ErrGrantOverlaps,
	"role_grant_organization_id_fkey": ErrNotFound,
	"role_grant_person_id_fkey":       ErrNotFound,
	"login_person_id_fkey":            ErrNotFound,
	"login_organization_id_fkey":      ErrNotFound,
	"role_grant_organization_needed":  &Invalid{"organization"},
	"role_grant_span":                 &Invalid{"until"},
	"role_grant_role_known":           &Invalid{"role"},
	"organization_kind_known":         &Invalid{"kind"},
	"organization_name_present":       &Invalid{"name"},
	"organization_place_code":         &Invalid{"place"},
	"person_name_present":             &Invalid{"name"},
	"person_home_code":                &Invalid{"home"},
	"person_language_tag":             &Invalid{"language"},
	"person_languages_tags":           &Invalid{"languages"},
}

func mapped(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		if known, ok := constraints[pg.ConstraintName]; ok {
			return known
		}
	}
	return err
}
