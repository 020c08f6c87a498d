package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
)

// answerLink is the link in the mail that asks somebody to interpret.
func (c clinic) answerLink(at, who string) string {
	c.t.Helper()
	inv, err := c.scheduling.Invitation(context.Background(), identity.System("mail", c.organs["jacaranda"]),
		scheduling.AppointmentID(strings.TrimPrefix(at, "/appointments/")), c.people[who])
	if err != nil {
		c.t.Fatal(err)
	}
	path, ok := strings.CutPrefix(inv.Link, origin)
	if !ok || !inv.Answer {
		c.t.Fatalf("link %q", inv.Link)
	}
	return path
}

func TestAnInterpreterAnswersByTheLinkOfAMail(t *testing.T) {
	c := openClinic(t)
	at := c.book()
	link := c.answerLink(at, "aziz")
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodGet} { // a scanner, then the interpreter
		if w := ask(c, method, link, ""); w.Code != 200 {
			t.Fatalf("%s: status %d", method, w.Code)
		}
	}
	body := get(c, link).Body.String()
	if !strings.Contains(body, `lang="ar" dir="rtl"`) || strings.Contains(body, "Salma") || strings.Contains(body, "Tremblay") || !strings.Contains(body, `name="promise"`) {
		t.Errorf("the page is not hers, or names people:\n%.4000s", body)
	}
	post := func(f url.Values) (int, string) {
		w := ask(c, http.MethodPost, link, f.Encode())
		return w.Code, w.Body.String()
	}
	if code, _ := post(url.Values{"answer": {"accept"}}); code != 422 {
		t.Errorf("without the promise: status %d", code)
	}
	if code, _ := post(url.Values{}); code != 400 {
		t.Errorf("no answer: status %d", code)
	}
	if code, body := post(url.Values{"answer": {"accept"}, "promise": {"yes"}}); code != 200 || !strings.Contains(body, "لقد قبلت") {
		t.Errorf("with the promise: status %d\n%.3000s", code, body)
	}
	if code, _ := post(url.Values{"answer": {"accept"}, "promise": {"yes"}}); code != 200 {
		t.Errorf("pressed twice: status %d", code)
	}
	if code, _ := post(url.Values{"answer": {"decline"}}); code != 409 {
		t.Errorf("a no after the yes: status %d", code)
	}
	if body := c.get("otieno", at).Body.String(); !strings.Contains(body, "booked") {
		t.Error("the appointment is not booked")
	}
	if w := get(c, "/answer/"+strings.Repeat("A", 64)); w.Code != 404 {
		t.Errorf("a link that was never made: status %d", w.Code)
	}
}
