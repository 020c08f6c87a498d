package scheduling

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// gender says of somebody what they stated of themselves.
func (w *world) gender(id identity.PersonID, g identity.Gender) {
	w.admin(`update person set gender = $2 where id = $1`, string(id), string(g))
}

// state writes down what the patient asks for, after what was stated last.
func (w *world) state(n Needs) Needs {
	w.t.Helper()
	now, _, err := w.s.NeedsOf(ctx, w.otieno(), w.ref)
	if err != nil {
		w.t.Fatal(err)
	}
	n.ID = now.ID
	if n, err = w.s.StateNeeds(ctx, w.otieno(), w.ref, n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) find() SearchAnswer {
	w.t.Helper()
	answer, err := w.s.Search(ctx, w.otieno(), w.search())
	if err != nil {
		w.t.Fatal(err)
	}
	return answer
}

// interpreterOf is who would interpret in a slot.
func interpreterOf(s Slot) identity.PersonID {
	for _, p := range s.Parties {
		if p.Role == RoleInterpreter {
			return p.Person
		}
	}
	return ""
}

// twoInterpreters are a woman and a man with the same certificate and hours; the man is
// asked first when nothing is wished.
func (w *world) twoInterpreters() (woman, man identity.PersonID) {
	w.t.Helper()
	man = w.person("Karim Nassar", "ar", []string{"ar", "en"}, "Asia/Beirut")
	w.hours(man, week("Asia/Beirut", "10:00", "18:00"))
	w.dir.interpreters = append(w.dir.interpreters, man)
	w.rules.qualified[man] = worldStart.AddDate(1, 0, 0)
	w.gender(w.layla, identity.GenderFemale)
	w.gender(man, identity.GenderMale)
	w.admin(`insert into interpreter_wish (organization_id, case_id, person_id, wish, cause, stated_at) values ($1, $2, $3, 'prefer', 'stated', now())`,
		string(w.clinic), string(w.ref), string(man))
	return w.layla, man
}

func TestInterpreterIsOfTheGenderThatThePatientAskedFor(t *testing.T) {
	w := newWorld(t)
	woman, man := w.twoInterpreters()
	if got := interpreterOf(w.find().Slots[0]); got != man {
		t.Fatalf("nothing is asked for: %s, want the one preferred", got)
	}
	for _, must := range []bool{false, true} {
		w.state(Needs{Interpreter: GenderWish{identity.GenderFemale, must}})
		for _, slot := range w.find().Slots {
			if got := interpreterOf(slot); got != woman || len(slot.Unmet) > 0 {
				t.Fatalf("a woman, must %v: %s, unmet %v", must, got, slot.Unmet)
			}
		}
	}
	// She has no hours: a wish is set aside and said so, a must is named as what binds.
	w.hours(woman, Availability{Hours: Hours{Zone: "UTC"}})
	start := w.state(Needs{Interpreter: GenderWish{identity.GenderFemale, false}})
	slots := w.find().Slots
	if len(slots) == 0 || interpreterOf(slots[0]) != man || !slices.Contains(slots[0].Unmet, NeedInterpreter) {
		t.Fatalf("only a wish: %d slots, first %+v", len(slots), slots)
	}
	must := w.state(Needs{Interpreter: GenderWish{identity.GenderFemale, true}})
	if must.ID == start.ID {
		t.Error("a statement has the id of the one before")
	}
	answer := w.find()
	if len(answer.Slots) > 0 || len(answer.WhyNot) != 1 {
		t.Fatalf("%d slots, why not %+v", len(answer.Slots), answer.WhyNot)
	}
	why := answer.WhyNot[0]
	if why.Limit != LimitNeeds || why.Need != NeedInterpreter || why.Limit.Relaxing() != RelaxOwn || why.Gained != len(slots) || !why.First.Equal(slots[0].Start) {
		t.Errorf("why not %+v, want the wish with the %d starts that a man gives", why, len(slots))
	}
	if !slices.ContainsFunc(answer.Unqualified, func(u Unqualified) bool { return u.Person == man && u.Reason == "interpreter:needs" }) {
		t.Errorf("who is not offered: %+v", answer.Unqualified)
	}
	_, err := w.s.Book(ctx, w.otieno(), w.request(slots[0].Start))
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Limit != LimitNeeds || refusal.Need != NeedInterpreter || refusal.Limit.Overridable() {
		t.Errorf("booked against a must: %v %+v", err, refusal)
	}
	forced := w.request(slots[0].Start)
	forced.Override = "there is nobody else"
	if _, err := w.s.Book(ctx, w.otieno(), forced); !errors.As(err, &refusal) || refusal.Limit != LimitNeeds {
		t.Errorf("staff set aside what only the patient may: %v", err)
	}
	// Without the patient it does not count.
	advice := w.search()
	advice.Kind = Advice
	if a, err := w.s.Search(ctx, w.otieno(), advice); err != nil || len(a.Slots) == 0 {
		t.Errorf("advice without the patient: %v, %+v", err, a.WhyNot)
	}
	w.state(Needs{})
	if len(w.find().Slots) != len(slots) {
		t.Error("taken back, and still in the way")
	}
}

func TestLadderAsksNobodyThePatientDoesNotWant(t *testing.T) {
	w := newWorld(t)
	woman, man := w.twoInterpreters()
	w.state(Needs{Not: []identity.PersonID{man}})
	a := w.book()
	seat := a.interpreters()
	if len(seat) != 1 || seat[0] != woman {
		t.Fatalf("asked %v, want the woman", seat)
	}
	var id SeatID
	for _, s := range a.Seats {
		if s.Person == woman {
			id = s.ID
		}
	}
	if _, err := w.s.Decline(ctx, w.actor(woman, w.other, identity.RoleInterpreter), id); err != nil {
		t.Fatal(err)
	}
	after, err := w.s.Appointment(ctx, w.otieno(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	if after.State != StateNeedsAttention || slices.Contains(after.interpreters(), man) {
		t.Errorf("state %s, asked %v: the ladder has nobody left", after.State, after.interpreters())
	}
	if list, err := w.s.Choices(ctx, w.otieno(), a.ID); err != nil || len(list) > 0 {
		t.Errorf("to choose by hand: %v, %v", list, err)
	}
	if answer := w.find(); interpreterOf(answer.Slots[0]) == man {
		t.Error("the search offers who is not to interpret")
	}
	w.hours(woman, Availability{Hours: Hours{Zone: "UTC"}})
	if why := w.find().WhyNot; len(why) != 1 || why[0].Need != NeedPerson || why[0].Gained == 0 {
		t.Errorf("why not %+v, want the person", why)
	}
}

func TestNoVisitMeetsATimeThatIsKeptFree(t *testing.T) {
	w := newWorld(t)
	before := w.find().Slots
	// The world meets in the afternoon of Nairobi, when Toronto's morning begins.
	at := before[0]
	nairobi, err := LoadZone("Africa/Nairobi")
	if err != nil {
		t.Fatal(err)
	}
	wall := WallAt(nairobi, at.Start)
	kept := TimeWish{Days: []Weekday{wall.Date.Weekday()}, Start: wall.Minute + 10, End: wall.Minute + 25, Must: true, What: "Prayer"}
	w.state(Needs{Times: []TimeWish{kept}})
	for _, slot := range w.find().Slots {
		c := WallAt(nairobi, slot.Start)
		if c.Date.Weekday() == kept.Days[0] && c.Minute < kept.End && kept.Start < c.Minute+30 {
			t.Errorf("%s meets the prayer", c)
		}
	}
	_, err = w.s.Book(ctx, w.otieno(), w.request(at.Start))
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Need != NeedTimes || refusal.Wish == nil || refusal.Wish.What != "Prayer" {
		t.Errorf("booked over the prayer: %v %+v", err, refusal)
	}
	// A wish leaves the start, says so, and puts others before it.
	kept.Must = false
	w.state(Needs{Times: []TimeWish{kept}})
	answer := w.find()
	if len(answer.Slots) != len(before) || !slices.Contains(answer.Slots[0].Unmet, NeedTimes) {
		t.Errorf("a wish: %d slots of %d, the first unmet %v", len(answer.Slots), len(before), answer.Slots[0].Unmet)
	}
	for _, slot := range answer.Fairest {
		if len(slot.Unmet) > 0 {
			t.Errorf("%s is proposed though it meets the wish", slot.Start)
		}
	}
	// All the week from noon on: nothing is left; the start that meets least of it is named.
	all := TimeWish{Days: EveryDay(), Start: 0, End: 24 * 60, Must: true, What: "Retreat"}
	w.state(Needs{Times: []TimeWish{all}})
	answer = w.find()
	if len(answer.Slots) > 0 || len(answer.WhyNot) != 1 {
		t.Fatalf("%d slots, why not %+v", len(answer.Slots), answer.WhyNot)
	}
	why := answer.WhyNot[0]
	if why.Limit != LimitNeeds || why.Need != NeedTimes || why.Wish == nil || why.Wish.What != "Retreat" || why.Meets != 30*time.Minute || why.Gained != len(before) {
		t.Errorf("why not %+v", why)
	}
	from := worldStart.AddDate(0, 2, 0)
	day := DateOf(from.Year(), from.Month(), from.Day())
	all.From = &day
	w.state(Needs{Times: []TimeWish{all}})
	if got := len(w.find().Slots); got != len(before) {
		t.Errorf("from %s on: %d slots now, want %d", day, got, len(before))
	}
}

func TestSpecialistIsOfTheGenderThatThePatientAskedFor(t *testing.T) {
	w := newWorld(t)
	p := w.panel()
	woman := p.Members[1]
	w.gender(woman, identity.GenderFemale)
	w.state(Needs{Clinician: GenderWish{identity.GenderFemale, true}})
	for range 3 {
		got := w.turn(p, uuid.NewString())
		if got.Person != woman {
			t.Fatalf("the turn of %s, want the woman", got.Person)
		}
		for _, c := range got.Considered {
			if c.Person != woman && c.Answer != TurnUnwanted && c.Answer != TurnLater {
				t.Errorf("%s: %s", c.Person, c.Answer)
			}
		}
	}
	if why := w.find().WhyNot; len(why) != 1 || why[0].Need != NeedClinician || why[0].Person != w.claire || why[0].Gained == 0 {
		t.Errorf("why not %+v, want the clinician", why)
	}
	w.state(Needs{Clinician: GenderWish{identity.GenderFemale, false}})
	list, err := w.s.Specialists(ctx, w.otieno(), w.ref, JointVideoVisit)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range list {
		if !o.Permitted || o.Wanted != (o.Person == woman) || o.Wanted && i > 0 {
			t.Errorf("choice %d %s: permitted %v, wanted %v", i, o.Name, o.Permitted, o.Wanted)
		}
	}
}

func TestWhatAPatientAskedForIsReadByWhoSchedulesAndTreatsOnly(t *testing.T) {
	w := newWorld(t)
	a := w.book()
	patient := w.actor(w.salma, "")
	own, err := w.s.StateOwnNeeds(ctx, patient, a.ID, Needs{Diet: "halal", Interpreter: GenderWish{identity.GenderFemale, true}})
	if err != nil || !own.ByPatient || own.By != w.salma {
		t.Fatalf("by the patient: %+v, %v", own, err)
	}
	n := own
	n.Words = "She would like her sister to wait outside."
	if n, err = w.s.StateNeeds(ctx, w.actor(w.peter, w.clinic, identity.RoleCoordinator), w.ref, n); err != nil || n.ByPatient {
		t.Fatalf("for the patient: %+v, %v", n, err)
	}
	now, before, err := w.s.OwnNeeds(ctx, patient, a.ID)
	if err != nil || now.Words != n.Words || now.Diet != "halal" || len(before) != 1 || before[0].ID != own.ID || before[0].Words != "" {
		t.Errorf("history: %+v before %+v, %v", now, before, err)
	}
	if _, err := w.s.StateOwnNeeds(ctx, patient, a.ID, Needs{ID: own.ID}); !errors.Is(err, ErrVersion) {
		t.Errorf("from an old page: %v", err)
	}
	if now, _, err := w.s.OwnNeeds(ctx, w.actor(w.claire, w.other, identity.RoleSpecialist), a.ID); err != nil || now.ID != n.ID {
		t.Errorf("the specialist: %v", err)
	}
	for who, actor := range map[string]identity.Actor{
		"interpreter": w.actor(w.layla, w.other, identity.RoleInterpreter), "officer": w.actor(w.peter, w.clinic, identity.RoleOfficer),
		"another clinic": w.actor(w.amina, w.other, identity.RoleLocalPhysician), "another specialist": w.actor(w.yusuf, w.other, identity.RoleSpecialist),
	} {
		if _, _, err := w.s.NeedsOf(ctx, actor, w.ref); !errors.Is(err, ErrForbidden) && !errors.Is(err, ErrNotFound) {
			t.Errorf("%s reads by the case: %v", who, err)
		}
		if _, _, err := w.s.OwnNeeds(ctx, actor, a.ID); !errors.Is(err, ErrForbidden) && !errors.Is(err, ErrNotFound) {
			t.Errorf("%s reads by the visit: %v", who, err)
		}
		if _, err := w.s.StateNeeds(ctx, actor, w.ref, Needs{ID: n.ID}); !errors.Is(err, ErrForbidden) && !errors.Is(err, ErrNotFound) {
			t.Errorf("%s states: %v", who, err)
		}
	}
	if _, err := w.s.StateOwnNeeds(ctx, w.otieno(), a.ID, Needs{ID: n.ID}); !errors.Is(err, ErrForbidden) {
		t.Errorf("the physician states as the patient: %v", err)
	}
	if got := w.count(`select count(*) from audit_leaf where act = 'needs.stated'`); got != 2 {
		t.Errorf("%d events, want 2", got)
	}
	if got := w.count(`select count(*) from audit_leaf l join audit_detail d on d.leaf_index = l.index where l.act = 'needs.stated' and convert_from(l.data || d.detail, 'utf8') ~ 'halal|female|sister'`); got != 0 {
		t.Errorf("%d events tell what was asked for", got)
	}
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for range cap(errs) {
		wg.Go(func() {
			_, err := w.s.StateNeeds(ctx, w.otieno(), w.ref, Needs{ID: n.ID, Diet: uuid.NewString()})
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	won := 0
	for err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, ErrVersion) {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d of 8 statements at once stand, want 1", won)
	}
}

func TestNeedsThatCannotBeAreRefusedWithTheirField(t *testing.T) {
	w := newWorld(t)
	early, late := DateOf(2026, 12, 1), DateOf(2026, 12, 24)
	long := string(make([]rune, longestWords+1))
	for name, c := range map[string]struct {
		n     Needs
		field string
	}{
		"no such gender":        {Needs{Interpreter: GenderWish{"any", true}}, "interpreter"},
		"nobody":                {Needs{Not: []identity.PersonID{identity.PersonID(uuid.NewString())}}, "not"},
		"no id":                 {Needs{Not: []identity.PersonID{"x"}}, "not"},
		"the patient":           {Needs{Not: []identity.PersonID{w.salma}}, "not"},
		"no day":                {Needs{Times: []TimeWish{{Start: 60, End: 120}}}, "times"},
		"no time of day":        {Needs{Times: []TimeWish{{Days: EveryDay(), Start: 60, End: 2000}}}, "times"},
		"ends before it begins": {Needs{Times: []TimeWish{{Days: EveryDay(), Start: 60, End: 120, From: &late, Until: &early}}}, "times"},
		"too many times":        {Needs{Times: make([]TimeWish, mostTimeWishes+1)}, "times"},
		"too long":              {Needs{Words: long}, "words"},
		"unreadable":            {Needs{Diet: "\xff"}, "diet"},
	} {
		_, err := w.s.StateNeeds(ctx, w.otieno(), w.ref, c.n)
		var bad *NeedsField
		if !errors.As(err, &bad) || bad.Field != c.field {
			t.Errorf("%s: %v, want field %s", name, err, c.field)
		}
	}
	if n, before, err := w.s.NeedsOf(ctx, w.otieno(), w.ref); err != nil || !n.Empty() || n.ID != "" || before != nil {
		t.Errorf("refused, and kept: %+v", n)
	}
}
