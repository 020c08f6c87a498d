package workspace

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
)

// Verdict is the answer of the offline verifier.
type Verdict string

// The verdicts.
const (
	// Valid: every part holds and the keys are those of the trust file.
	Valid Verdict = "valid"
	// ValidInItself: every part holds, but nobody vouched for the keys.
	ValidInItself Verdict = "valid in itself"
	Invalid       Verdict = "invalid"
)

// Part is one thing that was checked.
type Part struct {
	Name string
	OK   bool
	Why  string // "" if OK
}

// Report is what the verifier found.
type Report struct {
	Verdict Verdict
	Parts   []Part
	// Notes say what was not or could not be checked.
	Notes []string
	// What the bundle says, for those parts that hold.
	Number  string
	Advised []Signed
	Decided *Signed
}

// Signed says who signed what, when, and under which permission.
type Signed struct {
	Name         string
	Person       identity.PersonID
	License      string
	Jurisdiction string
	At           time.Time
	Outcome      Outcome // of a decision
	Reasons      []string
	Consents     []string
	KeyKind      string
}

// Failed lists the parts that do not hold.
func (r Report) Failed() []Part {
	var out []Part
	for _, p := range r.Parts {
		if !p.OK {
			out = append(out, p)
		}
	}
	return out
}

func (r *Report) check(name string, err error) bool {
	p := Part{Name: name, OK: err == nil}
	if err != nil {
		p.Why = err.Error()
	}
	r.Parts = append(r.Parts, p)
	return err == nil
}

// maxBundle bounds what the verifier reads: bundles hold texts and proofs, no images.
const maxBundle = 64 << 20

// VerifyBundle checks an evidence bundle with nothing but the trust file; nil trust
// can only find it valid in itself. checkpoint may be one that the verifier kept. An
// error means that the bundle could not be read at all; what does not hold stands in
// the report, part by part.
func VerifyBundle(r io.ReaderAt, size int64, trust *TrustFile, checkpoint []byte) (Report, error) {
	var rep Report
	if size > maxBundle {
		return rep, errors.New("bundle too large")
	}
	raw := make([]byte, size)
	if _, err := r.ReadAt(raw, 0); err != nil && err != io.EOF {
		return rep, fmt.Errorf("read bundle: %w", err)
	}
	parts, err := readBundle(raw)
	if err != nil {
		rep.check("container", err)
		rep.Verdict = Invalid
		return rep, nil
	}
	v := verifier{rep: &rep, parts: parts, trust: trust}
	rep.check("container", v.container(raw))
	if rep.check("keys", v.keys()) && rep.check("checkpoint", v.checkpoint(checkpoint)) {
		v.documents()
	}
	switch {
	case len(rep.Failed()) > 0:
		rep.Verdict = Invalid
	case trust == nil:
		rep.Verdict = ValidInItself
		rep.Notes = append(rep.Notes, "nobody vouched for the keys: no trust file was given")
	default:
		rep.Verdict = Valid
	}
	rep.Notes = append(rep.Notes, "revocation not checked: no mirror of the log was given")
	return rep, nil
}

// readBundle reads the parts of a zip.
func readBundle(raw []byte) (map[string][]byte, error) {
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		return nil, err
	}
	parts := map[string][]byte{}
	for _, f := range z.File {
		if _, twice := parts[f.Name]; twice {
			return nil, fmt.Errorf("%s stands in it twice", f.Name)
		}
		if f.Method != zip.Store || f.UncompressedSize64 > uint64(len(raw)) {
			return nil, fmt.Errorf("%s is not stored as it is", f.Name)
		}
		rc, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		data, err := io.ReadAll(io.LimitReader(rc, int64(len(raw))))
		rc.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		parts[f.Name] = data
	}
	return parts, nil
}

type verifier struct {
	rep     *Report
	parts   map[string][]byte
	trust   *TrustFile
	claimed TrustFile // what the bundle says of itself
	log     audit.Verifier
	head    audit.Checkpoint
}

