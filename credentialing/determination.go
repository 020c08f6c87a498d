package credentialing

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// DeterminationID is a UUIDv7.
type DeterminationID string

// Determination is the answer to a Question, with what it rests on.
type Determination struct {
	ID        DeterminationID // "" if it was not stored
	Person    identity.PersonID
	Activity  Activity
	At        time.Time
	Through   time.Time // zero: At alone counts
	DecidedAt time.Time
	Mode      Mode

	Decision   Decision
	ByPlace    []PlaceAnswer
	Reasons    []string // sorted
	Conditions []string // sorted
	Limits     []string // of the conditions
	// Helps are the reasons that stand alone between the person and a permission.
	Helps []string
	// Until is when permission ends by the clock within the time asked; zero if it
	// does not.
	Until time.Time

	Packs            []Edition
	ConditionsList   Edition
	Evaluator        string
	AcceptUnverified bool

	// Facts and Answer are the canonical JSON that Hash covers. Only answers made by
	// a Service, or by [Record], have them.
	Facts  []byte
	Answer []byte
	Hash   [sha256.Size]byte
}

// seal adds what the answer rests on.
func (d *Determination) seal(q Question, held *Credentials) {
	d.Activity, d.At, d.Through, d.DecidedAt, d.Mode = q.Activity, q.At.UTC(), q.Through, q.DecidedAt, q.Mode
	d.AcceptUnverified = q.AcceptUnverified
	d.Packs = q.Rules.editions(&q, held)
	d.ConditionsList = q.Rules.Conditions()
	d.Evaluator = q.evaluator
	if d.Evaluator == "" {
		d.Evaluator = evaluatorVersion
	}
	for _, s := range []*[]string{&d.Reasons, &d.Conditions, &d.Helps} {
		if *s == nil {
			*s = []string{}
		}
	}
	d.Limits = limits(d.Conditions)
}

// sameAnswer tells whether two answers differ in nothing but their instant.
func (d Determination) sameAnswer(e Determination) bool {
	return d.Decision == e.Decision && slices.Equal(d.Reasons, e.Reasons) && slices.Equal(d.Conditions, e.Conditions) &&
		slices.EqualFunc(d.ByPlace, e.ByPlace, func(a, b PlaceAnswer) bool {
			return a.Place == b.Place && a.Decision == b.Decision && slices.Equal(a.Reasons, b.Reasons) && slices.Equal(a.Conditions, b.Conditions)
		})
}

// Allowed tells whether the answer is not deny.
func (d Determination) Allowed() bool { return d.Decision != Deny }

// facts is what is judged, in the form that is kept.
type facts struct {
	Format     string      `json:"format"`
	Question   Question    `json:"question"`
	Specialist Credentials `json:"specialist"`
}

// answer is what came out, in the form that is kept.
type answer struct {
	Format     string        `json:"format"`
	Decision   Decision      `json:"decision"`
	ByPlace    []PlaceAnswer `json:"by_place"`
	Reasons    []string      `json:"reasons"`
	Conditions []string      `json:"conditions"`
	Packs      []Edition     `json:"packs"`
	List       Edition       `json:"conditions_list"`
	Evaluator  string        `json:"evaluator"`
}

// Record makes the canonical facts and answer of an evaluated question, and the
// hash over both.
func Record(q Question, held Credentials, d *Determination) error {
	w, err := audit.Canonical(held.utc())
	if err != nil {
		return fmt.Errorf("write credentials of a determination: %w", err)
	}
	return record(q, w, d)
}

// record is Record with the credentials in canonical JSON.
func record(q Question, held []byte, d *Determination) error {
	asked, err := audit.Canonical(q.utc())
	if err != nil {
		return fmt.Errorf("write question of a determination: %w", err)
	}
	// The canonical form of facts: its keys in order.
	f := make([]byte, 0, len(asked)+len(held)+len(factsFormat)+50)
	f = append(append(append(f, `{"format":"`+factsFormat+`","question":`...), asked...), `,"specialist":`...)
	f = append(append(f, held...), '}')
	byPlace := d.ByPlace
	if byPlace == nil {
		byPlace = []PlaceAnswer{}
	}
	a, err := audit.Canonical(answer{Format: answerFormat, Decision: d.Decision, ByPlace: byPlace, Reasons: d.Reasons,
		Conditions: d.Conditions, Packs: d.Packs, List: d.ConditionsList, Evaluator: d.Evaluator})
	if err != nil {
		return fmt.Errorf("write answer of a determination: %w", err)
	}
	d.Facts, d.Answer, d.Hash = f, a, HashOf(f, a)
	return nil
}

// HashOf is the hash of a determination: SHA-256 over its facts, a line feed, and
// its answer. Canonical JSON holds no line feed, so the two cannot be confused.
func HashOf(facts, answer []byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write(facts)
	h.Write([]byte{'\n'})
	h.Write(answer)
	return [sha256.Size]byte(h.Sum(nil))
}

