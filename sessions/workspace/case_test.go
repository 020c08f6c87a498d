package workspace_test

import (
	"bytes"
	"errors"
	"flag"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/sessions/workspace"
)

func TestNumberFindsWrongDigitsAndSwappedNeighbors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 9_999_999).Draw(t, "n")
		s := workspace.Number(n)
		if !workspace.ValidNumber(s) {
			t.Fatalf("%s is not valid", s)
		}
		digits := len(s) - 2
		at := rapid.IntRange(0, digits-1).Draw(t, "at")
		wrong := []byte(s)
		wrong[at] = byte('0' + rapid.IntRange(0, 9).Draw(t, "digit"))
		if string(wrong) != s && workspace.ValidNumber(string(wrong)) {
			t.Fatalf("%s passes for %s", wrong, s)
		}
		if at+1 < digits && s[at] != s[at+1] {
			swapped := []byte(s)
			swapped[at], swapped[at+1] = swapped[at+1], swapped[at]
			if workspace.ValidNumber(string(swapped)) {
				t.Fatalf("%s passes for %s", swapped, s)
			}
		}
	})
}

// Whatever people try in whatever order: the case follows Next, an opinion never
// decides, a decision is the responsible physician's, every command that succeeded
// or was refused left an event.
func TestCaseUnderRandomCommands(t *testing.T) {
	w := newWorld(t)
	w.key(w.otieno)
	w.key(w.tremblay)
	people := []identity.PersonID{w.otieno, w.tremblay, w.kamau, w.mwangi, w.kiptoo}
	commands := []string{"submit", "assign", "return", "decline", "withdraw", "opinion", "decide", "hand_back", "close", "say", "read_back", "consent", "edit"}
	events := map[string]workspace.Event{"submit": workspace.Submit, "return": workspace.Return, "decline": workspace.Decline, "withdraw": workspace.Withdraw,
		"opinion": workspace.GiveOpinion, "decide": workspace.SignDecision, "hand_back": workspace.HandBack, "close": workspace.Close}
	// Each history is some thirty transactions: thirty histories are a few seconds.
	checks := flag.Lookup("rapid.checks")
	if before := checks.Value.String(); before == checks.DefValue {
		w.ok(checks.Value.Set("30"))
		t.Cleanup(func() { _ = checks.Value.Set(before) })
	}
	rapid.Check(t, func(r *rapid.T) {
		id := w.create()
		if rapid.Bool().Draw(r, "consents") {
			w.consent(id, workspace.Advice)
			w.consent(id, workspace.RecordSharing, workspace.ClassHistory)
		}
		state := workspace.Draft
		for range rapid.IntRange(1, 10).Draw(r, "length") {
			cmd := rapid.SampledFrom(commands).Draw(r, "command")
			who := rapid.SampledFrom(people).Draw(r, "who")
			if rapid.IntRange(0, 2).Draw(r, "fitting") > 0 { // let most attempts come from who may
				who = w.otieno
				if cmd == "opinion" || cmd == "decline" || cmd == "return" {
					who = w.tremblay
				}
			}
			actor := w.actors[who]
			before := w.count(`select size::int from audit_head`)
			err := w.try(cmd, actor, id)
			v, openErr := w.cases.Open(w.ctx, w.actors[w.otieno], id)
			if openErr != nil {
				r.Fatalf("open: %v", openErr)
			}
			var incomplete *workspace.ErrIncomplete
			if !errors.As(err, &incomplete) && !errors.Is(err, workspace.ErrVersion) && w.count(`select size::int from audit_head`) <= before+1 {
				r.Fatalf("%s by %s: %v left no event", cmd, w.name(who), err)
			}
			want := state
			if ev, moves := events[cmd]; moves && err == nil {
				next, ok := state.Next(ev)
				if !ok {
					r.Fatalf("%s succeeded in %s", cmd, state)
				}
				want = next
			} else if cmd == "assign" && err == nil {
				want = workspace.Assigned
				if state != workspace.Submitted && state != workspace.Declined && state != workspace.Triaged {
					r.Fatalf("assigned in %s", state)
				}
			}
			if v.State != want {
				r.Fatalf("%s by %s (%v): %s became %s, want %s", cmd, w.name(who), err, state, v.State, want)
			}
			if err == nil {
				switch cmd {
				case "decide", "hand_back", "close", "submit", "withdraw", "read_back", "edit":
					if who != w.otieno {
						r.Fatalf("%s succeeded for %s", cmd, w.name(who))
					}
				case "opinion", "decline":
					if who != w.tremblay {
						r.Fatalf("%s succeeded for %s", cmd, w.name(who))
					}
				}
			}
			state = v.State
			decided := state == workspace.Decided || state == workspace.HandedBack || state == workspace.Closed
			if decided != (v.Decision != nil) {
				r.Fatalf("state %s with decision %v", state, v.Decision)
			}
			responsible := 0
			for _, m := range v.Members {
				if m.Role == workspace.RoleResponsible && m.Until.IsZero() {
					responsible++
				}
			}
			if responsible != 1 {
				r.Fatalf("%d responsible physicians", responsible)
			}
		}
	})
	if _, err := w.audit.VerifyAll(w.ctx); err != nil {
		t.Error(err)
	}
}

