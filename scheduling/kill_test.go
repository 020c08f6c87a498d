package scheduling

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// Connections die in the middle of holding, booking, confirming, canceling, offering
// and giving turns. The history that is left is whole: an appointment has all its live
// seats or none, nobody sits twice, what was answered stands, and every change has its
// event.
func TestConnectionsThatDieLeaveNothingHalfDone(t *testing.T) {
	w := newWorld(t)
	p := w.panel()
	for _, id := range append([]identity.PersonID{w.amina, w.layla, w.salma}, p.Members...) {
		w.hours(id, OnCall("UTC"))
	}
	for range 3 {
		w.wait(w.another(), worldStart.AddDate(0, 0, 9))
	}
	kill := func() {
		w.admin(`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and usename = 'consilium_app'`)
	}
	const workers, rounds = 4, 12
	var mu sync.Mutex
	answered := map[AppointmentID]State{} // what the caller was told last
	var wg sync.WaitGroup
	for n := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range rounds {
				if i%3 == n%3 {
					wg.Add(1)
					go func() { defer wg.Done(); kill() }()
				}
				start := worldStart.AddDate(0, 0, 1+i).Add(time.Duration(n) * 4 * time.Hour).Truncate(time.Hour)
				tell := func(a Appointment, err error) bool {
					if err != nil {
						return false // told nothing: it may stand or not
					}
					mu.Lock()
					answered[a.ID] = a.State
					mu.Unlock()
					return true
				}
				req := BookRequest{Key: uuid.NewString(), Case: w.ref, Kind: JointVideoVisit, Specialist: p.Members[n%3], Start: start}
				switch i % 4 {
				case 0:
					if h, err := w.s.Hold(ctx, w.otieno(), req, 0); tell(h, err) {
						c, err := w.s.Confirm(ctx, w.otieno(), h.ID, h.Version)
						if !tell(c, err) {
							mu.Lock()
							delete(answered, h.ID) // the answer was lost
							mu.Unlock()
						}
					}
				case 1:
					if a, err := w.s.Book(ctx, w.otieno(), req); tell(a, err) {
						c, err := w.s.Cancel(ctx, w.otieno(), a.ID, a.Version, ReasonOther)
						if !tell(c, err) {
							mu.Lock()
							delete(answered, a.ID)
							mu.Unlock()
						}
					}
				case 2:
					_, _ = w.s.OfferWaiting(ctx)
				case 3:
					key := uuid.NewString()
					x, err := w.s.GiveTurn(ctx, w.otieno(), p.ID, w.ref, JointVideoVisit, key)
					again, err2 := w.s.GiveTurn(ctx, w.otieno(), p.ID, w.ref, JointVideoVisit, key)
					if err == nil && err2 == nil && x.ID != again.ID {
						t.Errorf("one key gave %s and %s", x.ID, again.ID)
					}
				}
			}
		}()
	}
	wg.Wait()
	for name, sql := range map[string]string{
		"people who sit twice": `select count(*) from seat a join seat b on a.person_id = b.person_id and a.id < b.id and a.during && b.during
			where a.released_at is null and b.released_at is null`,
		"appointments with a part of their seats": `select count(*) from appointment a where a.state in ('held', 'pending', 'booked')
			and (select count(*) from seat s where s.appointment_id = a.id and s.released_at is null) <> (select count(*) from seat s where s.appointment_id = a.id)`,
		"appointments that are off and keep somebody": `select count(*) from appointment a join seat s on s.appointment_id = a.id
			where a.state in ('canceled', 'lapsed') and s.released_at is null`,
		"appointments without seats": `select count(*) from appointment a where not exists (select from seat s where s.appointment_id = a.id)`,
		"appointments without their event": `select count(*) from appointment a where not exists (
			select from audit_object o join audit_leaf l on l.index = o.leaf_index where o.kind = 'appointment' and o.id = a.id::text and l.act in ('appointment.booked', 'appointment.held'))`,
		"keys without an appointment": `select count(*) from booking_request r where not exists (select from appointment a where a.id = r.appointment_id)`,
		"times held for nobody": `select count(*) from appointment a join audit_object o on o.kind = 'waiting' join audit_object h on h.leaf_index = o.leaf_index and h.kind = 'appointment' and h.id = a.id::text
			where a.state = 'held' and not exists (select from waiting x where x.appointment_id = a.id and x.state = 'offered')`,
		"turns without their event": `select count(*) from panel_turn t where not exists (select from audit_object o where o.kind = 'turn' and o.id = t.id::text)`,
	} {
		if n := w.count(sql); n != 0 {
			t.Errorf("%d %s", n, name)
		}
	}
	for id, state := range answered {
		a, err := w.s.Appointment(ctx, w.otieno(), id)
		if err != nil && !errors.Is(err, ErrNotFound) {
			a, err = w.s.Appointment(ctx, w.otieno(), id) // a connection that was killed while idle
		}
		if err != nil || a.State != state {
			t.Errorf("%s was said to be %s and is %s, %v", id, state, a.State, err)
		}
	}
	if len(answered) == 0 {
		t.Error("nothing was answered: the test tests nothing")
	}
}
