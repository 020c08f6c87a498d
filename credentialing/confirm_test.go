package credentialing_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// confirmAll confirms every rule of a pack as an officer.
func (w *world) confirmAll(by identity.Actor, code string) {
	w.t.Helper()
	r, err := w.s.Review(w.t.Context(), by, code)
	w.must(err)
	for _, i := range r.Items {
		w.must(w.s.ConfirmRule(w.t.Context(), by, credentialing.ConfirmRequest{Code: code, Rule: i.ID, RuleSHA256: i.RuleSHA256,
			Evidence: "The notice, read in full", Address: "https://regulator.example/" + i.ID}))
	}
}

// strict is the world's database without anybody who accepts unconfirmed packs.
func (w *world) strict() *credentialing.Service {
	w.t.Helper()
	s, err := credentialing.New(credentialing.Config{DB: w.db, Zones: time.LoadLocation})
	w.must(err)
	return s
}

func (w *world) judge(s *credentialing.Service, a credentialing.Ask) (d credentialing.Determination) {
	w.t.Helper()
	w.must(w.db.Read(w.t.Context(), audit.Scope{Organization: string(w.nairobi)}, func(tx *audit.Tx) (err error) {
		d, err = s.Judge(w.t.Context(), tx, a)
		return err
	}))
	return d
}

func TestAPackIsReliedOnWhenEachOfItsRulesIsConfirmed(t *testing.T) {
	w := newWorld(t)
	w.cast()
	ctx := t.Context()
	s := w.strict()
	ask := w.ask(w.tremblay, credentialing.AdvisePhysician)
	if d := w.judge(s, ask); d.Allowed() || !slices.Contains(d.Reasons, "pack-not-verified:KE") {
		t.Fatalf("an unconfirmed pack counts: %s %v", d.Decision, d.Reasons)
	}
	review, err := w.s.Review(ctx, w.grace, "KE")
	w.must(err)
	if review.Confirmed != 0 || len(review.Items) != len(review.Pack.Rules) || review.Complete() {
		t.Fatalf("%d of %d confirmed at the begin", review.Confirmed, len(review.Items))
	}
	first := review.Items[0]
	req := credentialing.ConfirmRequest{Code: "KE", Rule: first.ID, RuleSHA256: first.RuleSHA256, Evidence: "The notice"}
	for _, c := range []struct {
		why  string
		by   identity.Actor
		r    func(*credentialing.ConfirmRequest)
		want error
	}{
		{"a physician", w.otieno, func(*credentialing.ConfirmRequest) {}, credentialing.ErrForbidden},
		{"without evidence", w.grace, func(r *credentialing.ConfirmRequest) { r.Evidence = " " }, credentialing.ErrInvalid},
		{"of another content", w.grace, func(r *credentialing.ConfirmRequest) { r.RuleSHA256 = strings.Repeat("0", 64) }, credentialing.ErrStale},
		{"of a rule that does not exist", w.grace, func(r *credentialing.ConfirmRequest) { r.Rule = "KE-999" }, credentialing.ErrNotFound},
		{"of the platform's own rules", w.grace, func(r *credentialing.ConfirmRequest) { r.Code = "ZZ" }, credentialing.ErrNotFound},
		{"read tomorrow", w.grace, func(r *credentialing.ConfirmRequest) { r.LookedOn = credentialing.Date(2026, 12, 24) }, credentialing.ErrInvalid},
		{"to be looked at again before", w.grace, func(r *credentialing.ConfirmRequest) { r.Again = credentialing.Date(2026, 1, 1) }, credentialing.ErrInvalid},
		{"with a file that runs", w.grace, func(r *credentialing.ConfirmRequest) { r.File = []byte("<html><script>x</script></html>") }, credentialing.ErrEvidenceType},
	} {
		bad := req
		c.r(&bad)
		if err := w.s.ConfirmRule(ctx, c.by, bad); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.why, err, c.want)
		}
	}
	req.File = []byte("what the register of notices shows")
	w.must(w.s.ConfirmRule(ctx, w.grace, req))
	if _, err := w.s.DraftConfirmed(ctx, w.grace, "KE"); !errors.Is(err, credentialing.ErrUnconfirmed) {
		t.Errorf("drafted with rules left: %v", err)
	}
	w.confirmAll(w.samuel, "KE")
	id, err := w.s.DraftConfirmed(ctx, w.samuel, "KE")
	w.must(err)
	again, err := w.s.DraftConfirmed(ctx, w.grace, "KE")
	w.must(err)
	if again != id {
		t.Error("the same confirmations make another draft")
	}
	if err := w.s.Publish(ctx, w.samuel, id, nil, 0); !errors.Is(err, credentialing.ErrSamePerson) {
		t.Errorf("published by who drafted it: %v", err)
	}
	changes := w.changes()
	w.must(w.s.Publish(ctx, w.grace, id, nil, 0))
	if w.changes() != changes+1 {
		t.Error("publishing is not a change for the place")
	}
	d := w.judge(s, ask)
	if !d.Allowed() || slices.ContainsFunc(d.Reasons, func(r string) bool { return strings.HasPrefix(r, "pack-not-verified") }) {
		t.Errorf("a confirmed pack does not count: %s %v", d.Decision, d.Reasons)
	}
	review, err = w.s.Review(ctx, w.grace, "KE")
	w.must(err)
	p := review.Pack
	if p.Status != "verified" || p.VerifiedBy.Name != "Samuel Kiptoo" || p.Version != "2026-11-21.1-confirmed.1" || !review.Complete() ||
		p.Rules[0].Verified.By.Name != "Samuel Kiptoo" || !strings.Contains(p.Rules[0].Verified.Proof, "https://regulator.example/KE-001") {
		t.Errorf("the edition is %s by %+v, version %s", p.Status, p.VerifiedBy, p.Version)
	}
	if _, err := w.s.DraftConfirmed(ctx, w.grace, "KE"); !errors.Is(err, credentialing.ErrExists) {
		t.Errorf("drafted again: %v", err)
	}
	// A year later somebody is to look again; a month after that it does not count.
	w.clock.move(366 * 24 * time.Hour)
	queue, err := w.s.Queue(ctx, w.grace)
	w.must(err)
	if !slices.ContainsFunc(queue, func(q credentialing.QueueItem) bool { return q.Task == credentialing.TaskPack && q.Pack == "KE" }) {
		t.Error("nobody is told to look at the pack again")
	}
	late := func() bool {
		a := ask
		a.At = w.clock.now()
		return slices.Contains(w.judge(s, a).Reasons, "pack-not-verified:KE")
	}
	if late() {
		t.Error("the pack stops counting on the day itself")
	}
	w.clock.move(30 * 24 * time.Hour)
	if !late() {
		t.Error("the pack counts a month after it was to be looked at")
	}
}

