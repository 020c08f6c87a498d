package i18n

// Messages of the desk area: what officers of credentials do beyond one record.
const (
	DeskFind           ID = "desk.find"
	DeskFindPerson     ID = "desk.find_person"
	DeskNoneFound      ID = "desk.none_found"
	DeskOperator       ID = "desk.operator"
	DeskPageAfter      ID = "desk.page_after"
	DeskPageBefore     ID = "desk.page_before"
	DeskPageOf         ID = "desk.page_of"
	DeskPages          ID = "desk.pages"
	DeskQueueAnd       ID = "desk.queue_and"
	DeskReliedBookings ID = "desk.relied_bookings"
	DeskReliedCases    ID = "desk.relied_cases"
)
