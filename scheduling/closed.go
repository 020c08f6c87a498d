package scheduling

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// ClosedDay is a holiday of an organization: a local date there.
type ClosedDay struct {
	Organization identity.OrganizationID
	Date         Date
	Name         string // 1 to 80 characters
}

const (
	mostClosedDays = 200 // of an organization, some years
	longestDayName = 80
)

// ClosedLine is a line of a list of closed days that cannot be read.
type ClosedLine struct {
	Number int // from 1
	Line   string
}

func (e *ClosedLine) Error() string {
	return fmt.Sprintf("scheduling: line %d of closed days", e.Number)
}

// ParseClosedDays reads a list of days, one a line: the date as YYYY-MM-DD and its name.
// Empty lines are skipped. What cannot be read, or stands twice, is a *ClosedLine.
func ParseClosedDays(text string) ([]ClosedDay, error) {
	var out []ClosedDay
	for n, line := range strings.Split(strings.ReplaceAll(text, "\r", ""), "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		day, name, _ := strings.Cut(line, " ")
		d, err := ParseDate(day)
		name = strings.TrimSpace(name)
		if err != nil || name == "" || utf8.RuneCountInString(name) > longestDayName || len(out) == mostClosedDays ||
			slices.ContainsFunc(out, func(c ClosedDay) bool { return c.Date == d }) {
			return nil, &ClosedLine{Number: n + 1, Line: line}
		}
		out = append(out, ClosedDay{Date: d, Name: name})
	}
	slices.SortFunc(out, func(a, b ClosedDay) int { return int(a.Date - b.Date) })
	return out, nil
}

// MayClose tells whether the actor keeps the closed days of their house: its coordinators
// and, where it has none on file, its specialists.
func (s *Service) MayClose(ctx context.Context, actor identity.Actor) (may bool, err error) {
	err = s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		may, err = s.mayClose(ctx, tx, actor)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("who keeps closed days: %w", err)
	}
	return may, nil
}

func (s *Service) mayClose(ctx context.Context, tx *audit.Tx, actor identity.Actor) (bool, error) {
	switch {
	case actor.Guest() || actor.Organization == "":
		return false, nil
	case actor.Has(identity.RoleCoordinator):
		return true, nil
	case !actor.Has(identity.RoleSpecialist):
		return false, nil
	}
	staff, ok := s.people.(Staff)
	if !ok {
		return true, nil
	}
	list, err := staff.PeopleOfTx(ctx, tx, actor.Organization, identity.RoleCoordinator)
	if err != nil {
		return false, fmt.Errorf("coordinators of a house: %w", err)
	}
	return len(list) == 0, nil
}

// SetClosedDays replaces the closed days of the actor's organization, for who keeps them:
// see MayClose.
func (s *Service) SetClosedDays(ctx context.Context, actor identity.Actor, list []ClosedDay) error {
	if len(list) > mostClosedDays {
		return fmt.Errorf("%w: too many closed days", ErrInvalidRequest)
	}
	err := s.write(ctx, actor.Scope(), func(tx *audit.Tx) error {
		may, err := s.mayClose(ctx, tx, actor)
		switch {
		case err != nil:
			return err
		case !may:
			return ErrForbidden
		}
		if err := saveClosedDays(ctx, tx, actor.Person, list); err != nil {
			return err
		}
		e := actor.Event("closed_days.set")
		e.Objects = map[string]string{"organization": string(actor.Organization)}
		e.Detail = map[string]any{"days": int64(len(list))}
		tx.Append(e)
		return nil
	})
	if err != nil {
		return fmt.Errorf("set closed days: %w", err)
	}
	return nil
}

// ClosedDays are the closed days of organizations, by organization and date. They are no
// secret.
func (s *Service) ClosedDays(ctx context.Context, orgs ...identity.OrganizationID) (list []ClosedDay, err error) {
	err = s.db.Read(ctx, audit.Scope{}, func(tx *audit.Tx) error {
		list, err = closedDays(ctx, tx, orgs)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("closed days: %w", err)
	}
	return list, nil
}
