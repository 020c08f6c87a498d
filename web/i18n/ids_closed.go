package i18n

// Messages of the closed area: holidays of a house.
const (
	ClosedBad   ID = "closed.bad"
	ClosedHint  ID = "closed.hint"
	ClosedList  ID = "closed.list"
	ClosedRead  ID = "closed.read"
	ClosedSave  ID = "closed.save"
	ClosedSaved ID = "closed.saved"
	ClosedTitle ID = "closed.title"
	ClosedWarn  ID = "closed.warn"
)
