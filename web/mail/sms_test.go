package mail

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/riverqueue/river"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
)

const smsSecret = "0123456789abcdef0123456789abcdef"

// gateway is an operator's webhook: it checks signatures as an operator would.
type gateway struct {
	t *testing.T
	*httptest.Server

	mu    sync.Mutex
	fails []int           // answers before it takes messages, guarded by mu
	got   map[string]Text // by id, guarded by mu
	calls int             // guarded by mu
}

func newGateway(t *testing.T, fails ...int) *gateway {
	g := &gateway{t: t, fails: fails, got: map[string]Text{}}
	g.Server = httptest.NewServer(g)
	t.Cleanup(g.Close)
	return g
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		g.t.Error(err)
	}
	at, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get(SignatureHeader), "t="), ",")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil || r.Header.Get(SignatureHeader) != Sign([]byte(smsSecret), body, time.Unix(seconds, 0)) || r.Method != http.MethodPost {
		g.t.Errorf("signature %q of %q", r.Header.Get(SignatureHeader), body)
	}
	var text Text
	if err := json.Unmarshal(body, &text); err != nil || text.Key == "" || r.Header.Get("Idempotency-Key") != text.Key {
		g.t.Errorf("%q: %v", body, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls++
	if len(g.fails) > 0 {
		code := g.fails[0]
		g.fails = g.fails[1:]
		if code == -1 { // takes it, and the answer is lost
			g.got[text.Key] = text
			code = http.StatusBadGateway
		}
		w.WriteHeader(code)
		return
	}
	g.got[text.Key] = text
	w.WriteHeader(http.StatusAccepted)
}

func (g *gateway) hook() *Webhook {
	g.t.Helper()
	h, err := NewWebhook(g.URL+"/sms", smsSecret)
	if err != nil {
		g.t.Fatal(err)
	}
	return h
}

func (g *gateway) texts(to string) (out []Text) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range g.got {
		if t.To == to {
			out = append(out, t)
		}
	}
	return out
}

// called is how often it was posted to.
func (g *gateway) called() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.calls
}

// answers lets the next posts be answered so.
func (g *gateway) answers(codes ...int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fails, g.calls = codes, 0
}

// until waits for the end of a job of a kind.
func (c *clinic) until(kind string) *river.Event {
	c.t.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case e := <-c.done:
			if e.Job.Kind == kind {
				return e
			}
		case <-limit:
			c.t.Fatalf("no job %s ended", kind)
		}
	}
}

