package i18n

// Messages of the replay area: past answers that do not come out as they were recorded.
const (
	ReplayErrorOpen ID = "replay.error.open"
)
