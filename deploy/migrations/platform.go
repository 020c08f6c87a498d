package migrations

// PlatformTables name an organization but belong to the platform, so they carry no
// row policy of a clinic: the directory of people, their sign-ins and credentials
// are read across clinics, determinations and the log's leaves hold ids and codes only.
var PlatformTables = []string{"role_grant", "login", "audit_leaf", "determination", "facility_license"}
