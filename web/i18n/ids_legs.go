package i18n

// Messages of the legs area: which interpreter of several is missing, and windows of a
// program that take no more.
const (
	BookingWhyCapacity       ID = "booking.why.capacity"
	BookingWhyCapacityIntake ID = "booking.why.capacity_intake"
	BookingWhyCapacityLate   ID = "booking.why.capacity_late"
	LegsFullMove             ID = "legs.full.move"
	LegsFullNone             ID = "legs.full.none"
	LegsFullText             ID = "legs.full.text"
	LegsFullTitle            ID = "legs.full.title"
	LegsMissing              ID = "legs.missing"
	LegsPair                 ID = "legs.pair"
	LegsWaits                ID = "legs.waits"
	LegsWhyThree             ID = "legs.why.three"
	MailLegsMissing          ID = "mail.legs.missing"
)
