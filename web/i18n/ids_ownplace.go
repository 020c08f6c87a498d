package i18n

// Messages of the own-place area: from where specialists work, and their yearly
// statement about it.
const (
	OwnPlaceAgree       ID = "ownplace.agree"
	OwnPlaceDone        ID = "ownplace.done"
	OwnPlaceExplain     ID = "ownplace.explain"
	OwnPlaceHome        ID = "ownplace.home"
	OwnPlaceLicenseBad  ID = "ownplace.license.bad"
	OwnPlaceLicenseGood ID = "ownplace.license.good"
	OwnPlaceLicenseNone ID = "ownplace.license.none"
	OwnPlaceMake        ID = "ownplace.make"
	OwnPlaceMissing     ID = "ownplace.missing"
	OwnPlaceNone        ID = "ownplace.none"
	OwnPlaceNotCovered  ID = "ownplace.not_covered"
	OwnPlaceOK          ID = "ownplace.ok"
	OwnPlacePlace       ID = "ownplace.place"
	OwnPlacePlaceBad    ID = "ownplace.place.bad"
	OwnPlacePlaceHint   ID = "ownplace.place.hint"
	OwnPlaceSign        ID = "ownplace.sign"
	OwnPlaceStated      ID = "ownplace.stated"
	OwnPlaceText        ID = "ownplace.text"
	OwnPlaceTitle       ID = "ownplace.title"
	OwnPlaceUnstated    ID = "ownplace.unstated"
)
