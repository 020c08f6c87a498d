package credentialing_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// ending is a license on file that ends in 20 days.
func (w *world) ending() credentialing.Entered {
	at := w.clock.now().AddDate(0, 0, 20)
	return w.onFile(license(w.otieno, "KE", "KE-1", credentialing.Date(at.Year(), at.Month(), at.Day())))
}

func (w *world) link(e credentialing.Entered) string {
	w.t.Helper()
	token, err := w.s.IssueUploadLink(w.t.Context(), identity.System("mail", ""), e.Credential, w.otieno.Person)
	w.must(err)
	return token
}

func upload(to credentialing.Moment, contents ...string) credentialing.LinkedUpload {
	u := credentialing.LinkedUpload{ValidTo: to}
	for _, c := range contents {
		u.Files = append(u.Files, credentialing.EvidenceFile{Content: strings.NewReader(c)})
	}
	return u
}

var renewed = credentialing.Date(2028, 12, 31)

func TestDocumentByLinkIsAClaimThatWaitsAndVerifiesNothing(t *testing.T) {
	w := newWorld(t)
	e := w.ending()
	token := w.link(e)
	for range 3 { // a scanner of mail
		if c, err := w.s.Linked(t.Context(), token); err != nil || c.Issuer == "" || c.Ends.IsZero() || c.Files != 0 {
			t.Fatal(c, err)
		}
	}
	before, err := w.s.View(t.Context(), w.grace, e.Credential)
	w.must(err)
	w.clock.move(time.Hour)
	if n, err := w.s.UploadByLink(t.Context(), token, upload(renewed, "page one", "page two")); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := w.s.UploadByLink(t.Context(), token, upload(renewed, "page three")); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	v, err := w.s.View(t.Context(), w.grace, e.Credential)
	w.must(err)
	if v.State != credentialing.StateClaimed || !v.ByLink || v.Claim.ValidTo != renewed || v.EnteredBy != "" {
		t.Errorf("claim %+v", v)
	}
	if v.Standing.Usable != before.Standing.Usable || !v.Standing.Ends.Equal(before.Standing.Ends) || v.Counts.ID != before.Counts.ID || v.Verification != nil {
		t.Errorf("what counts changed: %+v, was %+v", v.Standing, before.Standing)
	}
	byLink := 0
	for _, f := range v.Evidence {
		if f.ByLink && f.CapturedBy == "" {
			byLink++
		}
	}
	if byLink != 3 {
		t.Errorf("%d files by link, want 3", byLink)
	}
	queue, err := w.s.Queue(t.Context(), w.grace)
	w.must(err)
	seen := false
	for _, q := range queue {
		seen = seen || q.Task == credentialing.TaskVerify && q.Credential == e.Credential && q.ByLink
	}
	if !seen {
		t.Errorf("the queue does not say that it came by link: %+v", queue)
	}
	var claims, events int
	w.must(w.pg.Pool.QueryRow(t.Context(), `select count(*) from credential_claim where link_id is not null`).Scan(&claims))
	w.must(w.pg.Pool.QueryRow(t.Context(), `select count(*) from audit_leaf where act = 'credential.uploaded_by_link'`).Scan(&events))
	if claims != 1 || events != 2 {
		t.Errorf("%d claims and %d events, want 1 and 2", claims, events)
	}
	// The two officers do the rest; then the link is no longer needed.
	w.clock.move(time.Hour)
	_, sum := w.enter(license(w.otieno, "KE", "KE-1", renewed))
	w.must(w.s.Approve(t.Context(), w.samuel, w.verify(e, sum, "primary-source")))
	if _, err := w.s.Linked(t.Context(), token); !errors.Is(err, credentialing.ErrLink) {
		t.Errorf("after the renewal: %v", err)
	}
}