func (w *world) name(p identity.PersonID) string {
	for name, id := range map[string]identity.PersonID{"Otieno": w.otieno, "Tremblay": w.tremblay, "Kamau": w.kamau, "Mwangi": w.mwangi, "Kiptoo": w.kiptoo} {
		if id == p {
			return name
		}
	}
	return string(p)
}

func (w *world) try(cmd string, actor identity.Actor, id workspace.CaseID) error {
	switch cmd {
	case "submit":
		return w.cases.Submit(w.ctx, actor, id)
	case "assign":
		return w.cases.Assign(w.ctx, actor, id, w.tremblay)
	case "return":
		return w.cases.Return(w.ctx, actor, id, "more_history")
	case "decline":
		return w.cases.Decline(w.ctx, actor, id, "no_capacity")
	case "withdraw":
		return w.cases.Withdraw(w.ctx, actor, id, "no_longer_needed")
	case "say":
		_, err := w.cases.Say(w.ctx, actor, id, workspace.Message{Text: "hello", Language: "en"})
		return err
	case "consent":
		_, err := w.cases.RecordConsent(w.ctx, actor, id, workspace.ConsentRequest{Purpose: workspace.LiveConsult, Giver: workspace.Giver{Kind: "patient"}, How: workspace.SpokenWitnessed, Language: "ar"})
		return err
	case "edit":
		v, err := w.cases.Open(w.ctx, w.actors[w.otieno], id)
		if err != nil {
			return err
		}
		return w.cases.Edit(w.ctx, actor, id, v.Version, w.newCase())
	case "read_back":
		v, err := w.cases.Open(w.ctx, w.actors[w.otieno], id)
		if err != nil {
			return err
		}
		card := workspace.ReadBackID("01900000-0000-7000-8000-000000000000")
		if len(v.Cards) > 0 {
			card = v.Cards[len(v.Cards)-1].ID
		}
		return w.cases.ConfirmReadBack(w.ctx, actor, id, card, "en")
	case "opinion":
		p, err := w.cases.PrepareOpinion(w.ctx, actor, id, w.opinion())
		if err != nil {
			return err
		}
		_, err = w.cases.SubmitOpinion(w.ctx, actor, id, p.Request, w.key(actor.Person).assert(p.Challenge))
		return err
	case "decide":
		v, err := w.cases.Open(w.ctx, w.actors[w.otieno], id)
		if err != nil {
			return err
		}
		content := w.decision("")
		content.Answers = nil
		for _, o := range v.Opinions {
			for _, rec := range o.Opinion.Recommendations {
				content.Answers = append(content.Answers, workspace.Answer{Opinion: o.ID, Recommendation: rec.ID, Outcome: workspace.Accept})
			}
		}
		p, err := w.cases.PrepareDecision(w.ctx, actor, id, content)
		if err != nil {
			return err
		}
		_, err = w.cases.Sign(w.ctx, actor, id, p.Request, w.key(actor.Person).assert(p.Challenge))
		return err
	case "hand_back":
		return w.cases.HandBack(w.ctx, actor, id, workspace.HandBackRequest{To: "referring clinic", Summary: "done", Language: "en"})
	case "close":
		return w.cases.Close(w.ctx, actor, id)
	}
	panic(cmd)
}

