package scheduling

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// TestNobodyIsNamedToAnInterpreterBeforeThePromise asks every reader of visits as the
// interpreter who is asked, then after the promise, and as one who refuses.
func TestNobodyIsNamedToAnInterpreterBeforeThePromise(t *testing.T) {
	w := newWorld(t)
	w.pair()
	ctx := context.Background()
	a := w.book()
	first := w.askedNow(a)
	readers := map[string]func(identity.PersonID) (Appointment, error){
		"Appointment": func(id identity.PersonID) (Appointment, error) {
			return w.s.Appointment(ctx, w.interpreter(id), a.ID)
		},
		"AppointmentsOf": func(id identity.PersonID) (Appointment, error) {
			list, err := w.s.AppointmentsOf(ctx, w.interpreter(id), worldStart, worldStart.AddDate(0, 2, 0))
			if err != nil || len(list) != 1 {
				return Appointment{}, fmt.Errorf("%d visits, %w", len(list), err)
			}
			return list[0], nil
		},
		"OwnInvitation": func(id identity.PersonID) (Appointment, error) {
			inv, err := w.s.OwnInvitation(ctx, w.interpreter(id), a.ID)
			return inv.Appointment, err
		},
		"Invitation": func(id identity.PersonID) (Appointment, error) {
			inv, err := w.s.Invitation(ctx, identity.System("mail", w.clinic), a.ID, id)
			return inv.Appointment, err
		},
	}
	inCase := func(id identity.PersonID) (Appointment, error) {
		list, err := w.s.AppointmentsOfCase(ctx, w.interpreter(id), w.ref, w.clinic)
		if err != nil || len(list) != 1 {
			return Appointment{}, fmt.Errorf("%d visits, %w", len(list), err)
		}
		return list[0], nil
	}
	inFeed := func(id identity.PersonID) (Appointment, error) {
		address, err := w.s.MakeFeed(ctx, w.interpreter(id))
		if err != nil {
			return Appointment{}, err
		}
		f, err := w.s.ReadFeed(ctx, feedToken(t, address))
		if err != nil || len(f.Appointments) != 1 {
			return Appointment{}, fmt.Errorf("%d visits, %w", len(f.Appointments), err)
		}
		return f.Appointments[0], nil
	}
	sealed := func(id identity.PersonID, readers map[string]func(identity.PersonID) (Appointment, error)) {
		t.Helper()
		for name, read := range readers {
			got, err := read(id)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			said := fmt.Sprintf("%+v", struct {
				Appointment
				Log string
			}{got, ""})
			for who, secret := range map[string]string{"Dr Otieno": string(w.amina), "Prof. Tremblay": string(w.claire), "the patient": string(w.salma),
				"the case": string(w.ref), "the place": "Africa/Nairobi"} {
				if bytes.Contains([]byte(said), []byte(secret)) {
					t.Errorf("%s tells of %s", name, who)
				}
			}
			if len(got.Seats) != 1 || got.Seats[0].Person != id {
				t.Errorf("%s gives seats %+v, want the interpreter's own", name, got.Seats)
			}
			if !got.StartAt.Equal(a.StartAt) || got.Duration != a.Duration || got.Kind != a.Kind || got.Interpreted != a.Interpreted || got.State == "" {
				t.Errorf("%s hides the time, the kind or the pair: %+v", name, got)
			}
		}
	}
	readers["AppointmentsOfCase"], readers["ReadFeed"] = inCase, inFeed
	sealed(first, readers)
	if _, _, err := w.s.AboutSpecialist(ctx, w.actor(first, w.clinic, identity.RoleInterpreter), a.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("who the specialist is: %v, want not found", err)
	}
	if got, err := w.s.Appointment(ctx, w.otieno(), a.ID); err != nil || len(got.Seats) != len(a.Seats) || got.Case != w.ref {
		t.Errorf("who arranges reads %+v, %v", got, err)
	}
	if _, err := w.answer(a, first, Answer{Response: Declined, Reason: RefuseTime, Via: ViaPage}); err != nil {
		t.Fatal(err)
	}
	afterwards := map[string]func(identity.PersonID) (Appointment, error){} // those that show who had a seat once
	for _, name := range []string{"Appointment", "AppointmentsOf", "Invitation"} {
		afterwards[name] = readers[name]
	}
	sealed(first, afterwards)
	second := w.askedNow(a)
	if _, err := w.answer(a, second, Answer{Response: Accepted, Promised: true, Via: ViaPage}); err != nil {
		t.Fatal(err)
	}
	for name, read := range readers {
		if got, err := read(second); err != nil || got.Case != w.ref || len(got.Seats) < 4 {
			t.Errorf("%s after the promise: %d seats, %v", name, len(got.Seats), err)
		}
	}
}

// TestAPatientHearsOfAVisitSetAsideOnlyAfterItWasPromised: before the interpreter's yes
// the patient has not heard of the visit at all.
func TestAPatientHearsOfAVisitSetAsideOnlyAfterItWasPromised(t *testing.T) {
	for _, promised := range []bool{false, true} {
		t.Run(fmt.Sprintf("promised %v", promised), func(t *testing.T) {
			w := credentialed(t, credentialing.Date(2027, 5, 31))
			a := w.book()
			if promised {
				if _, err := w.answer(a, w.layla, Answer{Response: Accepted, Promised: true, Via: ViaPage}); err != nil {
					t.Fatal(err)
				}
			}
			w.again()
			w.status(credentialing.StatusSuspended, a.StartAt.Add(-time.Hour))
			if r := w.again(); r.SetAside != 1 {
				t.Fatalf("after the suspension: %+v", r)
			}
			if !w.wasTold(actSetAside, w.amina) || !w.wasTold(actSetAside, w.claire) {
				t.Error("the clinicians are not told")
			}
			if got := w.wasTold(actSetAside, w.salma); got != promised {
				t.Errorf("the patient is told: %v, want %v", got, promised)
			}
			w.status(credentialing.StatusActive, a.StartAt.Add(-time.Hour+time.Second))
			if r := w.again(); r.Restored != 1 {
				t.Fatalf("after the reinstatement: %+v", r)
			}
			if got := w.wasTold(actRestored, w.salma); got != promised {
				t.Errorf("the patient is told that it is as before: %v, want %v", got, promised)
			}
		})
	}
}
