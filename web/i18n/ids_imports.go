package i18n

// Messages of the imports area: how registry files are encoded and how large they may be.
const (
	ImportsEncoding       ID = "imports.encoding"
	ImportsEncodingDetect ID = "imports.encoding.detect"
	ImportsEncodingHint   ID = "imports.encoding.hint"
	ImportsExplain        ID = "imports.explain"
	ImportsReadAs         ID = "imports.read_as"
	ImportsRowRefused     ID = "imports.row_refused"
	RecordRowEncoding     ID = "record.row.encoding"
	RecordRowTooMany      ID = "record.row.too_many"
)
