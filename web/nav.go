package web

import (
	"slices"
	"strings"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// navEntry is one place of the site and who is shown the way to it.
type navEntry struct {
	href  string
	label i18n.ID
	icon  string
	roles []identity.Role // nil: every member
	demo  bool            // in the demonstration only
}

var navEntries = []navEntry{
	{href: "/", label: i18n.NavHome, icon: "home"},
	{href: "/cases", label: i18n.NavCases, icon: "file", roles: []identity.Role{identity.RoleLocalPhysician, identity.RoleSpecialist, identity.RoleCoordinator}},
	{href: "/appointments", label: i18n.NavAppointments, icon: "calendar", roles: []identity.Role{identity.RoleLocalPhysician, identity.RoleSpecialist, identity.RoleCoordinator, identity.RoleInterpreter, identity.RolePatient}},
	{href: "/waiting", label: i18n.ArrangeWaitingTitle, icon: "clock", roles: []identity.Role{identity.RoleLocalPhysician, identity.RoleCoordinator}},
	{href: "/panels", label: i18n.ArrangePanelTitle, icon: "people", roles: []identity.Role{identity.RoleCoordinator}},
	{href: "/presence", label: i18n.PresenceTitle, icon: "calendar", roles: []identity.Role{identity.RoleLocalPhysician, identity.RoleSpecialist, identity.RoleCoordinator}},
	{href: "/availability", label: i18n.NavAvailability, icon: "clock", roles: []identity.Role{identity.RoleLocalPhysician, identity.RoleSpecialist, identity.RoleInterpreter}},
	{href: "/credentials", label: i18n.NavCredentials, icon: "badge", roles: []identity.Role{identity.RoleOfficer}},
	{href: "/credentials/mine", label: i18n.OfficerMine, icon: "badge", roles: []identity.Role{identity.RoleLocalPhysician, identity.RoleSpecialist, identity.RoleInterpreter}},
	{href: "/rest-rules", label: i18n.ArrangeRestTitle, icon: "clock", roles: []identity.Role{identity.RoleOfficer}},
	{href: "/profile", label: i18n.NavProfile, icon: "person"},
	{href: "/outbox", label: i18n.NavOutbox, icon: "mail", demo: true},
	{href: "/demo", label: i18n.NavCast, icon: "people", demo: true},
}

func (s *Server) navigation(v *visit, path string) []pages.NavItem {
	var out []pages.NavItem
	for _, e := range navEntries {
		if e.demo && !s.d.Demo || e.roles != nil && !slices.ContainsFunc(e.roles, v.actor.Has) {
			continue
		}
		here := path == e.href || e.href != "/" && strings.HasPrefix(path, e.href+"/")
		out = append(out, pages.NavItem{Href: e.href, Label: v.l.T(e.label), Icon: e.icon, Current: here})
	}
	return out
}