// container: the bundle is byte for byte what its parts make, manifest included.
func (v *verifier) container(raw []byte) error {
	var again bytes.Buffer
	if err := writeBundle(&again, v.parts); err != nil {
		return err
	}
	if bytes.Equal(again.Bytes(), raw) {
		return nil
	}
	var m manifest
	if err := decodeCanonical(v.parts[partManifest], &m); err != nil {
		return fmt.Errorf("%s: %w", partManifest, err)
	}
	listed := map[string]bool{}
	for _, p := range m.Parts {
		listed[p.Name] = true
		data, ok := v.parts[p.Name]
		if !ok {
			return fmt.Errorf("%s is missing", p.Name)
		}
		if hexSum(data) != p.SHA256 || int64(len(data)) != p.Size {
			return fmt.Errorf("%s is not the one in the manifest", p.Name)
		}
	}
	for name := range v.parts {
		if name != partManifest && !listed[name] {
			return fmt.Errorf("%s is not in the manifest", name)
		}
	}
	return errors.New("bytes between the parts were changed")
}

// keys: those of the trust file; without one, those the bundle claims.
func (v *verifier) keys() error {
	if err := decodeCanonical(v.parts[partKeys], &v.claimed); err != nil {
		return err
	}
	if v.claimed.Format != trustFormat {
		return errors.New("unknown format")
	}
	if v.trust != nil {
		if v.claimed.LogKey != v.trust.LogKey {
			return errors.New("the bundle names another log key than the trust file")
		}
		if v.claimed.RPID != v.trust.RPID || !slices.Equal(v.claimed.Origins, v.trust.Origins) {
			return errors.New("the bundle names another site than the trust file")
		}
	}
	var err error
	v.log, err = audit.NewVerifier(v.claimed.LogKey)
	return err
}

func (v *verifier) checkpoint(kept []byte) error {
	var err error
	if v.head, err = v.log.Open(v.parts[partCheckpoint]); err != nil {
		return err
	}
	if kept == nil {
		return nil
	}
	k, err := v.log.Open(kept)
	if err != nil {
		return fmt.Errorf("the checkpoint you kept: %w", err)
	}
	if k.Size != v.head.Size {
		v.rep.Notes = append(v.rep.Notes, fmt.Sprintf("the checkpoint you kept has %d leaves, the bundle's %d: not compared", k.Size, v.head.Size))
		return nil
	}
	if k.Root != v.head.Root {
		return errors.New("the checkpoint you kept has another root: history was forked")
	}
	return nil
}

// verified is a document whose own parts hold.
type verified struct {
	doc      document
	record   signatureRecord
	evidence evidence
	leaf     audit.Leaf
}

func (v *verifier) documents() {
	folders := map[string]bool{}
	for name := range v.parts {
		if folder, _, ok := strings.Cut(name, "/"); ok {
			folders[folder] = true
		}
	}
	names := make([]string, 0, len(folders))
	for f := range folders {
		names = append(names, f)
	}
	slices.Sort(names)
	opinions := map[DocumentID]verified{}
	var decisions []verified
	var all []verified
	for _, folder := range names {
		kindName, id, _ := strings.Cut(folder, "-")
		kind := Kind(kindName)
		if kind != KindOpinion && kind != KindDecision {
			v.rep.check(folder, errors.New("not a document this verifier knows"))
			continue
		}
		d, ok := v.document(folder+"/", kind, DocumentID(id))
		if !ok {
			continue
		}
		all = append(all, d)
		v.rep.Number = d.doc.Number
		signed := d.summary()
		if kind == KindOpinion {
			opinions[d.doc.ID] = d
			v.rep.Advised = append(v.rep.Advised, signed)
		} else {
			decisions = append(decisions, d)
			v.rep.Decided = &signed
		}
		if d.record.CredentialKind == "demonstration" {
			v.rep.Notes = append(v.rep.Notes, folder+": signed with a demonstration key")
		}
	}
	if len(all) == 0 {
		v.rep.check("documents", errors.New("no document holds"))
		return
	}
	for _, d := range decisions {
		v.rep.check("decision weighs opinions", v.weighs(d, opinions))
	}
	slices.SortFunc(all, func(a, b verified) int { return int(a.leaf.Index - b.leaf.Index) })
	docs := make([]document, len(all))
	for i, d := range all {
		docs[i] = d.doc
	}
	v.rep.check(partFHIR, v.fhir(docs))
}

