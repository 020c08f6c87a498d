package i18n

// Messages of the record area: the record as a whole, its past, what ends soon, registry files, editions of rules, and what patients read.
const (
	RecordAsKnownTitle   ID = "record.asknown.title"
	RecordAsKnownLink    ID = "record.asknown.link"
	RecordAsKnownExplain ID = "record.asknown.explain"
	RecordValidOn        ID = "record.valid_on"
	RecordValidHint      ID = "record.valid_hint"
	RecordKnownOn        ID = "record.known_on"
	RecordKnownHint      ID = "record.known_hint"
	RecordAlsoPlace      ID = "record.also_place"
	RecordAxes           ID = "record.axes"
	RecordNothingKnown   ID = "record.nothing_known"
	RecordWasValid       ID = "record.was_valid"
	RecordWasNotValid    ID = "record.was_not_valid"
	RecordExcluded       ID = "record.excluded"
	RecordMatrix         ID = "record.matrix"
	RecordMatrixExplain  ID = "record.matrix_explain"
	RecordMore           ID = "record.more"
	RecordTimeline       ID = "record.timeline"
	RecordTrueFrom       ID = "record.true_from"
)