func TestCandidatesSayWhyNot(t *testing.T) {
	w := newWorld(t)
	id := w.create()
	w.ok(w.cases.Submit(w.ctx, w.actors[w.otieno], id))
	list := must(w.cases.Candidates(w.ctx, w.actors[w.otieno], id))(t)
	if len(list) != 2 || list[0].Person.ID != w.tremblay || !list[0].Advise.Allowed() || !list[0].Visit.Allowed() {
		t.Fatalf("got %+v, want Tremblay first and allowed", list)
	}
	if !slices.Contains(list[0].MissingFirst, "consent=share-with-specialist") {
		t.Errorf("missing %v, want the consent to share", list[0].MissingFirst)
	}
	r := list[1].Advise.Refusal()
	if r == nil || len(r.Reasons) == 0 {
		t.Fatal("Weber has no reason")
	}
	if !slices.Contains(r.Reasons, "missing:KE-001:registration=temporary-licence") {
		t.Errorf("reasons %v", r.Reasons)
	}
	err := w.cases.Assign(w.ctx, w.actors[w.otieno], id, w.weber)
	refusal(t, err, workspace.RefusedScope)
	w.ok(w.cases.Assign(w.ctx, w.actors[w.mwangi], id, w.tremblay)) // the coordinator may
}

func TestSpecialistReadsWhatConsentCovers(t *testing.T) {
	w := newWorld(t)
	id := w.assigned()
	upload := func(class workspace.Class, name, content string) workspace.FileID {
		return must(w.cases.Upload(w.ctx, w.actors[w.otieno], id, workspace.UploadRequest{Name: name, Class: class, Language: "en", Content: strings.NewReader(content)}))(t)
	}
	labs := upload(workspace.ClassLabs, "labs.txt", "Hb 11.2 g/dl\n")
	images := upload(workspace.ClassImages, "report.txt", "report of the X-ray\n")
	_, r, err := w.cases.OpenFile(w.ctx, w.actors[w.tremblay], id, labs)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got := string(must(io.ReadAll(r))(t)); got != "Hb 11.2 g/dl\n" {
		t.Errorf("got %q", got)
	}
	_, _, err = w.cases.OpenFile(w.ctx, w.actors[w.tremblay], id, images)
	refusal(t, err, workspace.RefusedConsent)
	if _, _, err = w.cases.OpenFile(w.ctx, w.actors[w.kamau], id, labs); !errors.Is(err, workspace.ErrNotFound) {
		t.Errorf("an outsider got %v", err)
	}
	_, _, err = w.cases.OpenFile(w.ctx, w.actors[w.mwangi], id, labs)
	refusal(t, err, workspace.RefusedRole)
	if n := w.count(`select count(*) from audit_leaf where act in ('file.viewed', 'file.view_refused')`); n != 3 {
		t.Errorf("%d events of views, want 3", n)
	}

	consents := w.consent(id, workspace.RecordSharing, workspace.ClassImages)
	_, r, err = w.cases.OpenFile(w.ctx, w.actors[w.tremblay], id, images)
	w.ok(err)
	r.Close()
	w.ok(w.cases.WithdrawConsent(w.ctx, w.actors[w.otieno], id, consents[0], "spoken_witnessed"))
	_, _, err = w.cases.OpenFile(w.ctx, w.actors[w.tremblay], id, images)
	refusal(t, err, workspace.RefusedConsent)
	v := must(w.cases.Open(w.ctx, w.actors[w.tremblay], id))(t)
	for _, f := range v.Files {
		if (f.Refusal == nil) != (f.ID == labs) {
			t.Errorf("%s: %v", f.Name, f.Refusal)
		}
	}
	// Without agreement no transfer, whatever the consent says: identity is in none.
	identityFile := upload(workspace.ClassIdentity, "id.txt", "card\n")
	w.consent(id, workspace.RecordSharing, workspace.ClassIdentity)
	_, _, err = w.cases.OpenFile(w.ctx, w.actors[w.tremblay], id, identityFile)
	refusal(t, err, workspace.RefusedAgreement)
}

func TestWithdrawnConsentClosesTheCaseForTheSpecialist(t *testing.T) {
	w := newWorld(t)
	id := w.assigned()
	if v := must(w.cases.Open(w.ctx, w.actors[w.tremblay], id))(t); v.Clinical == nil {
		t.Fatal("the specialist sees nothing")
	}
	v := must(w.cases.Open(w.ctx, w.actors[w.otieno], id))(t)
	for _, c := range v.Consents {
		if c.Purpose == workspace.Advice {
			w.ok(w.cases.WithdrawConsent(w.ctx, w.actors[w.otieno], id, c.ID, "spoken_witnessed"))
			w.ok(w.cases.WithdrawConsent(w.ctx, w.actors[w.otieno], id, c.ID, "spoken_witnessed")) // twice is once
		}
	}
	if v := must(w.cases.Open(w.ctx, w.actors[w.tremblay], id))(t); v.Clinical != nil || v.Advising.Allowed() {
		t.Errorf("the specialist still sees the case; advising %s", v.Advising.Decision)
	}
	if _, err := w.cases.PrepareOpinion(w.ctx, w.actors[w.tremblay], id, w.opinion()); err == nil {
		t.Error("the specialist may still advise")
	}
}

