package mail

import (
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

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

// Tell is an audit.Tell: jobs that are inserted in the transaction of the events, so that
// a message is due exactly when its event stands.
func Tell(b *pgx.Batch, events []audit.Event) error {
	var jobs jobRows
	for i, e := range events {
		seen := map[string]bool{}
		for _, person := range e.Tell {
			if person == "" || seen[person] {
				continue
			}
			seen[person] = true
			args, err := json.Marshal(TellArgs{Act: e.Act, Organization: e.Organization, Actor: e.Actor, Objects: e.Objects, Reason: e.Reason, Person: person})
			if err != nil {
				return fmt.Errorf("mail of %s: %w", e.Act, err)
			}
			jobs.args, jobs.event = append(jobs.args, string(args)), append(jobs.event, i)
		}
	}
	if len(jobs.args) > 0 {
		queueJobs(b, jobs)
	}
	return nil
}

var _ audit.Tell = Tell
