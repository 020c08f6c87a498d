package i18n

// Messages of the asked area: nobody of the interpreters asked has said yes.
const (
	AskedBefore ID = "asked.before"
	AskedChoice ID = "asked.choice"
	AskedMixed  ID = "asked.mixed"
	AskedSilent ID = "asked.silent"
)