func TestCoordinatorSeesNoClinicalContent(t *testing.T) {
	w := newWorld(t)
	id := w.assigned()
	v := must(w.cases.Open(w.ctx, w.actors[w.mwangi], id))(t)
	if v.Clinical != nil || len(v.Files) != 0 || len(v.Messages) != 0 {
		t.Error("the coordinator sees clinical content")
	}
	for _, c := range v.Consents {
		if c.Text != "" {
			t.Error("the coordinator reads the consents' texts")
		}
	}
	_, err := w.cases.OpenIdentity(w.ctx, w.actors[w.mwangi], id)
	refusal(t, err, workspace.RefusedRole)
	p := must(w.cases.OpenIdentity(w.ctx, w.actors[w.otieno], id))(t)
	if p.Name != "Salma Idris" {
		t.Errorf("got %q", p.Name)
	}
	for _, item := range must(w.cases.ListFor(w.ctx, w.actors[w.mwangi]))(t) {
		if item.Title != "" {
			t.Error("the board shows titles")
		}
	}
	if list := must(w.cases.ListFor(w.ctx, w.actors[w.tremblay]))(t); len(list) != 1 || list[0].Title == "" || list[0].Yours != workspace.RoleSpecialist {
		t.Errorf("the specialist's list: %+v", list)
	}
	if list := must(w.cases.ListFor(w.ctx, w.actors[w.kamau]))(t); len(list) != 0 {
		t.Errorf("a physician of no case sees %d", len(list))
	}
}

func pngOf(t testing.TB) []byte {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, 32, 16))
	m.SetGray(3, 3, color.Gray{200})
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestUploadRefusals(t *testing.T) {
	w := newWorld(t)
	id := w.create()
	picture := pngOf(t)
	huge := bytes.Clone(picture) // says 60000 x 60000 in its header
	copy(huge[16:24], []byte{0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60})
	for name, c := range map[string]struct {
		name    string
		content io.Reader
		want    error
	}{
		"svg":                   {"drawing.svg", strings.NewReader(`<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>`), workspace.ErrFileType},
		"archive":               {"a.zip", strings.NewReader("PK\x03\x04" + strings.Repeat("x", 100)), workspace.ErrFileType},
		"program":               {"a.txt", strings.NewReader("\x7fELF" + strings.Repeat("\x00", 100)), workspace.ErrFileType},
		"page":                  {"a.txt", strings.NewReader("<!DOCTYPE html><html><script>1</script></html>"), workspace.ErrFileType},
		"extension disagrees":   {"ecg.pdf", bytes.NewReader(picture), workspace.ErrFileType},
		"no extension":          {"ecg", bytes.NewReader(picture), workspace.ErrFileType},
		"damaged picture":       {"ecg.png", bytes.NewReader(picture[:40]), workspace.ErrDamaged},
		"picture of 3.6 GP":     {"ecg.png", bytes.NewReader(huge), nil}, // damaged or too large, never decoded
		"larger than the limit": {"a.txt", io.LimitReader(zeros('a'), workspace.MaxFile+1), workspace.ErrTooLarge},
	} {
		_, err := w.cases.Upload(w.ctx, w.actors[w.otieno], id, workspace.UploadRequest{Name: c.name, Class: workspace.ClassLabs, Language: "en", Content: c.content})
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	_, err := w.cases.Upload(w.ctx, w.actors[w.kiptoo], id, workspace.UploadRequest{Name: "a.txt", Class: workspace.ClassLabs, Language: "en", Content: strings.NewReader("x")})
	refusal(t, err, workspace.RefusedRole)
	if left, _ := os.ReadDir(filepath.Join(w.dir, "data", "quarantine")); len(left) != 0 {
		t.Errorf("%d files left in quarantine", len(left))
	}
	if n := w.count(`select count(*) from case_file`); n != 0 {
		t.Errorf("%d files after refusals", n)
	}
}

type zeros byte

func (z zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(z)
	}
	return len(p), nil
}

