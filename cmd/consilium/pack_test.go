package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// TestPackAddReachesARunningService brings rules into a demonstration that runs: its
// bookings are looked at again without a restart.
func TestPackAddReachesARunningService(t *testing.T) {
	dir := dataDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	a, people := demonstration(t, dir)
	defer a.close()
	cast := seeder{a: a, file: people.file, cast: people, actors: map[string]identity.Actor{}}
	otieno, err := cast.as(ctx, "otieno")
	if err != nil {
		t.Fatal(err)
	}
	officer, err := cast.as(ctx, "wanjiru")
	if err != nil {
		t.Fatal(err)
	}
	visit := cast.mainVisit(ctx, t, otieno)
	say := beside(ctx, a, runPack)
	write := func(name, content string) string {
		t.Helper()
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	old := string(credentialing.Embedded()["KE.yaml"])
	strict := strings.NewReplacer(`version: "2026-11-21.1"`, `version: "2027-01-01.1"`, "rules:\n", `rules:
  - id: KE-900
    effect: forbid
    activities: [advise_physician, joint_video_visit]
    when: [{not: licence_patient_jurisdiction}]
    text: A test edition stops people without a license of the place.
    confidence: secondary
    cites: [kmpdc-2025]
    verified: {state: unverified-starter, by: null}
`).Replace(old)
	for what, bad := range map[string]string{
		"licence_of_the_moon": strings.Replace(strict, "{not: licence_patient_jurisdiction}]\n    text: A test", "licence_of_the_moon]\n    text: A test", 1),
		`"nowhere"`:           strings.Replace(strict, "cites: [kmpdc-2025]", "cites: [nowhere]", 1),
		"Nairobi/Mars":        strings.Replace(strict, "Africa/Nairobi", "Nairobi/Mars", 1),
		"from 1900 to 2200":   strings.Replace(strict, "effect: forbid", "effective: {from: 3027-01-01}\n    effect: forbid", 1),
		"2027-02-31":          strings.Replace(strict, "effect: forbid", "effective: {from: 2027-02-31}\n    effect: forbid", 1),
		"XQ":                  strings.Replace(strict, "code: KE", "code: XQ", 1),
	} {
		out, err := say("add", write("KE.yaml", bad))
		if !errors.Is(err, errFailed) || !strings.Contains(out, what) || !strings.Contains(out, "nothing was changed") {
			t.Errorf("%s: %s%v", what, out, err)
		}
	}
	if _, err := say("add"); !errors.Is(err, errUsage) {
		t.Errorf("no file: %v", err)
	}
	if _, err := say("add", filepath.Join(dir, "none.yaml")); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("a file that does not exist: %v", err)
	}
	if _, err := say("add", write("KE.yaml", strict), "--from", "tomorrow"); err == nil || !strings.Contains(err.Error(), "not an instant") {
		t.Errorf("a time that is none: %v", err)
	}
	for what, content := range map[string]string{"at most": "", "UTF-8": "format: \xff", "new version": old + "\n# as written elsewhere\n"} {
		if out, err := say("add", write("KE.yaml", content)); !errors.Is(err, errFailed) || !strings.Contains(out, what) {
			t.Errorf("%s: %s%v", what, out, err)
		}
	}
	out, err := say("add", write("KE.yaml", strict))
	if err != nil || !strings.Contains(out, "in force; a running service takes it without a restart") || !strings.Contains(out, "stands in the place of KE 2026-11-21.1") {
		t.Fatalf("%s%v", out, err)
	}
	if strings.Contains(out, "bookings to come that rest on KE: 0,") {
		t.Errorf("the bookings of the cast do not count: %s", out)
	}
	// The running service follows by itself.
	seen := errors.New("seen")
	err = a.db.Follow(ctx, 0, func(l audit.Leaf) error {
		if l.Event.Act == "appointment.set_aside" && l.Event.Objects["appointment"] == string(visit.ID) {
			if l.Event.Reason != "forbid:KE-900" {
				t.Errorf("set aside for %q", l.Event.Reason)
			}
			return seen
		}
		return nil
	})
	if !errors.Is(err, seen) {
		t.Fatalf("the visit was not set aside: %v", err)
	}
	if p, ok := a.credentialing.Rules().Pack("KE"); !ok || p.Version != "2027-01-01.1" {
		t.Error("the running service still shows the old rules")
	}
	queue, err := a.credentialing.Queue(ctx, officer)
	if err != nil {
		t.Fatal(err)
	}
	var task *credentialing.QueueItem
	for i := range queue {
		if queue[i].Task == credentialing.TaskConfirm && queue[i].Pack == "KE" {
			task = &queue[i]
		}
	}
	if task == nil || task.Relied.Bookings == 0 || !strings.Contains(task.Number, "2027-01-01.1") || task.Since.IsZero() {
		t.Errorf("the officers' queue does not say that the pack is to be confirmed: %+v", task)
	}
	out, err = say("add", write("copy.yaml", strict))
	if err != nil || !strings.Contains(out, "nothing was changed") {
		t.Errorf("the same file again: %s%v", out, err)
	}
}
