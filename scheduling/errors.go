package scheduling

import (
	"errors"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
)

var (
	// ErrNotFound means that there is no such appointment, case or person, or none
	// that the actor may know of.
	ErrNotFound = errors.New("scheduling: not found")
	// ErrSlotTaken means that one of the people has another appointment at that time.
	// The error returned is a *SlotTaken with the nearest free starts.
	ErrSlotTaken = errors.New("scheduling: slot taken")
	// ErrKeyReused means that the idempotency key was used for another request.
	ErrKeyReused = errors.New("scheduling: idempotency key used for another request")
	// ErrVersion means that what is to be changed was changed since it was read.
	ErrVersion = errors.New("scheduling: changed since it was read")
	// ErrState means that the appointment's state does not allow the command.
	ErrState = errors.New("scheduling: not in this state")
	// ErrForbidden means that the actor may see the appointment but not do this.
	ErrForbidden = errors.New("scheduling: not allowed")
	// ErrInvite means that a link is not, or no longer, good for anything: unknown,
	// used, expired, or the appointment is off. Which of them is not told.
	ErrInvite = errors.New("scheduling: link is not valid")
	// ErrInvalidRequest means that a request lacks something or contradicts itself.
	ErrInvalidRequest = errors.New("scheduling: invalid request")
)

// SlotTaken is ErrSlotTaken with what is free instead.
type SlotTaken struct {
	Nearest []Slot // at most three, what the patient wished and nearest to the start asked for first
	// Full says, when nobody sits elsewhere but the window of Whose program takes no more,
	// why not: a code such as "program:full"; else "".
	Full  string
	Whose identity.PersonID
}

func (e *SlotTaken) Error() string { return ErrSlotTaken.Error() }

// Is makes a *SlotTaken an ErrSlotTaken.
func (e *SlotTaken) Is(target error) bool { return target == ErrSlotTaken }

// fullSlot is ErrSlotTaken of a window that takes no more.
type fullSlot struct {
	lead  string
	whose identity.PersonID
}

func (e *fullSlot) Error() string { return "scheduling: " + e.lead }

func (e *fullSlot) Is(target error) bool { return target == ErrSlotTaken }

// Refusal says which limit refuses a start, whose it is and what would satisfy it.
type Refusal struct {
	Limit  LimitKind
	Person identity.PersonID // whose limit; "" when nobody's alone
	// Of a license: the reason codes of the determination, sorted, and the one to show
	// first. Of an interpreter: why nobody is qualified.
	Reasons []string
	Lead    string
	// Of a license: the rule that refuses, if a single one does, and where.
	Rule         string
	Jurisdiction string
	// Until is when the limit falls away by itself, or, for a license, the instant
	// at which permission ends; zero if no date helps.
	Until time.Time
	Rest  *RestFault // of rest: the rule and what it would come to
	Need  Need       // of needs: which wish of the patient
	Wish  *TimeWish  // of NeedTimes: the time that it meets, if it is known
}

func (e *Refusal) Error() string { return "scheduling: refused by " + string(e.Limit) }

// WallRefusal means that a typed time of the clock does not exist in its zone, or
// exists twice and it was not said which is meant.
type WallRefusal struct {
	Zone  string
	Wall  Wall
	Check WallCheck // Next is the next time that exists; Instants are the two of a fold
}

func (e *WallRefusal) Error() string {
	return "scheduling: local time is a " + string(e.Check.Kind) + " in " + e.Zone
}

// EarlyInvite means that a link was opened before it can be used.
type EarlyInvite struct{ Opens time.Time }

func (e *EarlyInvite) Error() string { return "scheduling: link opens later" }