// document checks one document: its form, its signature, what it rests on, its
// place in the log and the key's.
func (v *verifier) document(folder string, kind Kind, id DocumentID) (verified, bool) {
	var d verified
	ok := v.rep.check(folder+partDocument, func() error {
		var err error
		if d.doc, err = parseDocument(v.parts[folder+partDocument], kind); err != nil {
			return err
		}
		if d.doc.ID != id {
			return errors.New("the document has another id")
		}
		return nil
	}())
	ok = v.rep.check(folder+partSignature, v.signature(folder, kind, &d)) && ok
	if !ok {
		return d, false
	}
	ok = v.rep.check(folder+partEvidence, v.evidence(folder, kind, &d))
	if ok {
		ok = v.replay(folder, d)
	}
	ok = v.rep.check(folder+partLeaf, v.leaf(folder, kind, &d)) && ok
	ok = v.rep.check(folder+partEnrollment, v.enrollment(folder, &d)) && ok
	ok = v.rep.check(folder+partConsistency, v.since(folder, &d)) && ok
	return d, ok
}

func (v *verifier) signature(folder string, kind Kind, d *verified) error {
	if err := decodeCanonical(v.parts[folder+partSignature], &d.record); err != nil {
		return err
	}
	data := v.parts[folder+partDocument]
	switch {
	case d.record.Format != signatureFormat || d.record.Kind != kind:
		return errors.New("of another format or kind")
	case d.record.Document != d.doc.ID || d.record.DocumentSHA256 != hexSum(data):
		return errors.New("made over another document")
	case d.record.Person != d.doc.Signer.Person:
		return errors.New("the document names another signer")
	}
	a, err := d.record.assertion()
	if err != nil {
		return err
	}
	if !slices.Contains(v.claimed.Origins, a.Origin) || a.RPID != v.claimed.RPID {
		return errors.New("made at another site")
	}
	return identity.VerifySignature(a, kind.Challenge(data), v.claimed.RPID, v.claimed.Origins)
}

// replay judges the facts of the determination once more, by the rules this program
// carries: they must give the same answer. Other editions of the rules are a note, no
// failure: whoever has them can replay.
func (v *verifier) replay(folder string, d verified) bool {
	rules, err := credentialing.NewRuleSet(credentialing.Embedded(), scheduling.LoadZone)
	if err != nil {
		return v.rep.check(folder+"determination", err)
	}
	e := d.evidence.Determination
	sum := credentialing.HashOf([]byte(e.Facts), []byte(e.Answer))
	_, err = credentialing.Replay(rules, []byte(e.Facts), []byte(e.Answer), sum)
	if errors.Is(err, credentialing.ErrEditions) {
		v.rep.Notes = append(v.rep.Notes, folder+"determination: not replayed, this program carries other editions of the rules")
		return true
	}
	return v.rep.check(folder+"determination", err)
}

