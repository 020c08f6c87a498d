package scheduling

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// panelists answers with specialists beside the interpreters.
type panelists struct {
	*directory
	specialists []identity.PersonID
	specialty   string
}

func (d *panelists) PeopleWith(ctx context.Context, role identity.Role, specialty string) ([]identity.Person, error) {
	if role != identity.RoleSpecialist {
		return d.directory.PeopleWith(ctx, role, specialty)
	}
	people, err := d.People(ctx, d.specialists...)
	out := slices.Collect(maps.Values(people))
	for i := range out {
		out[i].Specialty = d.specialty
	}
	return out, err
}

// panel is three specialists in Toronto who are there all morning.
func (w *world) panel() Panel {
	w.t.Helper()
	d := &panelists{directory: w.dir, specialists: []identity.PersonID{w.claire}}
	for _, name := range []string{"Dr One", "Dr Two"} {
		id := w.person(name, "en", []string{"en"}, "America/Toronto")
		w.hours(id, week("America/Toronto", "08:00", "12:00"))
		d.specialists = append(d.specialists, id)
	}
	w.s.people = d
	p, err := w.s.SavePanel(ctx, w.otieno(), Panel{Name: "Cardiology", Members: d.specialists})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) turn(p Panel, key string) Turn {
	w.t.Helper()
	t, err := w.s.GiveTurn(ctx, w.otieno(), p.ID, w.ref, JointVideoVisit, key)
	if err != nil {
		w.t.Fatal(err)
	}
	return t
}

func TestRequestsGoToTheMembersInTurn(t *testing.T) {
	w := newWorld(t)
	p := w.panel()
	var got []identity.PersonID
	for range 6 {
		got = append(got, w.turn(p, uuid.NewString()).Person)
		w.setClock(w.clock().Add(time.Minute))
	}
	if want := slices.Concat(p.Members, p.Members); !slices.Equal(got, want) {
		t.Fatalf("turns %v, want %v", got, want)
	}
	// Who may not is passed over, with the reason, and has a turn in hand.
	skipped := p.Members[0]
	w.rules.deny[skipped] = []Range{{worldStart.AddDate(-1, 0, 0), worldStart.AddDate(1, 0, 0)}}
	second := w.turn(p, "again")
	if second.Person != p.Members[1] || second.Considered[0].Person != skipped || second.Considered[0].Answer != TurnForbidden || second.Considered[2].Answer != TurnLater {
		t.Errorf("considered %+v", second.Considered)
	}
	if same := w.turn(p, "again"); same.ID != second.ID {
		t.Error("the same key gives twice")
	}
	delete(w.rules.deny, skipped)
	w.hours(p.Members[2], Availability{Hours: Hours{Zone: "UTC"}})
	w.setClock(w.clock().Add(time.Minute))
	if x := w.turn(p, uuid.NewString()); x.Person != skipped {
		t.Errorf("%s has the turn in hand, got %s", skipped, x.Person)
	}
	w.setClock(w.clock().Add(time.Minute))
	x := w.turn(p, uuid.NewString())
	if x.Person != skipped && x.Person != p.Members[1] || x.Considered[0].Person != p.Members[2] || x.Considered[0].Answer != TurnBusy {
		t.Errorf("no hours: considered %+v", x.Considered)
	}
	last, err := w.s.TurnOf(ctx, w.otieno(), w.ref)
	if err != nil || last.ID != x.ID || len(last.Considered) != 3 {
		t.Errorf("last turn %+v, %v", last, err)
	}
	for _, id := range p.Members {
		w.rules.deny[id] = []Range{{worldStart.AddDate(-1, 0, 0), worldStart.AddDate(1, 0, 0)}}
	}
	if _, err := w.s.GiveTurn(ctx, w.otieno(), p.ID, w.ref, JointVideoVisit, uuid.NewString()); !errors.Is(err, ErrNoMember) {
		t.Errorf("nobody may: %v", err)
	}
	if _, err := w.s.GiveTurn(ctx, w.aziz(), p.ID, w.ref, JointVideoVisit, uuid.NewString()); !errors.Is(err, ErrForbidden) && !errors.Is(err, ErrNotFound) {
		t.Errorf("an interpreter gives turns: %v", err)
	}
	stale := p
	stale.Version = 7
	if _, err := w.s.SavePanel(ctx, w.otieno(), stale); !errors.Is(err, ErrVersion) {
		t.Errorf("a stale version: %v", err)
	}
	for _, bad := range []Panel{{Name: "", Members: p.Members}, {Name: "x"}, {Name: "y", Members: []identity.PersonID{w.salma}}, {Name: "Cardiology", Members: p.Members}} {
		if _, err := w.s.SavePanel(ctx, w.otieno(), bad); !errors.Is(err, ErrInvalidRequest) {
			t.Errorf("%+v: %v, want ErrInvalidRequest", bad, err)
		}
	}
}

