package i18n

// Messages of the rows area: what is wrong with the fields of a registry file.
const (
	RowsFieldNamed ID = "record.field_named"
)
