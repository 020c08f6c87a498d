package audit

import "time"

// Event is what a command did, in ids and codes. It becomes one leaf of the log.
type Event struct {
	// Act names the command in the past tense, room first:
	// "appointment.booked", "decision.signed", "media.refused".
	Act string
	// Actor is the person who acted, "" for the system; Login the browser's sign-in.
	Actor string
	Login string
	// System names the job that acted when nobody did: "reminder", "seed".
	System string
	// Organization is the tenant the event belongs to; "" takes the transaction's.
	Organization string
	// Jurisdiction is the patient's place where one matters (ISO 3166).
	Jurisdiction string
	// Objects are the ids the act touched, keyed by kind: "case", "appointment",
	// "seat", "decision", "person", "credential", "session", "document".
	Objects map[string]string
	// Hashes are SHA-256 sums that the leaf must vouch for, hex, keyed by what
	// they are of: "document", "signature", "key", "evidence".
	Hashes map[string]string
	// Determination is the id of the scope evaluation the act rests on.
	Determination string
	// Reason is a code, never free text: "KE-002", "license-suspended".
	Reason string
	// Epoch is the epoch of a live session's machine (interpretation I7).
	Epoch uint64
	// Detail may be shown to people of the organization. It is kept beside the leaf
	// under the row policies; the leaf holds only a salted commitment to it.
	Detail map[string]any
	// Tell lists the people (ids) who are told of this by mail, each once.
	Tell []string
}

// Leaf is an event in the log.
type Leaf struct {
	Index int64
	At    time.Time
	// Data are the exact bytes the Merkle tree hashes: canonical JSON (RFC 8785).
	Data  []byte
	Event Event
}
