package workspace_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/sessions/workspace"
)

func verify(t testing.TB, bundle []byte, trust *workspace.TrustFile) workspace.Report {
	t.Helper()
	return must(workspace.VerifyBundle(bytes.NewReader(bundle), int64(len(bundle)), trust, nil))(t)
}

func (w *world) bundle(id workspace.CaseID) []byte {
	w.t.Helper()
	var b bytes.Buffer
	w.ok(w.cases.Bundle(w.ctx, w.actors[w.otieno], id, &b))
	return b.Bytes()
}

// parts unpacks a bundle.
func unpack(t testing.TB, bundle []byte) map[string][]byte {
	t.Helper()
	z := must(zip.NewReader(bytes.NewReader(bundle), int64(len(bundle))))(t)
	out := map[string][]byte{}
	for _, f := range z.File {
		r := must(f.Open())(t)
		out[f.Name] = must(io.ReadAll(r))(t)
		r.Close()
	}
	return out
}

// pack writes parts as the service does, manifest made anew: what somebody who
// wants to deceive would do.
func pack(t testing.TB, parts map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := workspace.WriteBundle(&b, parts); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBundleVerifiesOffline(t *testing.T) {
	w := newWorld(t)
	id, op := w.ready()
	w.decide(id, op)
	bundle := w.bundle(id)
	trust := w.cases.Trust()

	r := verify(t, bundle, &trust)
	if r.Verdict != workspace.Valid {
		t.Fatalf("got %s: %v", r.Verdict, r.Failed())
	}
	if len(r.Advised) != 1 || r.Advised[0].Name != "Prof. Claire Tremblay" || r.Decided == nil || r.Decided.Name != "Dr Amina Otieno" ||
		r.Decided.License != "DEMO-KE-0001" || r.Decided.Jurisdiction != "KE" || !r.Decided.At.Equal(start) {
		t.Errorf("report says %+v, %+v", r.Advised, r.Decided)
	}
	if !slices.ContainsFunc(r.Advised[0].Consents, func(c string) bool { return strings.HasPrefix(c, "record_sharing labs to CA") }) {
		t.Errorf("consents %v do not show the labs to Canada", r.Advised[0].Consents)
	}
	if r := verify(t, bundle, nil); r.Verdict != workspace.ValidInItself {
		t.Errorf("without trust file: %s", r.Verdict)
	}
	other := trust
	_, other.LogKey, _ = audit.GenerateKey("consilium.test/log")
	if r := verify(t, bundle, &other); r.Verdict != workspace.Invalid || r.Failed()[0].Name != "keys" {
		t.Errorf("with the key of another log: %s, %v", r.Verdict, r.Failed())
	}
	moved := trust
	moved.Origins = []string{"https://elsewhere.example"}
	if r := verify(t, bundle, &moved); r.Verdict != workspace.Invalid {
		t.Errorf("of another site: %s", r.Verdict)
	}
}

func TestBundleShowsOneChangedByteAnywhere(t *testing.T) {
	w := newWorld(t)
	id, op := w.ready()
	w.decide(id, op)
	bundle := w.bundle(id)
	trust := w.cases.Trust()
	random := rand.New(rand.NewPCG(1, 2))
	places := []int{0, 4, 10, len(bundle) - 1, len(bundle) - 20}
	for range 300 {
		places = append(places, random.IntN(len(bundle)))
	}
	for _, at := range places {
		spoiled := bytes.Clone(bundle)
		spoiled[at] ^= 1 << random.IntN(8)
		r, err := workspace.VerifyBundle(bytes.NewReader(spoiled), int64(len(spoiled)), &trust, nil)
		if err != nil || r.Verdict != workspace.Invalid || len(r.Failed()) == 0 || r.Failed()[0].Why == "" {
			t.Fatalf("byte %d: %s, %v, %v", at, r.Verdict, r.Failed(), err)
		}
	}
}

// Somebody who changes a part and writes a fitting manifest is found at that part.
func TestBundleNamesTheSpoiledPart(t *testing.T) {
	w := newWorld(t)
	id, op := w.ready()
	w.decide(id, op)
	second, secondOp := w.ready()
	w.decide(second, secondOp)
	trust := w.cases.Trust()
	parts := unpack(t, w.bundle(id))
	foreign := unpack(t, w.bundle(second))
	if r := verify(t, pack(t, parts), &trust); r.Verdict != workspace.Valid {
		t.Fatalf("packed again: %v", r.Failed())
	}
	decision, opinion, foreignDecision := "", "", ""
	for name := range parts {
		folder, _, _ := strings.Cut(name, "/")
		switch {
		case strings.HasPrefix(folder, "decision-"):
			decision = folder
		case strings.HasPrefix(folder, "opinion-"):
			opinion = folder
		}
	}
	for name := range foreign {
		if folder, _, _ := strings.Cut(name, "/"); strings.HasPrefix(folder, "decision-") {
			foreignDecision = folder
		}
	}
	edit := func(name, field string, change func(any) any) func(map[string][]byte) {
		return func(p map[string][]byte) {
			var v map[string]any
			dec := json.NewDecoder(bytes.NewReader(p[name]))
			dec.UseNumber()
			if err := dec.Decode(&v); err != nil {
				t.Fatal(err)
			}
			v[field] = change(v[field])
			p[name], _ = audit.Canonical(v)
		}
	}
	to := func(x any) func(any) any { return func(any) any { return x } }
	drop := func(name string) func(map[string][]byte) { return func(p map[string][]byte) { delete(p, name) } }
	swap := func(name, from string) func(map[string][]byte) {
		return func(p map[string][]byte) { p[name] = foreign[from] }
	}
	flip := func(name string) func(map[string][]byte) {
		return func(p map[string][]byte) { p[name] = bytes.Clone(p[name]); p[name][len(p[name])/2] ^= 1 }
	}
	for name, c := range map[string]struct {
		spoil func(map[string][]byte)
		part  string
	}{
		"decision's plan":   {edit(decision+"/document.json", "prepared_at", to("2027-02-09T11:30:01Z")), decision + "/signature.json"},
		"decision's number": {edit(decision+"/document.json", "number", to("9999-A")), decision + "/signature.json"},
		"decision not canonical": {func(p map[string][]byte) {
			p[decision+"/document.json"] = append(bytes.Clone(p[decision+"/document.json"]), '\n')
		}, decision + "/document.json"},
		"decision's id":           {edit(decision+"/document.json", "id", to("00000000-0000-7000-8000-000000000000")), decision + "/document.json"},
		"signer named":            {edit(decision+"/signature.json", "person", to(string(w.tremblay))), decision + "/signature.json"},
		"instant":                 {edit(decision+"/signature.json", "signed_at", to("2027-02-09T11:31:00Z")), decision + "/evidence.json"},
		"key kind":                {edit(decision+"/signature.json", "credential_kind", to("passkey")), decision + "/leaf.json"},
		"user verified":           {edit(decision+"/signature.json", "user_verified", to(false)), decision + "/signature.json"},
		"origin":                  {edit(decision+"/signature.json", "origin", to("http://localhost:1")), decision + "/signature.json"},
		"enrollment leaf number":  {edit(decision+"/signature.json", "enrollment_leaf", to(json.Number("1"))), decision + "/leaf.json"},
		"signature":               {flip(decision + "/signature.json"), decision + "/signature.json"},
		"evidence's name":         {edit(decision+"/evidence.json", "responsible", to(string(w.kamau))), decision + "/evidence.json"},
		"evidence":                {flip(decision + "/evidence.json"), decision + "/evidence.json"},
		"evidence of the opinion": {func(p map[string][]byte) { p[decision+"/evidence.json"] = p[opinion+"/evidence.json"] }, decision + "/evidence.json"},
		"leaf":                    {flip(decision + "/leaf.json"), decision + "/leaf.json"},
		"leaf of the opinion":     {func(p map[string][]byte) { p[decision+"/leaf.json"] = p[opinion+"/leaf.json"] }, decision + "/leaf.json"},
		"leaf missing":            {drop(decision + "/leaf.json"), decision + "/leaf.json"},
		"enrollment":              {flip(decision + "/enrollment.json"), decision + "/enrollment.json"},
		"enrollment of another":   {func(p map[string][]byte) { p[decision+"/enrollment.json"] = p[opinion+"/enrollment.json"] }, decision + "/enrollment.json"},
		"enrollment missing":      {drop(decision + "/enrollment.json"), decision + "/enrollment.json"},
		"consistency":             {flip(decision + "/since.json"), decision + "/since.json"},
		"consistency missing":     {drop(decision + "/since.json"), decision + "/since.json"},
		"checkpoint":              {flip("checkpoint.txt"), "checkpoint"},
		"checkpoint missing":      {drop("checkpoint.txt"), "checkpoint"},
		"keys":                    {flip("keys.json"), "keys"},
		"keys missing":            {drop("keys.json"), "keys"},
		"FHIR":                    {edit("fhir.json", "timestamp", to("2027-02-10T00:00:00Z")), "fhir.json"},
		"FHIR missing":            {drop("fhir.json"), "fhir.json"},
		"opinion's document":      {flip(opinion + "/document.json"), opinion + "/signature.json"},
		"opinion's signature":     {flip(opinion + "/signature.json"), opinion + "/signature.json"},
		"opinion dropped": {func(p map[string][]byte) {
			for n := range p {
				if strings.HasPrefix(n, opinion+"/") {
					delete(p, n)
				}
			}
		}, "decision weighs opinions"},
		"decision of another case": {swap(decision+"/document.json", foreignDecision+"/document.json"), decision + "/document.json"},
		"something added":          {func(p map[string][]byte) { p["addendum-1/document.json"] = []byte(`{}`) }, "addendum-1"},
	} {
		spoiled := map[string][]byte{}
		for k, v := range parts {
			spoiled[k] = v
		}
		c.spoil(spoiled)
		r := verify(t, pack(t, spoiled), &trust)
		if r.Verdict != workspace.Invalid {
			t.Errorf("%s: %s", name, r.Verdict)
			continue
		}
		if !slices.ContainsFunc(r.Failed(), func(p workspace.Part) bool { return p.Name == c.part && p.Why != "" }) {
			t.Errorf("%s: %v does not name %s", name, r.Failed(), c.part)
		}
	}
}

var update = flag.Bool("update", false, "write the golden bundle anew")

// A bundle made by an earlier version, kept as it was: what was proved once must be
// provable by every later one, and no change of a byte may pass.
func TestGoldenBundleStillVerifies(t *testing.T) {
	const golden, trustFile = "testdata/bundle.zip", "testdata/trust.json"
	if *update {
		w := newWorld(t)
		id, op := w.ready()
		w.decide(id, op)
		trust := must(json.MarshalIndent(w.cases.Trust(), "", "  "))(t)
		w.ok(os.WriteFile(golden, w.bundle(id), 0o644))
		w.ok(os.WriteFile(trustFile, append(trust, '\n'), 0o644))
	}
	bundle := must(os.ReadFile(golden))(t)
	trust := must(workspace.ReadTrustFile(must(os.ReadFile(trustFile))(t)))(t)
	if r := verify(t, bundle, trust); r.Verdict != workspace.Valid {
		t.Fatalf("got %s: %v", r.Verdict, r.Failed())
	}
	for at := 0; at < len(bundle); at += 41 {
		spoiled := bytes.Clone(bundle)
		spoiled[at] ^= 0x20
		if r := verify(t, spoiled, trust); r.Verdict != workspace.Invalid {
			t.Fatalf("byte %d changed: %s", at, r.Verdict)
		}
	}
}

func TestBundleIsForThoseWhoAnswerForTheCase(t *testing.T) {
	w := newWorld(t)
	id, op := w.ready()
	w.decide(id, op)
	w.ok(w.cases.Bundle(w.ctx, w.actors[w.tremblay], id, io.Discard))
	refusal(t, w.cases.Bundle(w.ctx, w.actors[w.kiptoo], id, io.Discard), workspace.RefusedRole)
	if err := w.cases.Bundle(w.ctx, w.actors[w.kamau], id, io.Discard); err == nil {
		t.Error("an outsider got the bundle")
	}
	if bytes.Contains(w.bundle(id), []byte("Salma")) {
		t.Error("the patient's name is in the bundle")
	}
}
