package web

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/scheduling/ical"
	"github.com/consilium-health/consilium/web/i18n"
)

var replyForm = regexp.MustCompile(`action="(/replies/[^"]+)"`)

func TestAnswersByMailThatDoNotFitAreListedForThoseWhoArrange(t *testing.T) {
	c := openClinic(t)
	if body := c.get("mwangi", "/replies").Body.String(); !strings.Contains(body, "No answer waits for you") {
		t.Fatal("an empty list does not say so")
	}
	at := c.book()
	a, err := c.scheduling.Appointment(context.Background(), c.actor("otieno"), scheduling.AppointmentID(strings.TrimPrefix(at, "/appointments/")))
	if err != nil {
		t.Fatal(err)
	}
	tremblay, err := c.identity.Person(context.Background(), c.people["tremblay"])
	if err != nil {
		t.Fatal(err)
	}
	reply := ical.Reply{Method: ical.Counter, UID: a.UID, Sequence: a.Sequence, Stamp: time.Now().Add(time.Minute), Attendee: strings.ToLower(tremblay.Email),
		Response: ical.Tentative, Start: a.StartAt.Add(time.Hour), End: a.End().Add(time.Hour)}
	no := reply
	no.Method, no.Response, no.Start, no.End = ical.Answer, ical.Declined, time.Time{}, time.Time{}
	for i, in := range []scheduling.Received{{Reply: reply, Vouched: true}, {Reply: no}, {Reply: no, Vouched: true}} {
		in.Message = fmt.Appendf(nil, "message %d", i)
		if _, err := scheduling.ReceiveReply(context.Background(), c.db, in); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := c.scheduling.ApplyReplies(context.Background()); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	body := c.get("mwangi", "/replies").Body.String()
	for _, want := range []string{"Another time is proposed", "Proposed time", at + "/move", "Nothing shows that this address really wrote it", reply.Attendee, at} {
		if !strings.Contains(body, want) {
			t.Errorf("the list does not say %q", want)
		}
	}
	if home := c.get("mwangi", "/").Body.String(); !strings.Contains(home, "2 answers by mail to look at") {
		t.Error("the start page does not lead there")
	}
	if page := c.get("otieno", at).Body.String(); !strings.Contains(page, "Somebody who is needed has said no") {
		t.Error("the page of the visit does not say what is the matter")
	}
	if page := c.get("tremblay", at).Body.String(); strings.Contains(page, "Somebody who is needed has said no") {
		t.Error("the specialist is asked to arrange")
	}
	for who, want := range map[string]int{"tremblay": 403, "wanjiru": 403} {
		if w := c.get(who, "/replies"); w.Code != want {
			t.Errorf("%s: status %d, want %d", who, w.Code, want)
		}
	}
	for _, l := range i18n.Languages {
		actor := c.actor("otieno")
		if err := c.identity.SetPreferences(context.Background(), actor, l.Tag, actor.Zone); err != nil {
			t.Fatal(err)
		}
		for _, problem := range whole(t, c.get("otieno", "/replies").Body.String(), l) {
			t.Errorf("%s: %s", l.Tag, problem)
		}
	}
	for range 2 {
		form := replyForm.FindStringSubmatch(c.get("mwangi", "/replies").Body.String())
		if form == nil {
			t.Fatal("nothing to take off the list")
		}
		if w := c.post("tremblay", form[1], url.Values{}); w.Code != 403 {
			t.Errorf("a specialist takes it off: status %d", w.Code)
		}
		if w := c.post("mwangi", form[1], url.Values{}); w.Code != 303 {
			t.Fatalf("status %d", w.Code)
		}
		if w := c.post("mwangi", form[1], url.Values{}); w.Code != 404 {
			t.Errorf("twice: status %d", w.Code)
		}
	}
	if body := c.get("mwangi", "/replies").Body.String(); !strings.Contains(body, "No answer waits for you") {
		t.Error("the list is not empty")
	}
}
