package mail

import (
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
)

// clockText says why a visit has another time on somebody's clock; moved tells that
// its calendar entry changes.
func clockText(a TellArgs, inv scheduling.Invitation) (t text, moved bool) {
	switch {
	case a.Act == "appointment.clock_kept":
		return text{i18n.MailClockSubject, i18n.MailClockKept}, false
	case inv.Seat.Role == scheduling.RoleInterpreter && inv.Seat.Response == scheduling.NeedsAction:
		return text{i18n.MailClockSubject, i18n.MailClockAsked}, true
	}
	return text{i18n.MailClockSubject, i18n.MailClockMoved}, true
}