// evidence: the determination is whole, is about this signer, this activity and this
// instant, and permits; the consents' texts are those hashed.
func (v *verifier) evidence(folder string, kind Kind, d *verified) error {
	data := v.parts[folder+partEvidence]
	if hexSum(data) != d.record.Evidence {
		return errors.New("not the evidence that was signed")
	}
	if err := decodeCanonical(data, &d.evidence); err != nil {
		return err
	}
	e := d.evidence
	if e.Format != evidenceFormat || e.Document != d.doc.ID || e.Signer.Person != d.record.Person {
		return errors.New("about another document or signer")
	}
	sum := credentialing.HashOf([]byte(e.Determination.Facts), []byte(e.Determination.Answer))
	if fmt.Sprintf("%x", sum) != e.Determination.Hash || e.Determination.Hash != d.record.DeterminationHash || e.Determination.ID != d.record.Determination {
		return errors.New("the determination is not the one that was signed")
	}
	var facts judgedFacts
	if err := looseCanonical([]byte(e.Determination.Facts), &facts); err != nil {
		return fmt.Errorf("facts: %w", err)
	}
	var answer struct {
		Decision credentialing.Decision `json:"decision"`
	}
	if err := looseCanonical([]byte(e.Determination.Answer), &answer); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	at, err := time.Parse(time.RFC3339Nano, d.record.SignedAt)
	if err != nil {
		return err
	}
	asked, err := time.Parse(time.RFC3339Nano, facts.Question.At)
	if err != nil {
		return err
	}
	activity := credentialing.AdvisePhysician
	if kind == KindDecision {
		activity = credentialing.SignDecision
	}
	switch {
	case !asked.Equal(at):
		return errors.New("the determination is of another instant than the signature")
	case facts.Question.Activity != string(activity) || facts.Question.Mode != string(credentialing.Act):
		return errors.New("the determination is about another activity")
	case facts.Specialist.ID != d.record.Person:
		return errors.New("the determination is about another person")
	case answer.Decision != credentialing.Permit && answer.Decision != credentialing.PermitWithConditions:
		return errors.New("the determination denies")
	case !slices.Equal(facts.Question.Places, []string{d.doc.Patient.Place}) || e.Place.Place != d.doc.Patient.Place:
		return errors.New("the determination is about another place")
	}
	if kind == KindDecision && (facts.Question.Local == nil || facts.Question.Local.ID != d.record.Person || e.Responsible != d.record.Person) {
		return errors.New("the signer was not the responsible local physician")
	}
	if kind == KindOpinion && e.Responsible == d.record.Person {
		return errors.New("the adviser was the responsible local physician")
	}
	for _, c := range e.Consents {
		if hexSum([]byte(c.Text)) != c.TextSHA256 {
			return fmt.Errorf("the text of consent %s is not the one shown", c.ID)
		}
	}
	return nil
}

func (v *verifier) leaf(folder string, kind Kind, d *verified) error {
	p, err := v.proof(folder + partLeaf)
	if err != nil {
		return err
	}
	if d.leaf, err = p.Event(); err != nil {
		return err
	}
	e := d.leaf.Event
	at, err := time.Parse(time.RFC3339Nano, d.record.SignedAt)
	if err != nil {
		return err
	}
	switch {
	case e.Act != string(kind)+".signed" || e.Actor != string(d.record.Person) || e.Objects[string(kind)] != string(d.doc.ID) || e.Objects["case"] != string(d.doc.Case):
		return errors.New("the leaf is about another act")
	case e.Hashes["document"] != d.record.DocumentSHA256 || e.Hashes["signature"] != hexSum(v.parts[folder+partSignature]) || e.Hashes["evidence"] != d.record.Evidence:
		return errors.New("the leaf names other hashes")
	case e.Determination != string(d.record.Determination) || !d.leaf.At.Equal(at):
		return errors.New("the leaf names another determination or instant")
	case e.Organization != string(d.doc.Clinic.ID):
		return errors.New("the leaf belongs to another clinic")
	}
	return nil
}

