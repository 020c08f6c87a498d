package i18n

// Messages of the tongue area: languages of patients beyond the common ones.
const (
	TongueOther ID = "tongue.other"
)
