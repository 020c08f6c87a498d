// Package fhir writes what is on file about a person as FHIR R4 resources: who they are
// (Practitioner), for whom they work and which privileges they have there
// (PractitionerRole), and how each credential was checked (VerificationResult).
//
// It is read only, and a function of values. Each resource has versions, which follow what
// was known ([Histories]), so that a client reads what stood on any day. Only what was verified stands among a
// practitioner's qualifications; a claim that waits has a VerificationResult of status
// attested and nothing else. Exclusions, evidence and determinations are not exported.
package fhir