// phone proves a number by the code that is sent to it.
func (c *clinic) phone(g *gateway, who identity.PersonID, number string, channel identity.Channel) {
	c.t.Helper()
	ctx := context.Background()
	me := identity.Actor{Person: who}
	if err := c.identity.AskCode(ctx, me, number); err != nil {
		c.t.Fatal(err)
	}
	c.until("tell")
	list := g.texts(number)
	if len(list) != 1 {
		c.t.Fatalf("%d codes came", len(list))
	}
	code := regexp.MustCompile(`\d{6}`).FindString(list[0].Text)
	if err := c.identity.ProvePhone(ctx, me, code); err != nil {
		c.t.Fatal(err)
	}
	if err := c.identity.SetContact(ctx, me, channel, identity.Quiet{}); err != nil {
		c.t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.got = map[string]Text{}
}

func (c *clinic) tellOf(act string, who identity.PersonID) {
	c.t.Helper()
	err := c.db.Write(context.Background(), audit.Scope{Organization: string(c.org)}, func(tx *audit.Tx) error {
		tx.Append(audit.Event{Act: act, Objects: map[string]string{"case": string(c.ref)}, Tell: []string{string(who)}})
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

func TestTextMessageIsSignedRetriedAndSentOnce(t *testing.T) {
	g := newGateway(t)
	c := newClinic(t, func(o *Outbox) Sender { return &flaky{Sender: o} }, g.hook())
	c.phone(g, c.claire, "+14165550100", identity.ChannelBoth)
	g.answers(503, -1, 429)
	c.tellOf("decision.signed", c.claire)
	c.until("sms")
	list := g.texts("+14165550100")
	if len(list) != 1 || list[0].Language != "fr" || g.called() != 4 {
		t.Fatalf("%d calls, texts %+v", g.called(), list)
	}
	text := list[0].Text
	if !strings.HasPrefix(text, "Consilium: ") || !strings.HasSuffix(text, "\n"+origin+"/cases/"+string(c.ref)) || strings.ContainsAny(text, "\u2066\u2067\u2068\u2069") ||
		strings.Contains(text, "Tremblay") {
		t.Errorf("%q", text)
	}
	// The mail came too, once, though its job was repeated.
	if got := c.mails(); len(got) != 1 {
		t.Errorf("%d mails", len(got))
	}
}

func TestWhoWantsTextMessagesAloneGetsNoMail(t *testing.T) {
	g := newGateway(t)
	c := newClinic(t, func(o *Outbox) Sender { return o }, g.hook())
	c.phone(g, c.claire, "+14165550100", identity.ChannelSMS)
	c.phone(g, c.layla, "+9613000001", identity.ChannelSMS)
	c.phone(g, c.salma, "+254700000001", identity.ChannelBoth)
	// A text is written when it is sent: hers asks for an answer only until she gave it.
	a := c.book()
	for len(g.texts("+9613000001")) == 0 || len(g.texts("+14165550100")) == 0 {
		c.until("sms")
	}
	seat, _ := a.Seat(c.layla)
	a, err := c.schedule.Accept(context.Background(), identity.Actor{Person: c.layla}, seat.ID)
	if err != nil {
		t.Fatal(err)
	}
	for len(g.texts("+254700000001")) == 0 {
		c.until("sms")
	}
	for c.mails()["Mrs Idris"].Subject == "" || c.mails()["Dr Otieno"].Subject == "" {
		c.until("tell")
	}
	mails := c.mails()
	if mails["Prof. Tremblay"].Subject != "" || mails["Layla Aziz"].Subject != "" || mails["Mrs Idris"].Subject == "" || mails["Dr Otieno"].Subject == "" {
		t.Errorf("mails to %v", mails)
	}
	// The links work without signing in: the interpreter's answer, the patient's seat.
	link := regexp.MustCompile(`/answer/([\w-]+)$`)
	found := false
	for _, m := range g.texts("+9613000001") {
		if hit := link.FindStringSubmatch(m.Text); hit != nil {
			land, err := c.schedule.AnswerLanding(context.Background(), hit[1])
			found = err == nil && land.Appointment == a.ID
		}
	}
	if !found {
		t.Errorf("no link to answer by: %+v", g.texts("+9613000001"))
	}
	hers := g.texts("+254700000001")
	token := regexp.MustCompile(`/invite/([\w-]+)$`).FindStringSubmatch(hers[0].Text)
	if token == nil || !strings.Contains(hers[0].Text, "EAT") {
		t.Fatalf("%q", hers[0].Text)
	}
	if land, err := c.schedule.InviteLanding(context.Background(), token[1]); err != nil || land.Appointment != a.ID || land.Role != scheduling.RolePatient {
		t.Errorf("%+v, %v", land, err)
	}
	for _, m := range hers {
		for _, name := range []string{"Idris", "Otieno", "Tremblay", "Aziz", "cardiology"} {
			if strings.Contains(m.Text, name) {
				t.Errorf("a locked screen says %q", m.Text)
			}
		}
	}
}

func TestTextMessageThatIsRefusedIsNotSentAgain(t *testing.T) {
	g := newGateway(t)
	c := newClinic(t, func(o *Outbox) Sender { return o }, g.hook())
	c.phone(g, c.claire, "+14165550100", identity.ChannelSMS)
	g.answers(422)
	c.tellOf("decision.signed", c.claire)
	if e := c.until("sms"); e.Kind != river.EventKindJobCancelled || g.called() != 1 {
		t.Errorf("%s after %d calls", e.Kind, g.called())
	}
}

// A text message that can wait comes in the morning of its reader; one about the next
// day does not wait; who drops the number meanwhile gets none.
func TestTextMessagesWaitForTheMorning(t *testing.T) {
	g := newGateway(t)
	w, err := NewWorker(Config{People: nobody{}, Invitations: &scheduling.Service{}, Sender: &Outbox{}, Origin: origin, SMS: g.hook(),
		Clock: func() time.Time { return time.Date(2026, 11, 25, 20, 0, 0, 0, time.UTC) }}) // 23:00 in Nairobi
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct {
		zone  string
		quiet identity.Quiet
		start time.Duration
		want  time.Duration
	}{
		{"Africa/Nairobi", identity.DefaultQuiet, 0, 8 * time.Hour},
		{"Africa/Nairobi", identity.DefaultQuiet, 48 * time.Hour, 8 * time.Hour},
		{"Africa/Nairobi", identity.DefaultQuiet, 23 * time.Hour, 0},
		{"Africa/Nairobi", identity.Quiet{}, 48 * time.Hour, 0},
		{"Africa/Nairobi", identity.Quiet{From: 60, Until: 90}, 0, 0},
		{"America/Toronto", identity.DefaultQuiet, 0, 0},
		{"Asia/Kathmandu", identity.Quiet{From: 0, Until: 10 * 60}, 0, 8*time.Hour + 15*time.Minute}, // 01:45 there
	} {
		m := Message{Person: identity.Person{Zone: one.zone}}
		if one.start > 0 {
			m.Start = w.c.Clock().Add(one.start)
		}
		if got := w.quiet(identity.Contact{Quiet: one.quiet}, m); got != one.want {
			t.Errorf("%+v: waits %v", one, got)
		}
	}
}

type nobody struct{}

func (nobody) Person(context.Context, identity.PersonID) (identity.Person, error) {
	return identity.Person{}, identity.ErrNotFound
}

func TestWebhookIsHTTPSWithASecret(t *testing.T) {
	for address, good := range map[string]bool{"https://sms.example/send?x=1": true, "http://127.0.0.1:9/x": true, "http://localhost/x": true,
		"http://sms.example/x": false, "ftp://sms.example": false, "sms.example": false, "": false, "https://": false} {
		if _, err := NewWebhook(address, smsSecret); (err == nil) != good {
			t.Errorf("%q: %v", address, err)
		}
	}
	if _, err := NewWebhook("https://sms.example", smsSecret[:31]); err == nil {
		t.Error("a short secret is taken")
	}
	g := newGateway(t)
	h := g.hook()
	g.Close()
	if err := h.SendText(t.Context(), Text{Key: "k", To: "+14165550100", Text: "x"}); err == nil || errors.Is(err, ErrRefused) || strings.Contains(err.Error(), "/sms") {
		t.Errorf("a gateway that is away: %v", err)
	}
}
