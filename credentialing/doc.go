// Package credentialing answers one question with reasons: at this instant, may
// this person do this activity for a patient who is in this place?
//
// What a person holds is kept as claims, evidence, verifications and a history of
// statuses on two axes of time, so that what was known at any past moment about
// any day can be asked again. What a place allows is kept in jurisdiction packs
// (folder jurisdictions, YAML): facts in our own words with a citation, not legal
// advice. [Evaluate] puts both together. It is a function of values: no clock, no
// database. The default is deny, a forbid beats every permit, and a fact that is
// not known never helps.
//
// [Service] reads and writes the record, and keeps every answer as a
// [Determination] that can be replayed from its own facts to the same bytes.
//
// Identifiers say License; the pack files, condition names and stored facts spell
// it "licence". That spelling is a fixed wire value, mapped in kind.go.
package credentialing