func TestLinkEndsByTimeByHandAndWithItsPerson(t *testing.T) {
	w := newWorld(t)
	e := w.ending()
	good := func(token string) bool {
		_, err := w.s.Linked(t.Context(), token)
		if err != nil && !errors.Is(err, credentialing.ErrLink) {
			t.Fatal(err)
		}
		_, up := w.s.UploadByLink(t.Context(), token, upload(credentialing.Moment{}, "page"))
		if err != nil && !errors.Is(up, credentialing.ErrLink) {
			t.Errorf("page refuses (%v) and upload gives %v", err, up)
		}
		return err == nil
	}
	for _, token := range []string{"", "AAAA", strings.Repeat("A", 43), strings.Repeat("A", 44), "%00"} {
		if good(token) {
			t.Errorf("token %q is good", token)
		}
	}
	token := w.link(e)
	w.must(w.s.FinishUpload(t.Context(), token))
	if good(token) {
		t.Error("good after it was closed")
	}
	token = w.link(e)
	links, err := w.s.UploadLinks(t.Context(), w.otieno, e.Credential)
	w.must(err)
	if err := w.s.RevokeUploadLink(t.Context(), w.kamau, e.Credential, links[0].ID); !errors.Is(err, credentialing.ErrNotFound) {
		t.Errorf("a colleague revokes: %v", err)
	}
	if !good(token) {
		t.Fatal("not good")
	}
	w.must(w.s.RevokeUploadLink(t.Context(), w.otieno, e.Credential, links[0].ID))
	if good(token) {
		t.Error("good after it was revoked")
	}
	var tokens []string
	for range 5 {
		tokens = append(tokens, w.link(e))
		w.clock.move(time.Minute)
	}
	if good(tokens[0]) || !good(tokens[1]) || !good(tokens[4]) {
		t.Error("the newest four are good, and no others")
	}
	_, err = w.pg.Pool.Exec(t.Context(), `update person set disabled_at = $2 where id = $1`, string(w.otieno.Person), w.clock.now())
	w.must(err)
	if good(tokens[4]) {
		t.Error("good for somebody who is gone")
	}
	_, err = w.pg.Pool.Exec(t.Context(), `update person set disabled_at = null where id = $1`, string(w.otieno.Person))
	w.must(err)
	w.clock.move(30 * 24 * time.Hour)
	if good(tokens[4]) {
		t.Error("good after 30 days")
	}
	if _, err := w.s.IssueUploadLink(t.Context(), w.grace, e.Credential, w.otieno.Person); !errors.Is(err, credentialing.ErrForbidden) {
		t.Errorf("an officer gets a token: %v", err)
	}
	if _, err := w.s.IssueUploadLink(t.Context(), identity.System("mail", ""), e.Credential, w.kamau.Person); !errors.Is(err, credentialing.ErrNotFound) {
		t.Errorf("a link for another: %v", err)
	}
	if err := w.s.AskForUpload(t.Context(), w.otieno, e.Credential); !errors.Is(err, credentialing.ErrForbidden) {
		t.Errorf("a physician has a mail sent: %v", err)
	}
	w.must(w.s.AskForUpload(t.Context(), w.grace, e.Credential))
}

func TestFilesByLinkAreRefusedWhole(t *testing.T) {
	w := newWorld(t)
	e := w.ending()
	token := w.link(e)
	big := strings.Repeat("a", credentialing.MaxEvidence+1)
	for name, c := range map[string]struct {
		u    credentialing.LinkedUpload
		want error
	}{
		"no file":            {upload(renewed), credentialing.ErrInvalid},
		"no last day":        {upload(credentialing.Moment{}, "page"), credentialing.ErrInvalid},
		"an earlier day":     {upload(credentialing.Date(2026, 12, 1), "page"), credentialing.ErrInvalid},
		"an empty file":      {upload(renewed, "page", ""), credentialing.ErrEvidenceEmpty},
		"too large":          {upload(renewed, big), credentialing.ErrEvidenceLarge},
		"a page with script": {upload(renewed, "page", "<html><script>alert(1)</script>"), credentialing.ErrEvidenceType},
		"too many":           {upload(renewed, strings.Split("abcdefghijk", "")...), credentialing.ErrLinkFull},
	} {
		if _, err := w.s.UploadByLink(t.Context(), token, c.u); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	c, err := w.s.Linked(t.Context(), token)
	w.must(err)
	v, err := w.s.View(t.Context(), w.grace, e.Credential)
	w.must(err)
	if c.Files != 0 || len(v.Evidence) != 1 || v.State != credentialing.StateApproved {
		t.Errorf("something stayed: %d files, %+v", c.Files, v)
	}
	// Twelve at once: as many as the link takes, and no more.
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			if _, err := w.s.UploadByLink(t.Context(), token, upload(renewed, "page")); err != nil && !errors.Is(err, credentialing.ErrLinkFull) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if c, err = w.s.Linked(t.Context(), token); err != nil || c.Files != credentialing.MaxLinkFiles {
		t.Errorf("%d files, %v", c.Files, err)
	}
}

func TestOfficersRenewalIsNotReplacedByALink(t *testing.T) {
	w := newWorld(t)
	e := w.ending()
	token := w.link(e)
	w.enter(license(w.otieno, "KE", "KE-1", credentialing.Date(2029, 6, 30)))
	if _, err := w.s.UploadByLink(t.Context(), token, upload(renewed, "page")); err != nil {
		t.Fatal(err)
	}
	v, err := w.s.View(t.Context(), w.grace, e.Credential)
	w.must(err)
	if v.Claim.ValidTo != credentialing.Date(2029, 6, 30) || len(v.Evidence) != 3 {
		t.Errorf("claim to %s with %d files", v.Claim.ValidTo, len(v.Evidence))
	}
}