// enrollment: this key was enrolled for this person before it signed.
func (v *verifier) enrollment(folder string, d *verified) error {
	p, err := v.proof(folder + partEnrollment)
	if err != nil {
		return err
	}
	enrolled, err := p.Event()
	if err != nil {
		return err
	}
	if p.Index >= d.leaf.Index {
		return errors.New("the key was not enrolled before it signed")
	}
	a, err := d.record.assertion()
	if err != nil {
		return err
	}
	return identity.VerifyEnrollment(enrolled, a, d.record.Person)
}

// since: the log of the checkpoint that the document names is the beginning of the
// bundle's, so the document is younger than it.
func (v *verifier) since(folder string, d *verified) error {
	data, ok := v.parts[folder+partConsistency]
	if d.doc.After.Size == 0 {
		if ok {
			return errors.New("there was no checkpoint to be younger than")
		}
		return nil
	}
	var c audit.Consistency
	if err := decodeCanonical(data, &c); err != nil {
		return err
	}
	older := audit.Checkpoint{Size: d.doc.After.Size}
	root, err := base64.StdEncoding.Strict().DecodeString(d.doc.After.Root)
	if err != nil || len(root) != len(older.Root) {
		return errors.New("the document names no root")
	}
	copy(older.Root[:], root)
	if d.leaf.Index < older.Size {
		return errors.New("the document is older than the checkpoint it names")
	}
	return c.Verify(older, v.head)
}

func (v *verifier) proof(name string) (audit.Proof, error) {
	var p audit.Proof
	data, ok := v.parts[name]
	if !ok {
		return p, errors.New("missing")
	}
	if err := decodeCanonical(data, &p); err != nil {
		return p, err
	}
	return p, p.Verify(v.head)
}

// weighs: a decision names exactly the opinions of the bundle that came before it,
// with their hashes, and its signer advised in none of them.
func (v *verifier) weighs(d verified, opinions map[DocumentID]verified) error {
	before := 0
	for _, o := range opinions {
		if o.leaf.Index < d.leaf.Index {
			before++
		}
		if o.record.Person == d.record.Person {
			return errors.New("adviser and decider are the same person")
		}
	}
	if len(d.doc.Opinions) != before {
		return errors.New("the decision weighs other opinions than the bundle holds")
	}
	for _, w := range d.doc.Opinions {
		o, ok := opinions[w.ID]
		if !ok || o.record.DocumentSHA256 != w.SHA256 || o.leaf.Index >= d.leaf.Index || o.doc.Case != d.doc.Case {
			return fmt.Errorf("opinion %s is not the one that was weighed", w.ID)
		}
	}
	return nil
}

// fhir: the FHIR document says what the signed documents say.
func (v *verifier) fhir(docs []document) error {
	want, err := fhirDocument(docs)
	if err != nil {
		return err
	}
	if !bytes.Equal(want, v.parts[partFHIR]) {
		return errors.New("says something else than the signed documents")
	}
	return nil
}

// looseCanonical reads canonical JSON of which only some fields matter here.
func looseCanonical(data []byte, v any) error {
	if _, err := audit.ParseCanonical(data); err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

func (d verified) summary() Signed {
	at, _ := time.Parse(time.RFC3339Nano, d.record.SignedAt)
	s := Signed{Name: d.evidence.Signer.Name, Person: d.record.Person, License: d.doc.Signer.License, Jurisdiction: d.doc.Patient.Place,
		At: at, KeyKind: d.record.CredentialKind}
	if d.doc.Decision != nil {
		s.Outcome = d.doc.Decision.Outcome
	}
	var answer struct {
		Reasons []string `json:"reasons"`
	}
	if looseCanonical([]byte(d.evidence.Determination.Answer), &answer) == nil {
		s.Reasons = answer.Reasons
	}
	for _, c := range d.evidence.Consents {
		if c.WithdrawnAt == "" {
			line := string(c.Purpose)
			if c.Class != "" {
				line += " " + string(c.Class)
			}
			if c.Destination != "" {
				line += " to " + c.Destination
			}
			s.Consents = append(s.Consents, line+" ("+c.Language+")")
		}
	}
	return s
}
