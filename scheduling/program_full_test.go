package scheduling

import (
	"errors"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// whyNone is why nothing is offered within a window.
func (w *world) whyNone(actor identity.Actor, x Window) Reason {
	w.t.Helper()
	answer, err := w.s.Search(ctx, actor, SearchRequest{Case: w.ref, Kind: JointVideoVisit, Specialist: w.claire, From: x.Start, To: x.End, Duration: 30 * time.Minute})
	if err != nil || len(answer.Slots) > 0 || len(answer.WhyNot) != 1 {
		w.t.Fatalf("%d starts, why not %+v, %v", len(answer.Slots), answer.WhyNot, err)
	}
	return answer.WhyNot[0]
}

func TestAFullWindowSaysThatItIsFullAndNotThatSomebodyIsBooked(t *testing.T) {
	w, p := programWorld(t)
	p = w.program(p, Program{Cases: 1})
	x := p.Windows[1]
	if _, err := w.placed(w.otieno(), x.Start); err != nil {
		t.Fatal(err)
	}
	why := w.whyNone(w.otieno(), x)
	if why.Limit != LimitCapacity || why.Person != w.claire || why.Refusal == nil || why.Refusal.Lead != leadFull || why.Gained == 0 {
		t.Errorf("%+v, %+v", why, why.Refusal)
	}
	var taken *SlotTaken
	if _, err := w.placed(w.otieno(), x.Start.Add(time.Hour)); !errors.As(err, &taken) || taken.Full != leadFull || len(taken.Nearest) == 0 {
		t.Errorf("another visit in the full window: %+v, %v", taken, err)
	}
	// A time at which the specialist sits already is taken, window or not.
	if _, err := w.placed(w.otieno(), x.Start); !errors.As(err, &taken) {
		t.Errorf("%v", err)
	}
	// Over two windows the one that is not full is offered.
	answer, err := w.s.Search(ctx, w.otieno(), SearchRequest{Case: w.ref, Kind: JointVideoVisit, Specialist: w.claire, From: x.Start, To: p.Windows[2].End, Duration: 30 * time.Minute})
	if err != nil || len(answer.Slots) == 0 || answer.Slots[0].Start.Before(p.Windows[2].Start) {
		t.Errorf("%d starts, %v", len(answer.Slots), err)
	}
	found := false
	for _, c := range answer.Cuts {
		found = found || c.Limit == LimitCapacity && c.Person == w.claire
	}
	if !found {
		t.Errorf("cuts %+v", answer.Cuts)
	}
}

func TestAWindowThatIsNotFullSaysWhatKeepsCasesOut(t *testing.T) {
	w, p := programWorld(t)
	p = w.program(p, Program{IntakeHours: 72, Intake: IntakeCoordinator})
	x := p.Windows[1]
	if why := w.whyNone(w.otieno(), x); why.Limit != LimitCapacity || why.Refusal == nil || why.Refusal.Lead != leadIntake {
		t.Errorf("to a physician: %+v", why)
	}
	w.setClock(x.Start.Add(-72*time.Hour + time.Second))
	if why := w.whyNone(w.coordinator(), x); why.Limit != LimitCapacity || why.Refusal == nil || why.Refusal.Lead != leadLate {
		t.Errorf("too late: %+v", why)
	}
	var taken *SlotTaken
	if _, err := w.placed(w.coordinator(), x.Start); !errors.As(err, &taken) || taken.Full != leadLate {
		t.Errorf("%v", err)
	}
}
