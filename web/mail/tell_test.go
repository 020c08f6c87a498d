package mail

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/deploy/pgtest"
)

// A job of telling is inserted as River's own client would insert it, whatever its
// version; and each names the leaf of its own event.
func TestJobsOfTellingAreThoseOfTheClient(t *testing.T) {
	ctx := t.Context()
	pg := pgtest.New(t)
	db := audit.New(audit.Config{Pool: pg.Pool, Tell: Tell})
	const org = "0190b6a0-0000-7000-8000-00000000000a"
	other := audit.Event{Act: "case.opened", Organization: org}
	told := audit.Event{Act: "appointment.booked", Organization: org, Actor: "0190b6a0-0000-7000-8000-000000000001",
		Objects: map[string]string{"appointment": "0190b6a0-0000-7000-8000-000000000002"}, Reason: "why \"so\"",
		Tell: []string{"0190b6a0-0000-7000-8000-000000000003", "", "0190b6a0-0000-7000-8000-000000000004", "0190b6a0-0000-7000-8000-000000000003"}}
	var at int64
	if err := db.Write(ctx, audit.Scope{Organization: org}, func(tx *audit.Tx) (err error) {
		tx.Append(other)
		at, err = tx.AppendNow(ctx, other)
		tx.Append(other)
		tx.Append(told)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	client, err := river.NewClient(riverpgxv5.New(pg.Pool), &river.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, person := range []string{told.Tell[0], told.Tell[2]} {
		args := TellArgs{Leaf: at + 2, Act: told.Act, Organization: org, Actor: told.Actor, Objects: told.Objects, Reason: told.Reason, Person: person}
		if _, err := client.Insert(ctx, args, nil); err != nil {
			t.Fatal(err)
		}
	}
	rows := jobsOf(ctx, t, pg.Pool)
	if len(rows) != 4 {
		t.Fatalf("%d jobs, want two by the log and two by the client", len(rows))
	}
	if diff := cmp.Diff(rows[2:], rows[:2]); diff != "" {
		t.Errorf("other than the client's: %s", diff)
	}
	if v, err := db.VerifyAll(ctx); err != nil || v.Size != at+3 {
		t.Errorf("the log: %+v, %v", v, err)
	}
}

// jobsOf are all jobs in the order of their insertion, without what is of the moment.
func jobsOf(ctx context.Context, t *testing.T, db interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
}) []map[string]any {
	t.Helper()
	rows, err := db.Query(ctx, `
		select to_jsonb(j) - 'id' - 'created_at' - 'scheduled_at'
		from river_job j
		order by id`)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (map[string]any, error) {
		var raw []byte
		if err := row.Scan(&raw); err != nil {
			return nil, err
		}
		var m map[string]any
		return m, json.Unmarshal(raw, &m)
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}
