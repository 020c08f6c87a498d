package credentialing

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// ImportID is a UUIDv7.
type ImportID string

// MaxImport is the largest registry file: 200 MB are more than a million rows, a whole
// country's register.
const MaxImport = 200 << 20

// importMapping is the version of how a file's fields are read. It is kept with each
// file and rises when the same bytes would mean something else.
const importMapping = "registry/1"

var (
	// ErrEncoding means that a file is not in UTF-8, or not in the encoding that it is
	// said to be in. Guessing would change names and numbers silently. Of a registry file
	// the error is a *RowError that says where.
	ErrEncoding = errors.New("credentialing: the file is in another encoding")
	// ErrImportFormat means that a file is neither CSV with the columns that are known
	// nor a JSON list of objects. The error returned is a *RowError that says where.
	ErrImportFormat = errors.New("credentialing: not a registry file")
	// ErrImportRows means that a file has rows that cannot be read; nothing of it is
	// applied.
	ErrImportRows = errors.New("credentialing: the file has rows that cannot be read")
)

// RegistryRow is one line of a regulator's or list owner's file, read strictly.
type RegistryRow struct {
	Row          int        `json:"row"` // 1 is the first after the header
	Kind         Kind       `json:"kind"`
	Issuer       string     `json:"issuer"`
	Number       string     `json:"number"`
	Jurisdiction string     `json:"jurisdiction"`
	Status       Status     `json:"status"`
	StatusFrom   Moment     `json:"status_from"`
	ValidFrom    Moment     `json:"valid_from"`
	ValidTo      Moment     `json:"valid_to"`
	Holder       string     `json:"holder,omitempty"`
	Type         string     `json:"type,omitempty"`
	Activities   []Activity `json:"activities,omitempty"`
}

// RowError says what is wrong with a row of a file.
type RowError struct {
	Row    int    // 0: the file as a whole
	Field  string // "" if no one field is meant
	Reason string // see RowReasons
}

func (e *RowError) Error() string {
	return fmt.Sprintf("credentialing: row %d, field %q: %s", e.Row, e.Field, e.Reason)
}

// Is makes a *RowError about bytes an ErrEncoding, and one that is returned as an error
// about anything else an ErrImportFormat.
func (e *RowError) Is(target error) bool {
	if e.Reason == RowEncoding {
		return target == ErrEncoding
	}
	return target == ErrImportFormat
}

// The reasons of a RowError: the last part of their message ids.
const (
	RowRequired    = "required"
	RowKind        = "kind"
	RowStatus      = "status"
	RowPlace       = "place"
	RowDate        = "date"
	RowEnds        = "ends_before_begins"
	RowTwice       = "twice"
	RowTooLong     = "too_long"
	RowControl     = "control"
	RowActivity    = "activity"
	RowColumns     = "columns"
	RowColumn      = "unknown_column"
	RowColumnTwice = "column_twice"
	RowSyntax      = "syntax"
	RowNotText     = "not_text"
	RowEmpty       = "empty"
	RowAmbiguous   = "ambiguous"
	RowOtherPlace  = "other_place"
	RowOwn         = "own"
	RowEncoding    = "encoding"
	RowTooMany     = "too_many"
	RowYear        = "year" // not from 1900 to 2200
	RowZone        = "zone"
)

// RowReasons are all reasons: the catalogues must have them.
var RowReasons = []string{RowRequired, RowKind, RowStatus, RowPlace, RowDate, RowEnds, RowTwice, RowTooLong, RowControl, RowActivity, RowColumns,
	RowColumn, RowColumnTwice, RowSyntax, RowNotText, RowEmpty, RowAmbiguous, RowOtherPlace, RowOwn,
	RowEncoding, RowTooMany, RowYear, RowZone}

// Outcome is what a row of a file does to the record.
type Outcome string

// The outcomes of rows.
const (
	OutcomeNew       Outcome = "new"       // the source's first answer about the claim on file
	OutcomeChanged   Outcome = "changed"   // says something else than what is on file
	OutcomeAdverse   Outcome = "adverse"   // bad news: counts as soon as it is applied
	OutcomeSame      Outcome = "same"      // says what is on file
	OutcomeUnmatched Outcome = "unmatched" // nobody on file holds such a number
	OutcomeAbsent    Outcome = "absent"    // on file by this issuer, and not in the file
)

// Outcomes are all outcomes, by how much they matter.
var Outcomes = []Outcome{OutcomeAdverse, OutcomeChanged, OutcomeNew, OutcomeUnmatched, OutcomeAbsent, OutcomeSame}

