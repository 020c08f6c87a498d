package scheduling

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	goical "github.com/emersion/go-ical"

	"github.com/consilium-health/consilium/credentialing/identity"
)

func feedToken(t *testing.T, address string) string {
	t.Helper()
	_, rest, ok := strings.Cut(address, "https://consilium.example:8443/calendar/")
	token, file, _ := strings.Cut(rest, "/")
	if !ok || file != "consilium.ics" || len(token) != 64 {
		t.Fatalf("address %q", address)
	}
	return token
}

func TestFeedIsReadBackByASecondImplementation(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	a := w.book()
	claire := w.actor(w.claire, w.other, identity.RoleSpecialist)
	address, err := w.s.MakeFeed(ctx, claire)
	if err != nil {
		t.Fatal(err)
	}
	token := feedToken(t, address)
	read := func() ([]goical.Event, string) {
		t.Helper()
		f, err := w.s.ReadFeed(ctx, token)
		if err != nil {
			t.Fatal(err)
		}
		data, tag, err := f.Calendar("Consilium", "Video consultation", "Sign in to join.", "fr", w.clock())
		if err != nil {
			t.Fatal(err)
		}
		cal, err := goical.NewDecoder(bytes.NewReader(data)).Decode()
		if err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		every := cal.Props.Get("REFRESH-INTERVAL")
		if every == nil || every.Value != "PT15M" || every.Params.Get("VALUE") != "DURATION" {
			t.Errorf("refresh interval %v", every)
		}
		for _, private := range []string{"Salma", "Idris", "Otieno", "cardiology", "ATTENDEE", "RRULE", "TZID", "/invite/"} {
			if bytes.Contains(data, []byte(private)) {
				t.Errorf("the feed holds %q", private)
			}
		}
		return cal.Events(), tag
	}
	events, tag := read()
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	start, err := events[0].DateTimeStart(time.UTC)
	uid, _ := events[0].Props.Text(goical.PropUID)
	status, _ := events[0].Props.Text(goical.PropStatus)
	if err != nil || !start.Equal(a.StartAt) || uid != a.UID || status != "TENTATIVE" {
		t.Errorf("event %s at %v, %s, %v", uid, start, status, err)
	}
	w.setClock(w.clock().Add(10 * time.Minute)) // the interpreter may still answer
	if _, again := read(); again != tag {
		t.Error("the tag changed, the content did not")
	}
	w.accept(a)
	events, booked := read()
	if status, _ = events[0].Props.Text(goical.PropStatus); booked == tag || status != "CONFIRMED" {
		t.Errorf("status %s, tag changed: %v", status, booked != tag)
	}
	a, err = w.s.Appointment(ctx, w.otieno(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.s.Cancel(ctx, w.otieno(), a.ID, a.Version, ReasonOther); err != nil {
		t.Fatal(err)
	}
	if events, gone := read(); len(events) != 0 || gone == booked {
		t.Errorf("%d events of a canceled visit", len(events))
	}
}

func TestFeedAddressWorksUntilRevokedForItsPersonAlone(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.book()
	claire, layla := w.actor(w.claire, w.other, identity.RoleSpecialist), w.actor(w.layla, "", identity.RoleInterpreter)
	if at, err := w.s.FeedSince(ctx, claire); err != nil || !at.IsZero() {
		t.Fatal(at, err)
	}
	first, err := w.s.MakeFeed(ctx, claire)
	if err != nil {
		t.Fatal(err)
	}
	second, err := w.s.MakeFeed(ctx, claire)
	if err != nil {
		t.Fatal(err)
	}
	other, err := w.s.MakeFeed(ctx, layla)
	if err != nil {
		t.Fatal(err)
	}
	if at, err := w.s.FeedSince(ctx, claire); err != nil || !at.Equal(w.clock()) {
		t.Fatal(at, err)
	}
	one, two, three := feedToken(t, first), feedToken(t, second), feedToken(t, other)
	if n := w.count(`select count(*) from feed_token where encode(token_sha256, 'hex') like '%' || $1 || '%'`, one); n != 0 {
		t.Error("the secret is stored")
	}
	// The id of one person with the secret of another, and what is no token at all.
	for _, bad := range []string{one, two[:22] + three[22:], "", "x", two + "A", strings.Repeat("A", 64)} {
		if _, err := w.s.ReadFeed(ctx, bad); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if f, err := w.s.ReadFeed(ctx, three); err != nil || f.Person.ID != w.layla || len(f.Appointments) != 1 {
		t.Error(f, err)
	}
	if err := w.s.RevokeFeed(ctx, claire); err != nil {
		t.Fatal(err)
	}
	if err := w.s.RevokeFeed(ctx, claire); err != nil {
		t.Fatal(err)
	}
	if _, err := w.s.ReadFeed(ctx, two); !errors.Is(err, ErrNotFound) {
		t.Errorf("revoked: %v", err)
	}
	if _, err := w.s.ReadFeed(ctx, three); err != nil {
		t.Errorf("the other's: %v", err)
	}
	guest := identity.Actor{Person: w.salma, Seat: "x"}
	if _, err := w.s.MakeFeed(ctx, guest); !errors.Is(err, ErrForbidden) {
		t.Errorf("a guest: %v", err)
	}
}