func TestManyRequestsAtOnceAreSharedEvenly(t *testing.T) {
	w := newWorld(t)
	p := w.panel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	count := map[identity.PersonID]int{}
	for i := range 30 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 2 { // a second click
				x, err := w.s.GiveTurn(ctx, w.otieno(), p.ID, w.ref, JointVideoVisit, p.Name+string(rune('a'+i)))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				count[x.Person]++
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	for _, id := range p.Members {
		if count[id] != 20 {
			t.Errorf("shares %v of 30 requests, each asked for twice", count)
			break
		}
	}
	if n := w.count(`select count(*) from panel_turn`); n != 30 {
		t.Errorf("%d turns, want 30", n)
	}
}

// A share counts also when all come at once, a pause passes over, and what a panel was
// stays.
func TestRequestsAtOnceGoByShareAndPassOverWhoPauses(t *testing.T) {
	w := newWorld(t)
	p := w.panel()
	slices.Reverse(p.Members)
	twice, once, away := p.Members[0], p.Members[1], p.Members[2]
	p.Shares, p.Paused, p.Specialty = map[identity.PersonID]int{twice: 2}, map[identity.PersonID]bool{away: true}, ""
	p, err := w.s.SavePanel(ctx, w.otieno(), p)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	got := make(chan Turn, 30)
	for range cap(got) {
		wg.Go(func() {
			x, err := w.s.GiveTurn(ctx, w.otieno(), p.ID, w.ref, JointVideoVisit, uuid.NewString())
			if err != nil {
				t.Error(err)
			}
			got <- x
		})
	}
	wg.Wait()
	close(got)
	count := map[identity.PersonID]int{}
	for x := range got {
		count[x.Person]++
		for _, c := range x.Considered {
			if c.Person == away && c.Answer != TurnPaused && c.Answer != TurnLater {
				t.Errorf("who pauses: %s", c.Answer)
			}
		}
	}
	if count[twice] != 20 || count[once] != 10 || count[away] != 0 {
		t.Errorf("shares %v of 30, want 20, 10 and none", count)
	}
	list, err := w.s.Panels(ctx, w.otieno())
	if err != nil || len(list) != 1 || !slices.Equal(list[0].Members, p.Members) || list[0].Share(twice) != 2 || !list[0].Paused[away] {
		t.Errorf("read back: %+v, %v", list, err)
	}
	history, err := w.s.PanelHistory(ctx, w.otieno(), p.ID)
	if err != nil || len(history) != 2 || history[0].Share(twice) != 2 || history[1].Paused[away] || history[1].By != w.amina {
		t.Errorf("history: %+v, %v", history, err)
	}
	if _, err := w.s.PanelHistory(ctx, w.aziz(), p.ID); !errors.Is(err, ErrForbidden) {
		t.Errorf("an interpreter reads what a panel was: %v", err)
	}
	for field, change := range map[string]func(*Panel){
		"share":     func(p *Panel) { p.Shares = map[identity.PersonID]int{once: 11} },
		"paused":    func(p *Panel) { p.Paused = map[identity.PersonID]bool{twice: true, once: true, away: true} },
		"specialty": func(p *Panel) { p.Specialty = "neurology" },
		"name":      func(p *Panel) { p.Name = " " },
		"members":   func(p *Panel) { p.Members = nil },
	} {
		bad := p
		change(&bad)
		_, err := w.s.SavePanel(ctx, w.otieno(), bad)
		var why *PanelField
		if !errors.As(err, &why) || why.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	d := w.s.people.(*panelists)
	d.specialty = "neurology"
	p.Specialty = "neurology"
	if p, err = w.s.SavePanel(ctx, w.otieno(), p); err != nil {
		t.Fatal(err)
	}
	if _, err := w.s.GiveTurn(ctx, w.otieno(), p.ID, w.ref, JointVideoVisit, uuid.NewString()); !errors.Is(err, ErrPanelSpecialty) {
		t.Errorf("a case of cardiology: %v", err)
	}
}
