package i18n

// Messages of the compliance area: confirming rules, renewals by link, restrictions, the
// rules of one's own place, and looking at past answers again.
const (
	ComplianceAt               ID = "compliance.at"
	ComplianceElsewhere        ID = "compliance.elsewhere"
	ComplianceFacility         ID = "compliance.facility"
	ComplianceFacilityHint     ID = "compliance.facility_hint"
	ComplianceFacilityNone     ID = "compliance.facility_none"
	ComplianceOnlyAt           ID = "compliance.only_at"
	ComplianceAmounts          ID = "compliance.amounts"
	ComplianceCurrency         ID = "compliance.currency"
	CompliancePerClaim         ID = "compliance.per_claim"
	ComplianceAggregate        ID = "compliance.aggregate"
	ComplianceAmountBad        ID = "compliance.amount_bad"
	ComplianceRestriction      ID = "compliance.restriction"
	ComplianceRestrictionText  ID = "compliance.restriction_text"
	ComplianceRestrictionHint  ID = "compliance.restriction_hint"
	ComplianceRestrictedActs   ID = "compliance.restricted_acts"
	ComplianceRestrictedPlaces ID = "compliance.restricted_places"
	ComplianceRestrictedFrom   ID = "compliance.restricted_from"
	ComplianceRestrictedTo     ID = "compliance.restricted_to"
	ComplianceAllActs          ID = "compliance.all_acts"
	ComplianceEverywhere       ID = "compliance.everywhere"
	ComplianceToldOnly         ID = "compliance.told_only"
	ComplianceFrom             ID = "compliance.from"
	ComplianceUntil            ID = "compliance.until"
)
