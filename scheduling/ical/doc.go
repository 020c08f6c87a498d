// Package ical writes iCalendar text (RFC 5545) for invitations by mail (iTIP, RFC
// 5546; iMIP, RFC 6047). It knows no database and no language: what a person reads
// is given by the caller, in the reader's language and without anything about the
// case, since calendars are copied to places nobody chose.
package ical