func TestUploadedImageLosesWhatWasHiddenInIt(t *testing.T) {
	w := newWorld(t)
	id := w.create()
	content := append(pngOf(t), "HIDDEN-NAME"...)
	file := must(w.cases.Upload(w.ctx, w.actors[w.otieno], id, workspace.UploadRequest{Name: "../../etc/xray.PNG", Class: workspace.ClassImages, Language: "zxx", Content: bytes.NewReader(content)}))(t)
	f, r, err := w.cases.OpenFile(w.ctx, w.actors[w.otieno], id, file)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := must(io.ReadAll(r))(t)
	if bytes.Contains(got, []byte("HIDDEN")) || f.Name != "xray.PNG" || f.MediaType != "image/png" || f.Scan != "not_scanned_demonstration" || int64(len(got)) != f.Size {
		t.Errorf("got %+v, %d bytes", f, len(got))
	}
	// On disk nothing is readable, and a changed byte is found.
	var stored string
	_ = filepath.WalkDir(filepath.Join(w.dir, "data", "files"), func(path string, d os.DirEntry, _ error) error {
		if d != nil && d.Type().IsRegular() {
			stored = path
		}
		return nil
	})
	raw := must(os.ReadFile(stored))(t)
	if bytes.Contains(raw, []byte("PNG")) {
		t.Error("the file is readable on disk")
	}
	raw[len(raw)-1] ^= 1
	w.ok(os.WriteFile(stored, raw, 0o600))
	_, r, err = w.cases.OpenFile(w.ctx, w.actors[w.otieno], id, file)
	if err == nil {
		if _, err = io.ReadAll(r); err == nil {
			t.Error("a changed file was read")
		}
		r.Close()
	}
}

func TestEditRefusesStaleVersionAndSubmittedCase(t *testing.T) {
	w := newWorld(t)
	id := w.create()
	w.ok(w.cases.Edit(w.ctx, w.actors[w.otieno], id, 1, w.newCase()))
	if err := w.cases.Edit(w.ctx, w.actors[w.otieno], id, 1, w.newCase()); !errors.Is(err, workspace.ErrVersion) {
		t.Errorf("got %v, want ErrVersion", err)
	}
	w.ok(w.cases.Submit(w.ctx, w.actors[w.otieno], id))
	refusal(t, w.cases.Edit(w.ctx, w.actors[w.otieno], id, 3, w.newCase()), workspace.RefusedState)
}

func TestDraftOfAnOpinionIsKeptAndNotOverwritten(t *testing.T) {
	w := newWorld(t)
	id := w.assigned()
	v := must(w.cases.SaveOpinionDraft(w.ctx, w.actors[w.tremblay], id, 0, workspace.OpinionContent{Language: "fr", Assessment: "première"}))(t)
	if _, err := w.cases.SaveOpinionDraft(w.ctx, w.actors[w.tremblay], id, 0, workspace.OpinionContent{Language: "fr"}); !errors.Is(err, workspace.ErrVersion) {
		t.Errorf("got %v, want ErrVersion", err)
	}
	v = must(w.cases.SaveOpinionDraft(w.ctx, w.actors[w.tremblay], id, v, workspace.OpinionContent{Language: "fr", Assessment: "deuxième"}))(t)
	seen := must(w.cases.Open(w.ctx, w.actors[w.tremblay], id))(t)
	if seen.Draft == nil || seen.Draft.Assessment != "deuxième" || seen.DraftVersion != v {
		t.Errorf("got %+v, version %d", seen.Draft, seen.DraftVersion)
	}
	if other := must(w.cases.Open(w.ctx, w.actors[w.otieno], id))(t); other.Draft != nil {
		t.Error("the draft is shown to others")
	}
}

