package main

import "github.com/consilium-health/consilium/credentialing/identity"

// The standing cast of `consilium demo`: invented people, organizations and numbers.
// Days are relative to the first start (D).

type castOrganization struct {
	key, name, kind, zone, place string
	telehealth                   bool // holds a facility license for telehealth
}

var castOrganizations = []castOrganization{
	{key: "jacaranda", name: "Jacaranda Hill Hospital", kind: "hospital", zone: "Africa/Nairobi", place: "KE", telehealth: true},
	{key: "palm", name: "Palm Grove Hospital", kind: "hospital", zone: "Asia/Riyadh", place: "SA", telehealth: true},
	{key: "maple", name: "Maple Heart Institute", kind: "specialist-center", zone: "America/Toronto", place: "CA-ON"},
	{key: "havel", name: "Havel Heart Clinic", kind: "specialist-center", zone: "Europe/Berlin", place: "DE"},
	{key: "tejo", name: "Tejo Heart Clinic", kind: "specialist-center", zone: "Europe/Lisbon", place: "PT"},
	{key: "northgate", name: "Northgate Heart Clinic", kind: "specialist-center", zone: "Europe/London", place: "GB"},
	{key: "cedar", name: "Cedar Bridge Interpreters", kind: "interpreter-agency", zone: "Asia/Beirut", place: "LB"},
}

type castPerson struct {
	key, name, title, org, zone, language string
	languages                             []string
	home, specialty                       string
	roles                                 []identity.Role
	days                                  []string // working days; nil: none of their own
	from, to                              string   // working hours, HH:MM
	onCall                                bool     // all day, no notice, for the 7 days after each start
}

var weekdays = []string{"MO", "TU", "WE", "TH", "FR"}

var castPeople = []castPerson{
	{key: "otieno", name: "Dr Amina Otieno", title: "local_physician", org: "jacaranda", zone: "Africa/Nairobi", language: "en", languages: []string{"en", "sw"}, home: "KE",
		roles: []identity.Role{identity.RoleLocalPhysician}, days: weekdays, from: "08:00", to: "17:00", onCall: true},
	{key: "kamau", name: "Dr Joseph Kamau", title: "local_physician", org: "jacaranda", zone: "Africa/Nairobi", language: "en", languages: []string{"en", "sw"}, home: "KE",
		roles: []identity.Role{identity.RoleLocalPhysician}, days: weekdays, from: "08:00", to: "17:00"},
	{key: "alharbi", name: "Dr Noura Al-Harbi", title: "local_physician", org: "palm", zone: "Asia/Riyadh", language: "ar", languages: []string{"ar", "en"}, home: "SA",
		roles: []identity.Role{identity.RoleLocalPhysician}, days: []string{"SU", "MO", "TU", "WE", "TH"}, from: "08:00", to: "16:00"},
	{key: "tremblay", name: "Prof. Claire Tremblay", title: "cardiologist", org: "maple", zone: "America/Toronto", language: "fr", languages: []string{"fr", "en"}, home: "CA-ON", specialty: "cardiology",
		roles: []identity.Role{identity.RoleSpecialist}, days: []string{"MO", "TU", "WE", "TH"}, from: "08:00", to: "12:00", onCall: true},
	{key: "weber", name: "Dr Jonas Weber", title: "cardiologist", org: "havel", zone: "Europe/Berlin", language: "en", languages: []string{"de", "en"}, home: "DE", specialty: "cardiology",
		roles: []identity.Role{identity.RoleSpecialist}, days: weekdays, from: "09:00", to: "17:00"},
	{key: "duarte", name: "Dr Ana Duarte", title: "cardiologist", org: "tejo", zone: "Europe/Lisbon", language: "en", languages: []string{"pt", "en"}, home: "PT", specialty: "cardiology",
		roles: []identity.Role{identity.RoleSpecialist}, days: weekdays, from: "09:00", to: "17:00"},
	{key: "hale", name: "Dr Martin Hale", title: "cardiologist", org: "northgate", zone: "Europe/London", language: "en", languages: []string{"en"}, home: "GB", specialty: "cardiology",
		roles: []identity.Role{identity.RoleSpecialist}, days: weekdays, from: "09:00", to: "17:00"},
	{key: "aziz", name: "Layla Aziz", title: "interpreter", org: "cedar", zone: "Asia/Beirut", language: "ar", languages: []string{"ar", "en"}, home: "LB",
		roles: []identity.Role{identity.RoleInterpreter}, days: weekdays, from: "10:00", to: "18:00", onCall: true},
	{key: "farah", name: "Yusuf Farah", title: "interpreter", org: "cedar", zone: "Africa/Nairobi", language: "en", languages: []string{"ar", "en", "so"}, home: "KE",
		roles: []identity.Role{identity.RoleInterpreter}, days: weekdays, from: "08:00", to: "17:00"},
	{key: "mwangi", name: "Peter Mwangi", title: "coordinator", org: "jacaranda", zone: "Africa/Nairobi", language: "en", languages: []string{"en", "sw"}, home: "KE",
		roles: []identity.Role{identity.RoleCoordinator}, days: weekdays, from: "08:00", to: "17:00"},
	{key: "wanjiru", name: "Grace Wanjiru", title: "credentialing_officer", org: "jacaranda", zone: "Africa/Nairobi", language: "en", languages: []string{"en"}, home: "KE",
		roles: []identity.Role{identity.RoleOfficer}},
	{key: "kiptoo", name: "Samuel Kiptoo", title: "credentialing_officer", org: "jacaranda", zone: "Africa/Nairobi", language: "en", languages: []string{"en"}, home: "KE",
		roles: []identity.Role{identity.RoleOfficer, identity.RoleAdministrator}},
	{key: "idris", name: "Salma Idris", title: "patient", zone: "Africa/Nairobi", language: "ar", languages: []string{"ar"},
		roles: []identity.Role{identity.RolePatient}, org: "jacaranda", onCall: true},
}

