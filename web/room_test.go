package web

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"
	"golang.org/x/net/html"

	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// sampleRoom is a room page as a person of the role gets it.
func sampleRoom(t *testing.T, tag string, role string, closed pages.RoomClosed) pages.RoomPage {
	t.Helper()
	b, err := i18n.New()
	if err != nil {
		t.Fatal(err)
	}
	l := b.Localizer(tag, "Africa/Nairobi")
	texts, err := l.Messages(roomTexts...)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 11, 26, 11, 0, 0, 0, time.UTC)
	a := newAssets()
	p := pages.RoomPage{
		Layout:  pages.Layout{Localizer: l, Title: l.T(i18n.RoomTitle), Path: "/sessions/x", Asset: a.url, Wide: true, Scripts: []string{"room.js"}},
		Session: "0199a000-0000-7000-8000-000000000001", Feed: "/sessions/0199a000-0000-7000-8000-000000000001/feed", Ticket: "ticket",
		Role: role, Host: role == "local_physician", Start: start, End: start.Add(30 * time.Minute), Opens: start.Add(-15 * time.Minute), Closed: closed,
		Clocks: []pages.RoomClock{{Clock: l.ClockIn(start, "America/Toronto"), Place: city("America/Toronto")}}, Messages: string(raw),
		Back: "/appointments/x", BackTo: l.T(i18n.RoomBackAppointment),
	}
	if role == "patient" {
		p.Place = roomPlaces(l, "KE")
	}
	return p
}

func write(t *testing.T, p pages.RoomPage) string {
	t.Helper()
	var b bytes.Buffer
	if err := pages.Room(p).Render(templ.WithNonce(context.Background(), "nonce"), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRoomPageIsWholeInEveryLanguageRoleAndState(t *testing.T) {
	for _, l := range i18n.Languages {
		for _, role := range []string{"local_physician", "specialist", "interpreter", "patient", "coordinator"} {
			for _, closed := range []pages.RoomClosed{"", pages.RoomEarly, pages.RoomEnded, pages.RoomCancelled, pages.RoomRemoved} {
				body := write(t, sampleRoom(t, l.Tag, role, closed))
				for _, problem := range whole(t, body, l) {
					t.Errorf("%s %s %q: %s", l.Tag, role, closed, problem)
				}
			}
		}
	}
}

// The script finds its elements by id; one that the page does not have stops the room
// for everybody.
func TestRoomPageHasWhatItsScriptAsksFor(t *testing.T) {
	doc, err := html.Parse(strings.NewReader(write(t, sampleRoom(t, "en", "patient", ""))))
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for n := range doc.Descendants() {
		for _, a := range n.Attr {
			if a.Key == "id" {
				have[a.Val] = true
			}
		}
	}
	asked := regexp.MustCompile(`(?:byId|copy|getElementById)\("([a-z-]+)"`)
	found := 0
	for _, f := range scripts(t) {
		for _, m := range asked.FindAllStringSubmatch(f, -1) {
			found++
			if !have[m[1]] && !strings.HasSuffix(m[1], "-") { // "tab-" + name
				t.Errorf("the script asks for #%s", m[1])
			}
		}
	}
	if found < 30 {
		t.Fatalf("only %d elements found: has the script another way to ask?", found)
	}
}

// What the script says by itself must be among the texts that the page gives it, and
// a value stands as {{.Name}} alone, because the script knows no other form.
func TestRoomPageGivesItsScriptEveryText(t *testing.T) {
	src, err := os.ReadFile("ts/src/room/ids.ts")
	if err != nil {
		t.Fatal(err)
	}
	ids := regexp.MustCompile(`"(room\.[a-z_.]+)"`).FindAllStringSubmatch(string(src), -1)
	if len(ids) < 50 {
		t.Fatalf("only %d ids", len(ids))
	}
	action := regexp.MustCompile(`\{\{.*?\}\}`)
	plain := regexp.MustCompile(`^\{\{\.[A-Z][A-Za-z]*\}\}$`)
	for _, l := range i18n.Languages {
		var texts map[string]map[string]string
		if err := json.Unmarshal([]byte(sampleRoom(t, l.Tag, "patient", "").Messages), &texts); err != nil {
			t.Fatal(err)
		}
		for _, m := range ids {
			if texts[m[1]]["other"] == "" {
				t.Errorf("%s has no text %s", l.Tag, m[1])
			}
		}
		for id, forms := range texts {
			for _, text := range forms {
				for _, a := range action.FindAllString(text, -1) {
					if !plain.MatchString(a) {
						t.Errorf("%s %s: %s is more than a name", l.Tag, id, a)
					}
				}
			}
		}
	}
}

func scripts(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("ts/src/room")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".test.ts") {
			continue
		}
		body, err := os.ReadFile("ts/src/room/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(body))
	}
	return out
}

// Every code that a session can answer with has its words.
func TestCodesOfSessionsHaveTexts(t *testing.T) {
	codes := map[string]bool{}
	found := regexp.MustCompile(`refusal\s*=\s*"([a-z_]+)"|refusal\("([a-z_]+)"\)|\bno\("([a-z_]+)"\)|\.cue\("[a-z]+", "([a-z_.]+)"|noticeOf\("[a-z]+", "([a-z_.]+)"|\bcode: "([a-z_]+)", level`)
	files, err := filepath.Glob("../sessions/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		body, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range found.FindAllStringSubmatch(string(body), -1) {
			for _, code := range m[1:] {
				if code != "" {
					codes[strings.ReplaceAll(code, ".", "_")] = true
				}
			}
		}
	}
	if len(codes) < 30 {
		t.Fatalf("only %d codes found: are they written another way now?", len(codes))
	}
	for _, s := range []scheduling.State{scheduling.StatePending, scheduling.StateCanceled, scheduling.StateNeedsAttention, scheduling.StateFulfilled, scheduling.StateNoShow} {
		codes["appointment_"+string(s)] = true
	}
	b, err := i18n.New()
	if err != nil {
		t.Fatal(err)
	}
	for code := range codes {
		if !b.Has(i18n.ID("room.code." + code)) {
			t.Errorf("no text room.code.%s", code)
		}
	}
}

// The page opens for those who are expected, with the ticket of their own feed, and
// is not there for anybody else.
func TestRoomPageOpensForThoseExpectedAlone(t *testing.T) {
	server, cookie, door := coordinated(t)
	browse := func(path, cookie string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Cookie", cookie)
		client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
	path := "/sessions/" + string(door.Appointment)
	resp, body := browse(path, cookie)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the coordinator's page: status %d", resp.StatusCode)
	}
	for _, want := range []string{`data-phase="check"`, `data-ticket="` + door.Ticket + `"`, `data-feed="/sessions/` + string(door.Session) + `/feed"`, `data-role="coordinator"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if strings.Contains(body, `id="place"`) {
		t.Error("a coordinator is asked where they are")
	}
	if resp, _ := browse(path, ""); resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(resp.Header.Get("Location"), "/sign-in") {
		t.Errorf("nobody's visit: status %d to %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	for _, other := range []string{"/sessions/01990000-0000-7000-8000-0000000000ff", "/sessions/not-an-id", "/sessions/" + string(door.Session)} {
		if resp, _ := browse(other, cookie); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", other, resp.StatusCode)
		}
	}
}
