package web

import (
	"context"
	"fmt"
	"strconv"

	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// gapRows are the times in which a relay of a visit was lost, for the clinic that
// booked it.
func (s *Server) gapRows(ctx context.Context, v *visit, a scheduling.Appointment, name func(scheduling.Appointment, scheduling.Seat) string) ([]pages.GapRow, error) {
	if s.d.Sessions == nil || v.actor.Guest() {
		return nil, nil
	}
	gaps, err := s.d.Sessions.Gaps(ctx, v.actor, a.ID)
	if err != nil {
		return nil, fmt.Errorf("appointment page: %w", err)
	}
	clock := v.l.ClockSeconds
	var rows []pages.GapRow
	for _, g := range gaps {
		seat, ok := a.Seat(g.Person)
		if !ok {
			continue
		}
		row := pages.GapRow{Text: i18n.RelayGapClosed, Data: i18n.V{"Who": name(a, seat), "Language": v.l.Language(g.Channel), "From": clock(g.Began)}}
		if g.Ended.IsZero() {
			row.Text = i18n.RelayGapOpen
		} else {
			if g.Restored {
				row.Text = i18n.RelayGapRestored
			}
			row.Data["Until"] = clock(g.Ended)
			row.Data["Seconds"] = strconv.FormatFloat(g.Ended.Sub(g.Began).Seconds(), 'f', 0, 64)
		}
		rows = append(rows, row)
	}
	return rows, nil
}
