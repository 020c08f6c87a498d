package scheduling

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
)

// oneByOne hides what reads several people's files at once.
type oneByOne struct{ Scope }

func TestFilesReadAtOnceAnswerLikeEachReadForItself(t *testing.T) {
	w := credentialed(t, credentialing.Date(2027, 1, 12))
	plain := *w.s
	plain.scope, plain.finder = oneByOne{w.s.scope}, nil
	rapid.Check(t, func(t *rapid.T) {
		req := w.search()
		req.Kind = rapid.SampledFrom([]Kind{JointVideoVisit, Advice}).Draw(t, "kind")
		req.From = worldStart.Add(time.Duration(rapid.IntRange(0, 60*24).Draw(t, "from")) * time.Hour)
		req.To = req.From.Add(time.Duration(rapid.IntRange(1, 20*24).Draw(t, "length")) * time.Hour)
		req.Duration = time.Duration(rapid.IntRange(1, 4).Draw(t, "quarters")) * 15 * time.Minute
		got, err := w.s.Search(ctx, w.otieno(), req)
		want, wanted := plain.Search(ctx, w.otieno(), req)
		if err != nil || wanted != nil {
			t.Fatal(err, wanted)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("at once:\n%+v\none by one:\n%+v", got, want)
		}
		if len(got.Slots) == 0 {
			return
		}
		// What is kept of a booking, too: both are undone.
		at := got.Slots[rapid.IntRange(0, len(got.Slots)-1).Draw(t, "slot")]
		kept := func(s *Service) (d credentialing.Determination) {
			r := BookRequest{Key: uuid.NewString(), Case: w.ref, Kind: req.Kind, Specialist: w.claire, Start: at.Start, Duration: req.Duration}
			a, err := s.Book(ctx, w.otieno(), r)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Cancel(ctx, w.otieno(), a.ID, a.Version, ReasonOther); err != nil {
				t.Fatal(err)
			}
			for _, seat := range a.Seats {
				if seat.Role == RoleSpecialist {
					err = w.audit.Read(ctx, audit.Scope{Organization: string(w.clinic)}, func(tx *audit.Tx) (err error) {
						d, err = w.cred.Stored(ctx, tx, credentialing.DeterminationID(seat.Determination))
						return err
					})
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		a, b := kept(w.s), kept(&plain)
		a.ID = b.ID
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("kept at once:\n%+v\none by one:\n%+v", a, b)
		}
	})
}

func BenchmarkSearchWithRealRules(b *testing.B) {
	w := credentialed(b, credentialing.Date(2027, 5, 31))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.s.Search(ctx, w.otieno(), w.search()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHoldWithRealRules(b *testing.B) {
	w := credentialed(b, credentialing.Date(2027, 5, 31))
	at := w.first()
	b.ReportAllocs()
	for b.Loop() {
		h, err := w.s.Hold(ctx, w.otieno(), w.request(at), time.Minute)
		if err == nil {
			err = w.s.Release(ctx, w.otieno(), h.ID, h.Version)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
