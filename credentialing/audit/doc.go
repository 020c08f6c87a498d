// Package audit is the bottom of the house: the one way to open a transaction,
// and the append-only Merkle log (RFC 6962) in which every command ends.
//
// A command calls [DB.Write]. The helper opens a transaction, tells PostgreSQL for
// which organization and person it acts (the settings consilium.organization and
// consilium.person, read by the row policies), runs the command, and as the last
// statements before commit turns the events collected with [Tx.Append] into leaves
// of the log. Act and leaf therefore commit together or not at all.
//
// Leaves hold ids, codes and salted commitments, never clinical content. Details
// that people may read stand beside the leaf, under the row policies.
//
// A [Signer] signs the log's size and root as a checkpoint. A [Proof] shows that a
// leaf is in it, a [Consistency] that nothing before it changed since; both verify
// offline. [DB.VerifyAll] recomputes everything, [DB.Follow] hands each leaf on.
package audit
