package web

import (
	"bytes"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	goical "github.com/emersion/go-ical"
)

var feedAddress = regexp.MustCompile(`/calendar/[A-Za-z0-9_-]{64}/consilium\.ics`)

func TestCalendarProgramReadsTheFeedUntilItsAddressEnds(t *testing.T) {
	c := openClinic(t)
	c.book()
	if w := c.get("tremblay", "/calendar"); w.Code != 200 || feedAddress.MatchString(w.Body.String()) {
		t.Fatalf("status %d, or an address before one was made", w.Code)
	}
	w := c.post("tremblay", "/calendar", url.Values{})
	at := feedAddress.FindString(w.Body.String())
	if w.Code != 200 || at == "" {
		t.Fatalf("status %d\n%.3000s", w.Code, w.Body)
	}
	if w := c.get("tremblay", "/calendar"); strings.Contains(w.Body.String(), at) {
		t.Error("the address is shown a second time")
	}
	feed := get(c, at) // without a login
	if feed.Code != 200 || feed.Header().Get("Content-Type") != "text/calendar; charset=utf-8" || feed.Header().Get("ETag") == "" {
		t.Fatalf("status %d, %v", feed.Code, feed.Header())
	}
	cal, err := goical.NewDecoder(bytes.NewReader(feed.Body.Bytes())).Decode()
	if err != nil || len(cal.Events()) != 1 {
		t.Fatal(err)
	}
	if s, _ := cal.Events()[0].Props.Text(goical.PropSummary); s != "Consultation vidéo" {
		t.Errorf("summary %q, want the reader's language", s)
	}
	if w := get(c, at, header("If-None-Match", feed.Header().Get("ETag"))); w.Code != http.StatusNotModified || w.Body.Len() != 0 {
		t.Errorf("unchanged: status %d", w.Code)
	}
	if w := get(c, strings.Replace(at, "/calendar/", "/calendar/A", 1)); w.Code != 404 {
		t.Errorf("another token: status %d", w.Code)
	}
	if w := c.post("tremblay", "/calendar/revoke", url.Values{}); w.Code != 303 {
		t.Errorf("revoke: status %d", w.Code)
	}
	if w := get(c, at); w.Code != 404 {
		t.Errorf("revoked: status %d", w.Code)
	}
}