func TestAFileThatSaysItIsVerifiedIsBelievedOnlyAsFarAsItWasConfirmedHere(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.confirmAll(w.grace, "KE")
	id, err := w.s.DraftConfirmed(ctx, w.grace, "KE")
	w.must(err)
	var content string
	w.must(w.pg.Pool.QueryRow(ctx, `select content from pack_draft where id = $1`, string(id)).Scan(&content))
	for _, c := range []struct{ why, from, to, want string }{
		{"another sentence", "text: Foreign practitioners may", "text: Everybody may", "no officer here has confirmed"},
		{"another name", "name: Grace Wanjiru", "name: Somebody Else", "somebody else"},
		{"a rule not verified", "state: verified", "state: unverified-starter", "a verified pack has a rule that is not"},
	} {
		forged := strings.Replace(strings.Replace(content, "-confirmed.1", "-confirmed.7", 1), c.from, c.to, -1)
		if !strings.Contains(content, c.from) {
			t.Fatalf("%s: %q is not in the edition", c.why, c.from)
		}
		_, found, err := w.s.DraftEdition(ctx, w.grace, []byte(forged), time.Time{}, time.Time{})
		w.must(err)
		if !slices.ContainsFunc(found, func(e credentialing.PackError) bool { return strings.Contains(e.Error(), c.want) }) {
			t.Errorf("%s: %v", c.why, found)
		}
	}
}

// TestTheBinarysNewerPacksAreAChange starts another binary on the same database.
func TestTheBinarysNewerPacksAreAChange(t *testing.T) {
	w := newWorld(t)
	var first int
	w.must(w.pg.Pool.QueryRow(t.Context(), `select count(*) from credential_change where cause = 'edition'`).Scan(&first))
	if first != 0 {
		t.Errorf("the first start of a database is %d changes", first)
	}
	files := credentialing.Embedded()
	files["KE.yaml"] = []byte(strings.Replace(string(files["KE.yaml"]), `version: "2026-11-21.1"`, `version: "2027-02-01.1"`, 1))
	files["UG.yaml"] = []byte(strings.NewReplacer("KE", "UG", "Kenya", "Uganda", "Africa/Nairobi", "Africa/Kampala").Replace(string(files["KE.yaml"])))
	_, err := credentialing.New(credentialing.Config{DB: w.db, Zones: time.LoadLocation, Packs: files})
	w.must(err)
	rows, err := w.pg.Pool.Query(context.Background(), `select place from credential_change where cause = 'edition' order by place`)
	w.must(err)
	var places []string
	for rows.Next() {
		var p string
		w.must(rows.Scan(&p))
		places = append(places, p)
	}
	w.must(rows.Err())
	if !slices.Equal(places, []string{"KE", "UG"}) {
		t.Errorf("changes for %v, want KE and UG", places)
	}
}