// Removing a consent never allows more; a withdrawal or an end only takes away.
func TestRemovingConsentNeverAllowsMore(t *testing.T) {
	people := []identity.PersonID{"", "a", "b"}
	places := []string{"", "CA", "CA-ON", "DE"}
	rapid.Check(t, func(t *rapid.T) {
		one := rapid.Custom(func(t *rapid.T) workspace.Consent {
			c := workspace.Consent{Purpose: rapid.SampledFrom(workspace.Purposes).Draw(t, "purpose"), Class: rapid.SampledFrom(append([]workspace.Class{""}, workspace.Classes...)).Draw(t, "class"),
				Destination: rapid.SampledFrom(places).Draw(t, "to"), Receiver: rapid.SampledFrom(people).Draw(t, "receiver"), TextVersion: workspace.ConsentTextVersion,
				RecordedAt: start.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, "recorded")) * time.Hour)}
			if rapid.Bool().Draw(t, "ends") {
				c.WithdrawnAt = start.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, "withdrawn")) * time.Hour)
			}
			return c
		})
		all := rapid.SliceOfN(one, 1, 6).Draw(t, "consents")
		gone := rapid.IntRange(0, len(all)-1).Draw(t, "gone")
		fewer := slices.Delete(slices.Clone(all), gone, gone+1)
		use := workspace.Use{Purpose: rapid.SampledFrom(workspace.Purposes).Draw(t, "use"), Class: rapid.SampledFrom(workspace.Classes).Draw(t, "use class"),
			Destination: rapid.SampledFrom(places).Draw(t, "use to"), Receiver: rapid.SampledFrom(people).Draw(t, "use by"), At: start}
		if workspace.Allows(fewer, use) && !workspace.Allows(all, use) {
			t.Fatal("fewer consents allow more")
		}
		inForce := func(list []workspace.Consent) map[string]bool {
			out := map[string]bool{}
			for _, c := range workspace.PackConsents(list, "KE", use.Receiver, nil) {
				if !c.Recorded.After(start) && (c.Withdrawn.IsZero() || start.Before(c.Withdrawn)) {
					out[c.Type] = true
				}
			}
			return out
		}
		more := inForce(all)
		for kind := range inForce(fewer) {
			if !more[kind] {
				t.Fatalf("fewer consents give %s", kind)
			}
		}
	})
}

func TestPackConsentsNeedBothAdviceAndSharing(t *testing.T) {
	at := start
	advice := workspace.Consent{Purpose: workspace.Advice, Receiver: "a", RecordedAt: at}
	sharing := workspace.Consent{Purpose: workspace.RecordSharing, Class: workspace.ClassLabs, Destination: "CA", Receiver: "a", RecordedAt: at.Add(time.Hour)}
	kinds := func(who identity.PersonID, list ...workspace.Consent) []string {
		var out []string
		for _, c := range workspace.PackConsents(list, "KE", who, nil) {
			out = append(out, c.Type)
		}
		slices.Sort(out)
		return out
	}
	for name, c := range map[string]struct{ got, want []string }{
		"advice alone":           {kinds("a", advice), nil},
		"sharing alone":          {kinds("a", sharing), []string{"overseas-transfer"}},
		"both":                   {kinds("a", advice, sharing), []string{"overseas-transfer", "share-with-specialist"}},
		"for another specialist": {kinds("b", advice, sharing), nil},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: got %v, want %v", name, c.got, c.want)
		}
	}
	shared := workspace.PackConsents([]workspace.Consent{advice, sharing}, "KE", "a", nil)
	for _, c := range shared {
		if c.Type == "share-with-specialist" && !c.Recorded.Equal(at.Add(time.Hour)) {
			t.Errorf("recorded %s, want the later of the two", c.Recorded)
		}
	}
}

func TestConsentKeepsTheWordsShown(t *testing.T) {
	w := newWorld(t)
	id := w.create()
	w.consent(id, workspace.RecordSharing, workspace.ClassLabs)
	v := must(w.cases.Open(w.ctx, w.actors[w.otieno], id))(t)
	if len(v.Consents) != 1 {
		t.Fatalf("%d consents", len(v.Consents))
	}
	c := v.Consents[0]
	if c.Language != "ar" || !strings.Contains(c.Text, "كندا") || !strings.Contains(c.Text, "Claire Tremblay") || c.Witness != w.otieno || c.Destination != "CA" {
		t.Errorf("got %+v", c)
	}
	for _, lang := range workspace.ConsentLanguages {
		for _, p := range workspace.Purposes {
			classes := []workspace.Class{""}
			if p == workspace.RecordSharing {
				classes = workspace.Classes
			}
			for _, class := range classes {
				text, err := workspace.ConsentText(lang, p, class, workspace.ConsentNames{Receiver: "R", Destination: "CA", Physician: "P"})
				if err != nil || text == "" || strings.ContainsAny(text, "{}") {
					t.Errorf("%s %s %s: %q, %v", lang, p, class, text, err)
				}
			}
		}
	}
}
