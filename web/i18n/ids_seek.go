package i18n

// Messages of the seek area: what a search of common times found, and why not.
const (
	SeekDay         ID = "seek.day"
	SeekLeg         ID = "seek.leg"
	SeekRelay       ID = "seek.relay"
	SeekTeam        ID = "seek.team"
	SeekWhyAvoid    ID = "seek.why.avoid"
	SeekWhyRelayLeg ID = "seek.why.relay_leg"
	SeekWhyTeam     ID = "seek.why.team"
)
