package i18n

// Messages of the relay area: an interpreter works from another one.
const (
	RelayGapClosed   ID = "relay.gap.closed"
	RelayGapOpen     ID = "relay.gap.open"
	RelayGapRestored ID = "relay.gap.restored"
	RelayGaps        ID = "relay.gaps"
	RoomInputTitle   ID = "room.input.title"
)
