package web

import (
	"archive/zip"
	"bytes"
	"context"
	"io"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/scheduling/zoneinfo"
)

// kenyaMoves is zone data in which Kenya's clocks go as Nigeria's.
func kenyaMoves(t *testing.T) *zoneinfo.Data {
	t.Helper()
	in, err := zip.NewReader(bytes.NewReader(zoneinfo.Current().Archive()), int64(len(zoneinfo.Current().Archive())))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range in.File {
		from := f
		if f.Name == "Africa/Nairobi" {
			for _, o := range in.File {
				if o.Name == "Africa/Lagos" {
					from = o
				}
			}
		}
		r, err := from.Open()
		if err != nil {
			t.Fatal(err)
		}
		to, err := w.Create(f.Name)
		if err == nil {
			_, err = io.Copy(to, r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	d, err := zoneinfo.Open(out.Bytes(), "2099a")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var zoneForm = regexp.MustCompile(`action="(/zone-changes/[0-9a-f-]{36})"`)

func TestCoordinatorDecidesAboutVisitsThatNewClockRulesMove(t *testing.T) {
	c := openClinic(t)
	ctx := context.Background()
	at := c.book()
	id := scheduling.AppointmentID(strings.TrimPrefix(at, "/appointments/"))
	if _, err := c.scheduling.UpdateZones(ctx); err != nil {
		t.Fatal(err)
	}
	if w := c.get("mwangi", "/zone-changes"); w.Code != 200 || zoneForm.MatchString(w.Body.String()) {
		t.Fatalf("status %d, or something to decide before a change", w.Code)
	}
	was, err := c.scheduling.Appointment(ctx, c.actor("mwangi"), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := zoneinfo.Use(kenyaMoves(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = zoneinfo.Use(nil) })
	if done, err := c.scheduling.UpdateZones(ctx); err != nil || done.Listed != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	if w := c.get("mwangi", "/"); !strings.Contains(w.Body.String(), "1 visit to decide") {
		t.Errorf("the start page does not say so:\n%.3000s", w.Body)
	}
	w := c.get("mwangi", "/zone-changes")
	body := w.Body.String()
	for _, want := range []string{"2099a", "Africa/Nairobi", "America/Toronto", "Prof. Claire Tremblay", was.StartLocal.Minute.String(), "The visit&#39;s clock"} {
		if !strings.Contains(body, want) {
			t.Errorf("status %d, %q is missing", w.Code, want)
		}
	}
	m := zoneForm.FindStringSubmatch(body)
	if m == nil {
		t.Fatalf("%.5000s", body)
	}
	for _, want := range []string{"Decide by", "Overdue", at + "/move", `name="zone" value="Africa/Nairobi"`, "If nobody decides in time"} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is missing", want)
		}
	}
	standing := url.Values{"decision": {"keep_instant"}, "version": {"0"}}
	if w := c.post("otieno", "/zone-changes/standing", standing); w.Code != 403 {
		t.Errorf("a physician decides in advance: status %d", w.Code)
	}
	if w := c.post("mwangi", "/zone-changes/standing", url.Values{"decision": {"drop"}, "version": {"0"}}); w.Code != 400 && w.Code != 422 {
		t.Errorf("a standing decision that is none: status %d", w.Code)
	}
	if w := c.post("mwangi", "/zone-changes/standing", standing); w.Code != 303 {
		t.Errorf("a standing decision: status %d", w.Code)
	}
	if w := c.post("mwangi", "/zone-changes/standing", standing); w.Code != 409 {
		t.Errorf("a standing decision of a page that is old: status %d", w.Code)
	}
	if w := c.post("mwangi", "/zone-changes", url.Values{"decision": {"keep_wall"}, "zone": {"America/Toronto"}}); w.Code != 303 || len(zoneForm.FindStringSubmatch(c.get("mwangi", "/zone-changes").Body.String())) == 0 {
		t.Errorf("deciding about another clock: status %d, or it decided about this one", w.Code)
	}
	if w := c.get("tremblay", "/zone-changes"); w.Code != 403 {
		t.Errorf("the specialist: status %d", w.Code)
	}
	if w := c.post("tremblay", m[1], url.Values{"decision": {"keep_wall"}}); w.Code != 403 {
		t.Errorf("the specialist decides: status %d", w.Code)
	}
	if w := c.post("mwangi", m[1], url.Values{"decision": {"drop"}}); w.Code != 400 {
		t.Errorf("no decision: status %d", w.Code)
	}
	if w := c.post("mwangi", m[1], url.Values{"decision": {"keep_wall"}}); w.Code != 303 || w.Header().Get("Location") != "/zone-changes" {
		t.Fatalf("status %d\n%.3000s", w.Code, w.Body)
	}
	now, err := c.scheduling.Appointment(ctx, c.actor("mwangi"), id)
	if err != nil || now.StartLocal != was.StartLocal || now.StartAt.Sub(was.StartAt).Hours() != 2 || now.Sequence != was.Sequence+1 || now.ZoneVersion != "2099a" {
		t.Errorf("%+v, %v", now, err)
	}
	if body := c.get("mwangi", "/zone-changes").Body.String(); !strings.Contains(body, "Local time kept") || !strings.Contains(body, "No visit waits") {
		t.Error("the page does not say what was decided")
	}
	if w := c.post("mwangi", m[1], url.Values{"decision": {"keep_wall"}}); w.Code != 404 {
		t.Errorf("decided twice: status %d", w.Code)
	}
}
