package i18n

// Messages of the relay area: an interpreter works from another one.
const (
	RoomInputTitle ID = "room.input.title"
)
