// Package workspace keeps cases: the question of a local physician about a
// patient and everything that hangs on it, until the answer is handed back. A case
// lives without video, before it and after it.
//
// Three rules shape the package. An opinion is the specialist's, a decision is the
// responsible local physician's, and neither becomes the other: two objects, two
// signatures, both inserted and never changed. Signing asks again, in the same
// transaction, whether the signer is licensed where the patient is at that very
// instant, and the database refuses a decision without that answer. Consent is
// asked by the machine at the moment of use: a file opens for a specialist abroad
// only while the patient's consent covers its class, the place and the person.
//
// Clinical text and files are sealed with a key of the case, which is kept apart
// from the database (see [Blobs]); rows and the log hold ids, codes and hashes.
// [VerifyBundle] needs neither database nor account: it checks an evidence bundle
// with nothing but the file that says whom to trust.
package workspace
