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
// processors with some other work on them (load 2.5 to 3.5), Go 1.26.8, PostgreSQL 15 with
// fsync, 2026-11-25: 12 µs for a search; p50 1.8 ms and p99 4.9 ms for free starts; 493
// bookings a second, 1.1 ms of processor time of the service's own each. With little stored
// (500 and 5 000), alternating with the binary of the day before: 314, 307 and 458 bookings a
// second against 225 and 218, p50 1.6 to 1.8 ms against 3.0 to 3.2. Bookings and the median of
// free starts miss their targets.
package scheduling
