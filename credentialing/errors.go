package credentialing

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var (
	// ErrNotFound means that there is no such credential, verification, match or
	// person, or none that the actor may know of.
	ErrNotFound = errors.New("credentialing: not found")
	// ErrForbidden means that the actor may see it but not do this.
	ErrForbidden = errors.New("credentialing: not allowed")
	// ErrSamePerson means that a second person is needed: nobody verifies or approves
	// what is their own, and nobody approves what they verified.
	ErrSamePerson = errors.New("credentialing: another person is needed")
	// ErrEvidenceMissing means that an approval has no evidence of what the source
	// showed.
	ErrEvidenceMissing = errors.New("credentialing: no evidence on file")
	// ErrEvidenceType means that a file is of a kind that is not accepted, or empty,
	// or too large.
	ErrEvidenceType = errors.New("credentialing: evidence of this kind or size is not accepted")
	// ErrAnswerOld means that the source's answer is too old to decide by.
	ErrAnswerOld = errors.New("credentialing: the source's answer is too old")
	// ErrNotThisState means that the verification's state does not allow the command.
	ErrNotThisState = errors.New("credentialing: not in this state")
	// ErrStale means that what is to be changed was changed since it was read.
	ErrStale = errors.New("credentialing: changed since it was read")
	// ErrHeldByAnother means that a license of that number is on file for somebody
	// else.
	ErrHeldByAnother = errors.New("credentialing: the license is on file for another person")
	// ErrExists means that the same thing is on file already.
	ErrExists = errors.New("credentialing: already on file")
	// ErrInvalid means that a request lacks something or contradicts itself. The
	// error returned is an *Invalid that names the field.
	ErrInvalid = errors.New("credentialing: invalid request")
	// ErrEditionImmutable means that a pack's version is published with other content.
	ErrEditionImmutable = errors.New("credentialing: a published edition does not change")
	// ErrUnconfirmed means that a pack has rules that nobody here has confirmed.
	ErrUnconfirmed = errors.New("credentialing: the pack has rules that nobody has confirmed")
	// ErrFirstAnswer means that somebody tried to change a source's first answer.
	ErrFirstAnswer = errors.New("credentialing: the first answer of a source does not change")
)

// Invalid names the field of a request that is wrong, and why where there is more to
// say than that: one of [RowReasons], as for a row of a file. "" is no more.
type Invalid struct{ Field, Reason string }

func (e *Invalid) Error() string {
	if e.Reason != "" {
		return "credentialing: invalid " + e.Field + ": " + e.Reason
	}
	return "credentialing: invalid " + e.Field
}

// Is makes an *Invalid an ErrInvalid.
func (e *Invalid) Is(target error) bool { return target == ErrInvalid }

// constraints are the room's errors by the names of the database's constraints.
var constraints = map[string]error{
	"credential_license_holder_unique":  ErrHeldByAnother,
	"credential_number_unique":          ErrExists,
	"credential_status_two_persons":     ErrSamePerson,
	"credential_status_not_by_subject":  ErrSamePerson,
	"credential_status_superseded_once": ErrStale,
	"credential_claim_one_known":        ErrStale,
	"verification_not_by_subject":       ErrSamePerson,
	"verification_two_persons":          ErrSamePerson,
	"verification_approved_complete":    ErrEvidenceMissing,
	"verification_approved_found":       ErrNotThisState,
	"verification_one_known":            ErrStale,
	"verification_first_result_kept":    ErrFirstAnswer,
	"verification_claim_true":           ErrNotFound,
	"exclusion_decision_two_persons":    ErrSamePerson,
	"exclusion_decision_not_by_subject": ErrSamePerson,
	"exclusion_once":                    ErrExists,
	"agreement_no_overlap":              ErrExists,
	"facility_license_one_known":        ErrExists,
	"pack_edition_pk":                   ErrEditionImmutable,
	"registry_application_once":         ErrExists,
	"proxy_review_once":                 ErrExists,
	"proxy_review_not_by_subject":       ErrSamePerson,
	"credential_person_id_fkey":         ErrNotFound,
	"exclusion_person_id_fkey":          ErrNotFound,
	"exclusion_check_person_id_fkey":    ErrNotFound,
	"attestation_person_id_fkey":        ErrNotFound,
}

// mapped turns what the database says into the room's errors.
func mapped(doing string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("%s: %w", doing, ErrNotFound)
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		if pg.Code == "22P02" { // an id that is none: nobody has a thing of that name
			return fmt.Errorf("%s: %w", doing, ErrNotFound)
		}
		if ours, ok := constraints[pg.ConstraintName]; ok {
			return fmt.Errorf("%s: %w (%s)", doing, ours, pg.ConstraintName)
		}
	}
	return fmt.Errorf("%s: %w", doing, err)
}
