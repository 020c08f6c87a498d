package scheduling

// State is where an appointment stands.
type State string

// The states of an appointment. Held, pending, booked, in progress and needing
// attention occupy the people seated.
const (
	StateHeld           State = "held"            // seats kept for minutes
	StatePending        State = "pending"         // waits for somebody's yes
	StateBooked         State = "booked"          // everybody is seated
	StateInProgress     State = "in_progress"     // the session runs
	StateFulfilled      State = "fulfilled"       // it took place
	StateCanceled       State = "canceled"        // by a person, with a reason
	StateNoShow         State = "no_show"         // somebody required did not come
	StateLapsed         State = "lapsed"          // the hold ran out
	StateNeedsAttention State = "needs_attention" // a license, consent, seat or zone rule fell away
)

// Event is what moves an appointment from state to state.
type Event string

// The events of an appointment.
const (
	EventConfirm Event = "confirm" // a hold becomes a booking
	EventWait    Event = "wait"    // a hold, what needed attention or was moved waits for a yes
	EventExpire  Event = "expire"
	EventBegin   Event = "begin"
	EventFulfill Event = "fulfill"
	EventCancel  Event = "cancel"
	EventMiss    Event = "miss"
	EventImpair  Event = "impair" // something it rests on fell away
	EventRepair  Event = "repair" // and is there again
)

var transitions = map[State]map[Event]State{
	StateHeld:           {EventConfirm: StateBooked, EventWait: StatePending, EventExpire: StateLapsed, EventCancel: StateCanceled},
	StatePending:        {EventConfirm: StateBooked, EventWait: StatePending, EventCancel: StateCanceled, EventMiss: StateNoShow, EventImpair: StateNeedsAttention},
	StateBooked:         {EventBegin: StateInProgress, EventWait: StatePending, EventCancel: StateCanceled, EventMiss: StateNoShow, EventImpair: StateNeedsAttention},
	StateNeedsAttention: {EventRepair: StateBooked, EventWait: StatePending, EventCancel: StateCanceled},
	StateInProgress:     {EventFulfill: StateFulfilled},
}

// Next is the state after an event; false means that the event has no place there.
func (s State) Next(ev Event) (State, bool) {
	to, ok := transitions[s][ev]
	return to, ok
}

// Occupies tells whether the seats of an appointment in this state keep their people.
func (s State) Occupies() bool {
	switch s {
	case StateHeld, StatePending, StateBooked, StateInProgress, StateNeedsAttention:
		return true
	}
	return false
}
