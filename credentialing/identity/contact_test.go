package identity_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// asked is the number of the last code that was asked for.
func (h *house) asked(t *testing.T, id identity.PersonID) (code string) {
	t.Helper()
	err := h.db.Read(t.Context(), audit.Scope{Person: string(id)}, func(tx *audit.Tx) error {
		return tx.QueryRow(t.Context(), `select id::text from contact_code where person_id = $1 order by asked_at desc, id desc limit 1`, string(id)).Scan(&code)
	})
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// other is a code that is not the one.
func other(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

func TestPhoneIsUsedOnlyAfterItsCodeWasTyped(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	me := identity.Actor{Person: h.cast.Specialist.ID}
	if c, err := h.ContactOf(ctx, me.Person); err != nil || c.Channel != identity.ChannelMail || c.Quiet != identity.DefaultQuiet || c.Texts() || !c.Mails() {
		t.Fatalf("%+v, %v", c, err)
	}
	if err := h.SetContact(ctx, me, identity.ChannelSMS, identity.DefaultQuiet); !errors.Is(err, identity.ErrNoPhone) {
		t.Errorf("text messages to no number: %v", err)
	}
	if err := h.ProvePhone(ctx, me, "123456"); !errors.Is(err, identity.ErrCodeOver) {
		t.Errorf("a code nobody asked for: %v", err)
	}
	if err := h.AskCode(ctx, me, "+1 (416) 555-0100"); err != nil {
		t.Fatal(err)
	}
	if c, err := h.ContactOf(ctx, me.Person); err != nil || c.Phone != "" || c.Pending != "+14165550100" || c.Texts() {
		t.Errorf("%+v, %v", c, err)
	}
	if err := h.ProvePhone(ctx, me, ""); !errors.Is(err, identity.ErrCode) {
		t.Errorf("before it was sent: %v", err)
	}
	phone, first, err := h.IssueCode(ctx, me.Person, h.asked(t, me.Person))
	if err != nil || phone != "+14165550100" || len(first) != 6 {
		t.Fatal(phone, first, err)
	}
	_, code, err := h.IssueCode(ctx, me.Person, h.asked(t, me.Person)) // the job is repeated
	if err != nil {
		t.Fatal(err)
	}
	if err := h.ProvePhone(ctx, me, other(code)); !errors.Is(err, identity.ErrCode) {
		t.Errorf("a wrong code: %v", err)
	}
	if err := h.ProvePhone(ctx, identity.Actor{Person: h.cast.Local.ID}, code); !errors.Is(err, identity.ErrCodeOver) {
		t.Errorf("somebody else's code: %v", err)
	}
	if err := h.ProvePhone(ctx, me, " "+code+" "); err != nil {
		t.Fatal(err)
	}
	if c, err := h.ContactOf(ctx, me.Person); err != nil || c.Phone != phone || c.Pending != "" || c.Channel != identity.ChannelBoth || !c.Texts() || !c.Mails() {
		t.Errorf("%+v, %v", c, err)
	}
	if err := h.ProvePhone(ctx, me, code); !errors.Is(err, identity.ErrCodeOver) {
		t.Errorf("the code again: %v", err)
	}
	if err := h.SetContact(ctx, me, identity.ChannelSMS, identity.Quiet{From: 22 * 60, Until: 6 * 60}); err != nil {
		t.Fatal(err)
	}
	if c, err := h.ContactOf(ctx, me.Person); err != nil || c.Mails() || c.Quiet.From != 22*60 || c.Phone != phone {
		t.Errorf("%+v, %v", c, err)
	}
	if err := h.DropPhone(ctx, me); err != nil {
		t.Fatal(err)
	}
	if c, err := h.ContactOf(ctx, me.Person); err != nil || c.Phone != "" || c.Channel != identity.ChannelMail || c.Quiet.Until != 6*60 {
		t.Errorf("%+v, %v", c, err)
	}
	for name, err := range map[string]error{
		"no channel":   h.SetContact(ctx, me, "pigeon", identity.DefaultQuiet),
		"hour 25":      h.SetContact(ctx, me, identity.ChannelMail, identity.Quiet{From: 25 * 60}),
		"not a number": h.AskCode(ctx, me, "call me"),
		"no country":   h.AskCode(ctx, me, "0416 555 0100"),
	} {
		if _, ok := errors.AsType[*identity.Invalid](err); !ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := h.AskCode(ctx, identity.Actor{}, "+14165550100"); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("nobody: %v", err)
	}
}

func TestCodeCannotBeGuessedNorKeptNorAskedForWithoutEnd(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	me := identity.Actor{Person: h.cast.Specialist.ID}
	code := func() string {
		t.Helper()
		if err := h.AskCode(ctx, me, "+14165550100"); err != nil {
			t.Fatal(err)
		}
		_, code, err := h.IssueCode(ctx, me.Person, h.asked(t, me.Person))
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	first := code()
	// Twenty at once: no more than five are looked at.
	var wrong, over atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			switch err := h.ProvePhone(ctx, me, other(first)); {
			case errors.Is(err, identity.ErrCode):
				wrong.Add(1)
			case errors.Is(err, identity.ErrCodeOver):
				over.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if wrong.Load() != 5 || over.Load() != 15 {
		t.Errorf("%d were tried, %d refused", wrong.Load(), over.Load())
	}
	if err := h.ProvePhone(ctx, me, first); !errors.Is(err, identity.ErrCodeOver) {
		t.Errorf("the right one after five wrong ones: %v", err)
	}
	second := code()
	old := h.asked(t, me.Person)
	h.pass(10 * time.Minute)
	if err := h.ProvePhone(ctx, me, second); !errors.Is(err, identity.ErrCodeOver) {
		t.Errorf("after ten minutes: %v", err)
	}
	if _, _, err := h.IssueCode(ctx, me.Person, old); !errors.Is(err, identity.ErrCodeOver) {
		t.Errorf("sent after ten minutes: %v", err)
	}
	third := code()
	fourth := code()
	if third != fourth {
		if err := h.ProvePhone(ctx, me, third); !errors.Is(err, identity.ErrCode) {
			t.Errorf("one that another overtook: %v", err)
		}
	}
	_ = code()
	if err := h.AskCode(ctx, me, "+14165550100"); !errors.Is(err, identity.ErrManyCodes) {
		t.Errorf("a sixth in a day: %v", err)
	}
	h.pass(24 * time.Hour)
	if err := h.ProvePhone(ctx, me, code()); err != nil {
		t.Errorf("the next day: %v", err)
	}
}

func TestQuietHoursAreAnIntervalOfTheDayAcrossMidnight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := identity.Quiet{From: rapid.IntRange(0, 1439).Draw(t, "from"), Until: rapid.IntRange(0, 1439).Draw(t, "until")}
		n := 0
		for m := range 1440 {
			if q.Holds(m) {
				n++
			}
		}
		if want := (q.Until - q.From + 1440) % 1440; n != want {
			t.Fatalf("%+v: %d minutes are quiet, want %d", q, n, want)
		}
		if q.From != q.Until && (!q.Holds(q.From) || q.Holds(q.Until)) {
			t.Fatalf("%+v: its ends", q)
		}
	})
}

func TestParsePhone(t *testing.T) {
	for typed, want := range map[string]string{
		"+254 700 000 001": "+254700000001", "00254-700-000-001": "+254700000001", "+1 (416) 555.0100": "+14165550100",
		"+٩٦٦٥٠٠٠٠٠٠٠١": "+966500000001", " ＋86 138 0000 0000 ": "+8613800000000",
	} {
		if got, err := identity.ParsePhone(typed); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", typed, got, err, want)
		}
	}
	for _, typed := range []string{"", "+", "0700000001", "+0123456789", "+12", "+" + strings.Repeat("1", 16), "+1416555O100", "tel:+14165550100", "+1416 555 0100 ext 5"} {
		if got, err := identity.ParsePhone(typed); err == nil {
			t.Errorf("%q is read as %q", typed, got)
		}
	}
}
