// Package identity knows who someone is: people, organizations, roles, sign-in,
// and a person's language and time zone. It knows nothing of what they may do;
// that is for credentialing and for the policy function beside each command.
//
// A request carries a token; [Service.Authenticate] turns it into an [Actor], who
// then stands second in every command. Logins are rows: the database keeps the hash
// of the token, roles are read anew with each request, and ending a login is one
// update. People sign in by passkey; a person's first passkey comes by an invitation
// ([Service.Invite]); a redeemed mail link opens one seat and nothing else
// ([Service.GuestLogin]); one click signs in the cast of the demonstration.
//
// Documents are signed by the same passkeys: [Service.AssertionOptions] asks,
// [Service.VerifyAssertion] verifies inside the transaction that keeps the document,
// and [VerifySignature] with [VerifyEnrollment] verify it again years later, offline.
// Package demokey makes the demonstration key, package identitytest gives tests of
// other rooms people who can sign.
package identity
