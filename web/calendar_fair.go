package web

import (
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/pages"
)

// fairTimes names who sat at hard hours in half of their last visits or more, and then
// the fairest time beside the soonest.
func fairTimes(v *visit, answer scheduling.SearchAnswer, p *pages.TimesPage) {
	for _, n := range answer.Fair {
		if n.Visits > 1 && 2*n.Hard >= n.Visits {
			p.Fair = append(p.Fair, pages.FairRow{Name: n.Name, Hard: n.Hard, Visits: n.Visits})
		}
	}
	if len(p.Fair) == 0 || len(answer.Fairest) == 0 || answer.Fairest[0].Start.Equal(answer.Slots[soonestOf(answer.Slots)].Start) {
		return
	}
	row := slotRow(v, answer.Fairest[0])
	p.Fairest = &row
}