// PlannedRow is a row with what applying it would do.
type PlannedRow struct {
	RegistryRow
	Outcome    Outcome
	Credential CredentialID      // "" if unmatched
	Person     identity.PersonID // who holds it; "" if unmatched
	Now        Status            // as on file; "" if none is
	Fields     []string          // what differs from the claim on file
	// Namesake is somebody on file of that name, where the number matched nobody: a
	// second look for a person, never a match.
	Namesake identity.PersonID
}

// Import is a registry file with what it does, or did.
type Import struct {
	ID         ImportID
	Source     string
	Format     string // csv, json
	Encoding   Encoding
	Mapping    string
	SHA256     [sha256.Size]byte
	Size       int64
	ReceivedBy identity.PersonID
	ReceivedAt time.Time
	AppliedBy  identity.PersonID // "" if it was not applied
	AppliedAt  time.Time

	// Rows are all that touch something on file, and of those that nobody on file holds
	// the first and those with a namesake; of an applied file as they were applied.
	Rows   []PlannedRow
	Errors []RowError // at most 500
	Counts map[Outcome]int
}

// ImportFile is a registry file on its way in.
type ImportFile struct {
	Source   string
	Encoding Encoding // as somebody says it is; EncodingDetect takes UTF-8 and UTF-16
	Content  io.ReadSeeker
}

// Applied tells whether the file was applied.
func (i Import) Applied() bool { return !i.AppliedAt.IsZero() }

// onRecord is what the record says of a credential that a row names.
type onRecord struct {
	id           CredentialID
	person       identity.PersonID
	jurisdiction string
	claim        ClaimID
	content      Claim
	answered     bool // the source has answered about the current claim
	status       Status
	everActive   bool
}

// planRow says what a row does, given the credentials of its kind, issuer and number.
// It is a function of values.
func planRow(row RegistryRow, have []onRecord, actor identity.PersonID) (PlannedRow, *RowError) {
	p := PlannedRow{RegistryRow: row, Outcome: OutcomeUnmatched}
	switch {
	case len(have) == 0:
		return p, nil
	case len(have) > 1:
		return p, &RowError{row.Row, "number", RowAmbiguous}
	}
	h := have[0]
	p.Credential, p.Person, p.Now = h.id, h.person, h.status
	switch {
	case h.jurisdiction != row.Jurisdiction:
		return p, &RowError{row.Row, "jurisdiction", RowOtherPlace}
	case h.person == actor:
		return p, &RowError{row.Row, "number", RowOwn}
	}
	p.Fields = row.differs(h.content)
	adverse := h.status != "" && h.status.Adverse()
	switch {
	case row.Status.Adverse() && row.Status != h.status:
		p.Outcome = OutcomeAdverse
	case row.Status.Adverse():
		p.Outcome = OutcomeSame
	case adverse:
		p.Outcome, p.Fields = OutcomeChanged, append(p.Fields, "status")
	case len(p.Fields) > 0:
		p.Outcome = OutcomeChanged
	case !h.answered:
		p.Outcome = OutcomeNew
	default:
		p.Outcome = OutcomeSame
	}
	return p, nil
}

// differs names the fields in which a row says something else than a claim. What the
// file does not say it does not contradict.
func (r RegistryRow) differs(c Claim) (fields []string) {
	if !r.ValidFrom.IsZero() && r.ValidFrom != c.ValidFrom {
		fields = append(fields, "valid_from")
	}
	if !r.ValidTo.IsZero() && r.ValidTo != c.ValidTo {
		fields = append(fields, "valid_to")
	}
	if r.Type != "" && r.Type != c.Type {
		fields = append(fields, "type")
	}
	if r.Activities != nil && !sameActivities(r.Activities, c.Activities) {
		fields = append(fields, "activities")
	}
	return fields
}

func sameActivities(a, b []Activity) bool {
	if len(a) != len(b) {
		return false
	}
	have := map[Activity]bool{}
	for _, x := range b {
		have[x] = true
	}
	for _, x := range a {
		if !have[x] {
			return false
		}
	}
	return true
}

// onto is the claim as the row says it is.
func (r RegistryRow) onto(c Claim) Claim {
	if !r.ValidFrom.IsZero() {
		c.ValidFrom = r.ValidFrom
	}
	if !r.ValidTo.IsZero() {
		c.ValidTo = r.ValidTo
	}
	if r.Type != "" {
		c.Type = r.Type
	}
	if r.Activities != nil {
		c.Activities = r.Activities
	}
	if r.Holder != "" {
		c.HolderName = r.Holder
	}
	return c
}
