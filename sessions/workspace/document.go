package workspace

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Kind is the kind of a signed document.
type Kind string

// The kinds of documents.
const (
	KindOpinion  Kind = "opinion"
	KindDecision Kind = "decision"
)

// Format is the first line of what a signature is made over, and the document's
// own first field.
func (k Kind) Format() string { return "consilium/" + string(k) + "/v1" }

// Challenge is what the passkey signs: SHA-256 over the format, a line feed and
// the document's bytes (design security, section 12). The nonce in the document
// keeps it unpredictable.
func (k Kind) Challenge(document []byte) []byte {
	h := sha256.New()
	h.Write([]byte(k.Format() + "\n"))
	h.Write(document)
	return h.Sum(nil)
}

// OpinionContent is what a specialist writes (schema 1).
type OpinionContent struct {
	Schema          int              `json:"schema"`
	Language        string           `json:"language"` // BCP 47 of the texts
	Understanding   string           `json:"understanding"`
	Assessment      string           `json:"assessment"`
	Differential    []Likelihood     `json:"differential"`
	Recommendations []Recommendation `json:"recommendations"`
	RedFlags        string           `json:"red_flags"`
	WouldChange     string           `json:"would_change"`
	References      string           `json:"references"`
	Limits          string           `json:"limits"`
	Confidence      int              `json:"confidence"` // 1 to 5
	Teaches         bool             `json:"teaches"`
	Files           []FileID         `json:"files"` // those reviewed
	ReadBacks       []ReadBackFields `json:"read_backs"`
}

// Likelihood is one entry of the differential.
type Likelihood struct {
	Condition  string `json:"condition"`
	Likelihood string `json:"likelihood"` // likely, possible, unlikely
}

// Recommendation is one thing advised. ID is its place in the opinion, from 1.
type Recommendation struct {
	ID       int    `json:"id"`
	Text     string `json:"text"`
	Strength string `json:"strength"` // strong, conditional
	Urgency  string `json:"urgency"`  // now, days, weeks, routine
}

// ReadBackFields is one thing that must be read back before a decision: a dose, an
// allergy, a side or a date. Digits are kept as digits.
type ReadBackFields struct {
	Kind      string `json:"kind"` // dose, allergy, laterality, date
	Drug      string `json:"drug"`
	Dose      string `json:"dose"`
	Unit      string `json:"unit"`
	Route     string `json:"route"`
	Frequency string `json:"frequency"`
	Substance string `json:"substance"`
	Side      string `json:"side"` // left, right, both
	Site      string `json:"site"`
	Date      string `json:"date"` // YYYY-MM-DD
	What      string `json:"what"`
}

// DecisionContent is what the responsible local physician decides (schema 1).
type DecisionContent struct {
	Schema       int      `json:"schema"`
	Language     string   `json:"language"` // BCP 47 of the texts
	Outcome      Outcome  `json:"outcome"`
	Answers      []Answer `json:"answers"`
	Plan         string   `json:"plan"`
	ToldPatient  string   `json:"told_patient"`
	ToldLanguage string   `json:"told_language"`
	FollowUp     string   `json:"follow_up"` // YYYY-MM-DD or ""
}

// Outcome is what a physician does with advice.
type Outcome string

// The outcomes, of a decision and of each recommendation.
const (
	Accept            Outcome = "accept"
	AcceptWithChanges Outcome = "accept_with_changes"
	DeclineAdvice     Outcome = "decline"
	DecideOtherwise   Outcome = "otherwise"
)

// Outcomes lists them in the order of the page.
var Outcomes = []Outcome{Accept, AcceptWithChanges, DeclineAdvice, DecideOtherwise}

// Answer is the physician's answer to one recommendation.
type Answer struct {
	Opinion        DocumentID `json:"opinion"`
	Recommendation int        `json:"recommendation"`
	Outcome        Outcome    `json:"outcome"`
	Reason         string     `json:"reason"` // required unless accepted as it is
}

// document is the canonical JSON that is signed. Opinion or Decision is set.
type document struct {
	Format        string           `json:"format"`
	ID            DocumentID       `json:"id"`
	Case          CaseID           `json:"case"`
	Number        string           `json:"number"`
	Clinic        docClinic        `json:"clinic"`
	Patient       docPatient       `json:"patient"`
	Opinion       *OpinionContent  `json:"opinion,omitempty"`
	Decision      *DecisionContent `json:"decision,omitempty"`
	Opinions      []docOpinion     `json:"opinions"` // weighed
	Files         []docFile        `json:"files"`
	ReadBacks     []docReadBack    `json:"read_backs"` // confirmed before the decision
	Determination docDetermination `json:"determination"`
	Signer        docSigner        `json:"signer"`
	Supersedes    string           `json:"supersedes"`
	PreparedAt    string           `json:"prepared_at"`
	After         docAfter         `json:"after"`
	Nonce         string           `json:"nonce"`
}

type docClinic struct {
	ID   identity.OrganizationID `json:"id"`
	Name string                  `json:"name"`
}

type docPatient struct {
	Pseudonym
	Place string `json:"place"`
}

type docOpinion struct {
	ID     DocumentID `json:"id"`
	SHA256 string     `json:"sha256"`
}

