// Package scheduling finds and books the time at which a patient, a local
// physician, a specialist and, where needed, interpreters can all meet: each in a
// zone of their own, each permitted to do their part at that instant.
//
// An [Availability] is civil: weekday, wall clock, IANA zone. [Resolve] is the one
// function that turns a civil time into an instant, from zone data that the binary
// carries. [Find] is the search as a function of values; [Service] reads what the
// search needs, books in one transaction and keeps the appointments. That nobody
// sits in two places at once is kept by a constraint of the database, not by a check.
//
// A booking is never a license. Whatever changes what somebody may do is recorded by
// credentialing in the same transaction; [Service.Reevaluate] follows that and the
// clock, judges the visits concerned in batches, sets aside those that are no longer
// permitted and restores them when they are. It cancels nothing:
// [Service.Substitutes] says how a visit could take place, [Service.Substitute]
// rebooks it so.
//
// Interpreters are asked in an order and until a deadline, for each leg of a relay apart:
// a yes for one leg is kept while another is asked anew, and only when nobody is left for
// a leg does the visit go another way, by [Service.AskInterpreters]. Three people of whom
// no two share a language are interpreted from the language of one of them, or from one
// that none of them speaks.
//
// [Service.Hold] keeps seats for minutes, [Service.Reschedule] gives a visit another
// time and keeps the old one until the new is taken. A [Presence] is a series of
// windows in which a specialist is there for a clinic; it seats nobody by itself.
//
// What scheduling must know of a case it asks through [CaseFacts].
//
// How fast it is, `consilium bench scheduling` measures. The targets are 20 µs for a search
// of five parties over 60 days, 1 ms (p99 5 ms) for the answer of free starts over HTTP, and
// 1 000 bookings a second, with 10 000 practitioners and 200 000 appointments stored. On two
// processors that others used at the same time (load 35 to 40), Go 1.26.8, PostgreSQL 15 with
// fsync: 29 µs of processor time; p50 2.0 ms and p99 82 ms, 1.4 ms of processor time of the
// service's own; 73 bookings a second, 2.1 ms of processor time of the service's own and, with
// 5 000 appointments stored, about 4.6 ms of the database's. Bookings and free starts miss
// their targets; no run with this many stored has been made on a quiet machine.
package scheduling