// Errors of replay.
var (
	// ErrReplayDiffers means that the same facts under the same editions gave another
	// answer than was recorded, or that the record was changed.
	ErrReplayDiffers = errors.New("credentialing: replay differs")
	// ErrEditions means that the rule set given is not the one that decided.
	ErrEditions = errors.New("credentialing: not the editions that decided")
)

// Replay evaluates recorded facts again under rules, which must hold the editions
// that the recorded answer names, and returns what comes out. An answer that is not
// byte for byte the recorded one is ErrReplayDiffers.
func Replay(rules *RuleSet, factsJSON, answerJSON []byte, hash [sha256.Size]byte) (Determination, error) {
	if HashOf(factsJSON, answerJSON) != hash {
		return Determination{}, fmt.Errorf("%w: facts and answer are not those of the hash", ErrReplayDiffers)
	}
	if _, err := audit.ParseCanonical(factsJSON); err != nil {
		return Determination{}, fmt.Errorf("%w: facts: %w", ErrReplayDiffers, err)
	}
	var f facts
	dec := json.NewDecoder(bytes.NewReader(factsJSON))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil || f.Format != factsFormat {
		return Determination{}, fmt.Errorf("%w: facts of format %q: %v", ErrReplayDiffers, f.Format, err)
	}
	var a answer
	if err := json.Unmarshal(answerJSON, &a); err != nil || a.Format != answerFormat {
		return Determination{}, fmt.Errorf("%w: answer of format %q: %v", ErrReplayDiffers, a.Format, err)
	}
	if !slices.Equal(rules.editions(&f.Question, &f.Specialist), a.Packs) || rules.Conditions() != a.List {
		return Determination{}, ErrEditions
	}
	if !slices.Contains(evaluators, a.Evaluator) {
		return Determination{}, fmt.Errorf("%w: evaluator %q is not known", ErrReplayDiffers, a.Evaluator)
	}
	f.Question.Rules, f.Question.evaluator = rules, a.Evaluator
	d := Decide(f.Question, f.Specialist)
	if err := Record(f.Question, f.Specialist, &d); err != nil {
		return Determination{}, err
	}
	if d.Hash != hash {
		return d, fmt.Errorf("%w: hash %s, recorded %s", ErrReplayDiffers, hex.EncodeToString(d.Hash[:]), hex.EncodeToString(hash[:]))
	}
	return d, nil
}

// Decide is EvaluateOver for a question with a length and Evaluate for one
// without.
func Decide(q Question, held Credentials) Determination {
	if q.Through.After(q.At) {
		return EvaluateOver(q, held, q.Through)
	}
	return Evaluate(q, held)
}

// Refusal says why something is refused and which rule refuses it.
type Refusal struct {
	Rule         string // "" when no single rule does
	Jurisdiction string
	Reasons      []string
	Until        time.Time // when permission ends, if it does so by date; zero if no date helps
}

func (r *Refusal) Error() string {
	return "credentialing: refused: " + strings.Join(r.Reasons, ", ")
}

// Refusal returns why the answer is deny; nil if it is not. It names the rule that
// weighs most: a stop, then an unmet duty, then what is missing for a permission.
func (d Determination) Refusal() *Refusal {
	if d.Decision != Deny {
		return nil
	}
	r := &Refusal{Reasons: d.Reasons, Until: d.Until}
	for _, p := range d.ByPlace {
		if p.Decision == Deny {
			r.Jurisdiction = p.Place
			break
		}
	}
	r.Rule = d.leadingRule()
	return r
}

func (d Determination) leadingRule() string {
	lead := d.Lead()
	if parts := strings.SplitN(lead, ":", 3); len(parts) > 1 {
		switch parts[0] {
		case "forbid", "unknown", "unmet", "missing":
			return parts[1]
		}
	}
	return ""
}

// Lead is the reason to show first in a refusal: what a person can do most about.
func (d Determination) Lead() string {
	for _, prefix := range []string{"no-place", "no-pack:", "pack-not-verified:", "forbid:ZZ", "forbid:", "unmet:", "missing:", "unknown:"} {
		if prefix == "missing:" && len(d.Helps) > 0 {
			return d.Helps[0]
		}
		for _, r := range d.Reasons {
			if strings.HasPrefix(r, prefix) {
				return r
			}
		}
	}
	return ""
}

// open reads the parts of a stored determination from its facts and answer.
func (d *Determination) open() error {
	var a answer
	if err := json.Unmarshal(d.Answer, &a); err != nil {
		return fmt.Errorf("read determination %s: %w", d.ID, err)
	}
	var f facts
	if err := json.Unmarshal(d.Facts, &f); err != nil {
		return fmt.Errorf("read determination %s: %w", d.ID, err)
	}
	d.ByPlace, d.Reasons, d.Conditions, d.Packs = a.ByPlace, a.Reasons, a.Conditions, a.Packs
	d.ConditionsList, d.Evaluator, d.AcceptUnverified = a.List, a.Evaluator, f.Question.AcceptUnverified
	d.Limits = limits(d.Conditions)
	return nil
}
