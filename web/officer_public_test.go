package web

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
)

// guest redeems the link of the patient of an appointment.
func (c clinic) guest(at string) func(*http.Request) {
	c.t.Helper()
	inv, err := c.scheduling.Invitation(context.Background(), identity.System("mail", c.organs["jacaranda"]), scheduling.AppointmentID(at[len("/appointments/"):]), c.people["idris"])
	if err != nil {
		c.t.Fatal(err)
	}
	cookies := ask(c, http.MethodPost, strings.TrimPrefix(inv.Link, origin), "").Result().Cookies()
	i := slices.IndexFunc(cookies, func(k *http.Cookie) bool { return k.Name == "login" })
	if i < 0 {
		c.t.Fatal("the link lets nobody in")
	}
	return header("Cookie", "login="+cookies[i].Value)
}

func TestPatientReadsWhoTheSpecialistIs(t *testing.T) {
	c := openClinic(t)
	at := c.book()
	page := at + "/specialist"
	guest := c.guest(at)
	w := get(c, page, guest)
	body := w.Body.String()
	for _, want := range []string{`lang="ar" dir="rtl"`, "Prof. Claire Tremblay", "DEMO-ON-0001", "DEMO-KE-T001", "Dr Amina Otieno", "Jacaranda Hill Hospital",
		"يجوز له تقديم المشورة لطبيبك", "لا يجوز له وصف الأدوية"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for _, not := range []string{"DEMO-C-1", "2026-12-31T", "tremblay@example.org", "Facts"} {
		if strings.Contains(body, not) {
			t.Errorf("the page tells the patient %q", not)
		}
	}
	if !strings.Contains(get(c, at, guest).Body.String(), page) {
		t.Error("the appointment does not lead to the page")
	}
	for _, problem := range whole(t, body, i18n.Languages[2]) {
		t.Error(problem)
	}
	for who, want := range map[string]int{"otieno": 200, "mwangi": 200, "tremblay": 404, "aziz": 404, "alharbi": 404, "weber": 404} {
		if w := c.get(who, page); w.Code != want {
			t.Errorf("%s: status %d, want %d", who, w.Code, want)
		}
	}
	// What is not true any more is gone at the next look.
	if _, err := c.cred.ReportStatus(t.Context(), c.actor("wanjiru"), credentialing.StatusReport{Credential: c.licenses["DEMO-ON-0001"],
		Status: credentialing.StatusSuspended, Source: "register"}); err != nil {
		t.Fatal(err)
	}
	body = get(c, page, guest).Body.String()
	if strings.Contains(body, "DEMO-ON-0001") || strings.Contains(body, "يجوز له تقديم المشورة لطبيبك") {
		t.Error("a suspended license is still told to the patient")
	}
	if !strings.Contains(body, "في الوضع الحالي لا يجوز") || !strings.Contains(body, "DEMO-KE-T001") {
		t.Errorf("the page does not say how things stand:\n%s", body)
	}
}

func TestAPatientDoesNotReadOfAnotherVisit(t *testing.T) {
	c := openClinic(t)
	first := c.book()
	guest := c.guest(first)
	second := c.book()
	if w := get(c, second+"/specialist", guest); w.Code != 404 {
		t.Errorf("a guest of one visit reads of another: %d", w.Code)
	}
}