type docFile struct {
	ID     FileID `json:"id"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
	Type   string `json:"type"`
}

type docReadBack struct {
	ID          ReadBackID `json:"id"`
	Language    string     `json:"language"`
	ConfirmedAt string     `json:"confirmed_at"`
}

type docDetermination struct {
	ID           credentialing.DeterminationID `json:"id"`
	Hash         string                        `json:"hash"`
	Activity     credentialing.Activity        `json:"activity"`
	Jurisdiction string                        `json:"jurisdiction"`
	Decision     credentialing.Decision        `json:"decision"`
	Packs        []credentialing.Edition       `json:"packs"`
	License      string                        `json:"license"` // id of the credential relied on
}

type docSigner struct {
	Person  identity.PersonID `json:"person"`
	Name    string            `json:"name"`
	License string            `json:"license"` // number as shown
}

// docAfter names the newest checkpoint of the log when the document was prepared:
// the document is younger than it.
type docAfter struct {
	Size int64  `json:"size"`
	Root string `json:"root"`
}

// bytes encodes the document in the one form that is hashed and shown.
func (d document) bytes() ([]byte, error) { return audit.Canonical(d) }

// files lists the files that the document vouches for.
func (d document) files() []FileID {
	out := make([]FileID, len(d.Files))
	for i, f := range d.Files {
		out[i] = f.ID
	}
	return out
}

func newNonce() (string, error) {
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// formatInstant is how documents write instants.
func formatInstant(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// ErrIncomplete means that something required is missing or not one of the values
// allowed. Fields names the fields.
type ErrIncomplete struct{ Fields []string }

func (e *ErrIncomplete) Error() string {
	return "workspace: incomplete: " + strings.Join(e.Fields, ", ")
}

type checker struct{ fields []string }

func (c *checker) need(ok bool, field string) {
	if !ok {
		c.fields = append(c.fields, field)
	}
}

func (c *checker) err() error {
	if len(c.fields) == 0 {
		return nil
	}
	return &ErrIncomplete{Fields: c.fields}
}

func oneOf[T comparable](v T, all ...T) bool {
	for _, a := range all {
		if v == a {
			return true
		}
	}
	return false
}

// check tells what an opinion lacks to be signed.
func (o OpinionContent) check() error {
	var c checker
	c.need(o.Schema == 1, "schema")
	c.need(o.Language != "", "language")
	c.need(o.Understanding != "", "understanding")
	c.need(o.Assessment != "", "assessment")
	c.need(len(o.Recommendations) > 0, "recommendations")
	c.need(o.Confidence >= 1 && o.Confidence <= 5, "confidence")
	for i, r := range o.Recommendations {
		field := fmt.Sprintf("recommendations.%d", i+1)
		c.need(r.ID == i+1 && r.Text != "" && oneOf(r.Strength, "strong", "conditional") &&
			oneOf(r.Urgency, "now", "days", "weeks", "routine"), field)
	}
	for i, d := range o.Differential {
		c.need(d.Condition != "" && oneOf(d.Likelihood, "likely", "possible", "unlikely"), fmt.Sprintf("differential.%d", i+1))
	}
	for i, b := range o.ReadBacks {
		c.need(b.complete(), fmt.Sprintf("read_backs.%d", i+1))
	}
	return c.err()
}

func (b ReadBackFields) complete() bool {
	switch b.Kind {
	case "dose":
		return b.Drug != "" && b.Dose != "" && b.Unit != "" && b.Route != "" && b.Frequency != "" && digitsOnly(b.Dose)
	case "allergy":
		return b.Substance != ""
	case "laterality":
		return oneOf(b.Side, "left", "right", "both") && b.Site != ""
	case "date":
		_, err := time.Parse(time.DateOnly, b.Date)
		return err == nil && b.What != ""
	default:
		return false
	}
}

// digitsOnly accepts "5", "2.5", "2,5" and "5-10": digits as digits, so that no
// reader takes a word for a number.
func digitsOnly(s string) bool {
	for _, r := range s {
		if (r < '0' || r > '9') && !strings.ContainsRune(".,-–/ ", r) {
			return false
		}
	}
	return strings.ContainsAny(s, "0123456789")
}

// check tells what a decision lacks; opinions are those of the case, by id, with
// the number of their recommendations.
func (d DecisionContent) check(opinions map[DocumentID]int) error {
	var c checker
	c.need(d.Schema == 1, "schema")
	c.need(d.Language != "", "language")
	c.need(oneOf(d.Outcome, Outcomes...), "outcome")
	c.need(d.Plan != "", "plan")
	c.need(d.ToldPatient != "", "told_patient")
	c.need(d.ToldLanguage != "", "told_language")
	if d.FollowUp != "" {
		_, err := time.Parse(time.DateOnly, d.FollowUp)
		c.need(err == nil, "follow_up")
	}
	answered := map[Answer]bool{}
	for i, a := range d.Answers {
		field := fmt.Sprintf("answers.%d", i+1)
		n, known := opinions[a.Opinion]
		key := Answer{Opinion: a.Opinion, Recommendation: a.Recommendation}
		c.need(known && a.Recommendation >= 1 && a.Recommendation <= n && !answered[key], field)
		c.need(oneOf(a.Outcome, Outcomes...), field)
		c.need(a.Outcome == Accept || a.Reason != "", field+".reason")
		answered[key] = true
	}
	total := 0
	for _, n := range opinions {
		total += n
	}
	c.need(len(d.Answers) == total, "answers")
	return c.err()
}

// normalize puts every text of a value in NFC and trims it, when it is entered;
// signing never changes it. v is a pointer to a struct.
func normalize(v any) { normalizeValue(reflect.ValueOf(v)) }

func normalizeValue(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			normalizeValue(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				normalizeValue(v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			normalizeValue(v.Index(i))
		}
	case reflect.String:
		if v.CanSet() {
			v.SetString(clean(v.String()))
		}
	}
}

// clean makes a text valid UTF-8 in NFC with plain line ends.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "�")
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return norm.NFC.String(strings.TrimSpace(s))
}