// castCredential is a claim of the cast; unless waiting, it is verified and approved.
type castCredential struct {
	person, kind, issuer, number, place, typ string
	facility                                 string   // key of the organization named on it
	activities                               []string // nil: all
	territories                              []string // liability cover
	pair                                     [2]string
	from, to                                 int // days from D
	suspended                                int // days from D at which it was suspended; 0: never
	waiting                                  bool
}

// method is how it is verified: liability cover by its certificate.
func (c castCredential) method() string {
	if c.kind == "malpractice" {
		return "certificate"
	}
	return "primary-source"
}

const year = 365

var advises = []string{"advise_physician", "joint_video_visit"}

var castCredentials = []castCredential{
	{person: "otieno", kind: "licence", issuer: "KMPDC", number: "DEMO-KE-0001", place: "KE", from: -year, to: 2 * year},
	{person: "kamau", kind: "licence", issuer: "KMPDC", number: "DEMO-KE-0002", place: "KE", from: -2 * year, to: -10},
	{person: "alharbi", kind: "licence", issuer: "SCFHS", number: "DEMO-SA-0001", place: "SA", from: -year, to: 2 * year},
	{person: "tremblay", kind: "licence", issuer: "CPSO", number: "DEMO-CA-0001", place: "CA-ON", from: -3 * year, to: 2 * year},
	{person: "tremblay", kind: "registration", issuer: "KMPDC", number: "DEMO-KE-0101", place: "KE", typ: "temporary-licence", facility: "jacaranda", activities: advises, from: -60, to: 300},
	{person: "tremblay", kind: "malpractice", issuer: "Lakeshore Indemnity", number: "DEMO-CV-0001", territories: []string{"CA", "KE", "SA"}, from: -100, to: 2 * year},
	{person: "weber", kind: "licence", issuer: "Ärztekammer Berlin", number: "DEMO-DE-0001", place: "DE", from: -3 * year, to: 3 * year},
	{person: "weber", kind: "malpractice", issuer: "Spree Versicherung", number: "DEMO-CV-0002", territories: []string{"DE", "SA"}, from: -100, to: 2 * year},
	{person: "weber", kind: "registration", issuer: "KMPDC", number: "DEMO-KE-0102", place: "KE", typ: "temporary-licence", facility: "jacaranda", activities: advises, from: -5, to: 300, waiting: true},
	{person: "weber", kind: "malpractice", issuer: "Spree Versicherung", number: "DEMO-CV-0003", territories: []string{"KE"}, from: -5, to: year, waiting: true},
	{person: "duarte", kind: "licence", issuer: "Ordem dos Médicos", number: "DEMO-PT-0001", place: "PT", from: -3 * year, to: 3 * year},
	{person: "duarte", kind: "registration", issuer: "KMPDC", number: "DEMO-KE-0103", place: "KE", typ: "temporary-licence", facility: "jacaranda", activities: advises, from: -300, to: 5},
	{person: "duarte", kind: "malpractice", issuer: "Tejo Seguros", number: "DEMO-CV-0004", territories: []string{"*"}, from: -100, to: 2 * year},
	{person: "hale", kind: "licence", issuer: "GMC", number: "DEMO-GB-0001", place: "GB", from: -3 * year, to: 3 * year, suspended: -11},
	{person: "hale", kind: "registration", issuer: "KMPDC", number: "DEMO-KE-0104", place: "KE", typ: "temporary-licence", facility: "jacaranda", activities: advises, from: -60, to: 300},
	{person: "hale", kind: "malpractice", issuer: "Northgate Mutual", number: "DEMO-CV-0005", territories: []string{"GB", "KE"}, from: -100, to: 2 * year},
	{person: "aziz", kind: "interpreter_certificate", issuer: "Levant Board of Interpreters", number: "DEMO-IN-0001", pair: [2]string{"ar", "en"}, from: -year, to: year},
	{person: "farah", kind: "interpreter_certificate", issuer: "Levant Board of Interpreters", number: "DEMO-IN-0002", pair: [2]string{"ar", "en"}, from: -2 * year, to: -3},
}

// castAgreement lets records flow from a hospital to a specialist center.
type castAgreement struct{ from, to string }

var castAgreements = []castAgreement{
	{"jacaranda", "maple"}, {"jacaranda", "havel"}, {"jacaranda", "tejo"},
	{"palm", "havel"},
}
