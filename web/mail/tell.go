package mail

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/consilium-health/consilium/credentialing/audit"
)

// TellArgs is the job of telling one person of one event. It holds ids and codes.
type TellArgs struct {
	Leaf         int64             `json:"leaf"`
	Act          string            `json:"act"`
	Organization string            `json:"organization,omitempty"`
	Actor        string            `json:"actor,omitempty"`
	Objects      map[string]string `json:"objects,omitempty"`
	Reason       string            `json:"reason,omitempty"`
	Person       string            `json:"person"`
}

// Kind is the name of the job.
func (TellArgs) Kind() string { return "tell" }

// key names the message, so that a repeated job is seen to be the same.
func (a TellArgs) key() string { return fmt.Sprintf("%d-%s", a.Leaf, a.Person) }

// NewTell gives what audit.Config.Tell wants: jobs that are inserted in the
// transaction of the event, so that a message is due exactly when its event stands.
func NewTell(pool *pgxpool.Pool) (audit.Tell, error) {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{})
	if err != nil {
		return nil, fmt.Errorf("mail: job client: %w", err)
	}
	return func(ctx context.Context, tx pgx.Tx, leaf int64, e audit.Event) error {
		seen := map[string]bool{}
		var jobs []river.InsertManyParams
		for _, person := range e.Tell {
			if person == "" || seen[person] {
				continue
			}
			seen[person] = true
			jobs = append(jobs, river.InsertManyParams{Args: TellArgs{Leaf: leaf, Act: e.Act, Organization: e.Organization,
				Actor: e.Actor, Objects: e.Objects, Reason: e.Reason, Person: person}})
		}
		if len(jobs) == 0 {
			return nil
		}
		if _, err := client.InsertManyTx(ctx, tx, jobs); err != nil {
			return fmt.Errorf("enqueue mail of leaf %d: %w", leaf, err)
		}
		return nil
	}, nil
}
