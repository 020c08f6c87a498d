package credentialing

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// UploadLinkID is a UUIDv7.
type UploadLinkID string

const (
	// uploadLinkLife is how long a link is good for. The reminders at 90, 60 and 30
	// days each bring a new one before the last has ended; that of the last week is
	// good for some weeks after the end.
	uploadLinkLife = 30 * day
	// MaxLinkFiles is how many files one link takes: the pages of a document
	// photographed one by one, and not a store.
	MaxLinkFiles = 10
	// openLinks is how many links of one credential may be open: those of the
	// reminders and one that an officer asked for. The oldest gives way to a new one.
	openLinks = 4
)

var (
	// ErrLink means that an upload link is not good: unknown, expired, revoked,
	// finished or no longer needed. It does not say which.
	ErrLink = errors.New("credentialing: the link is not valid")
	// ErrLinkFull means that a link has taken as many files as it takes.
	ErrLinkFull = errors.New("credentialing: the link takes no more files")
)

// UploadLink is one link as its credential's page lists it. Its token is nowhere.
type UploadLink struct {
	ID         UploadLinkID
	IssuedAt   time.Time
	ExpiresAt  time.Time
	Files      int
	FinishedAt time.Time // zero: not finished
	RevokedAt  time.Time // zero: not revoked
	Needed     bool      // no renewal has been approved since it was issued
}

// Open tells whether the link takes files at an instant.
func (l UploadLink) Open(at time.Time) bool {
	return at.Before(l.ExpiresAt) && l.FinishedAt.IsZero() && l.RevokedAt.IsZero() && l.Needed
}

// LinkedCredential is all that the page behind a link may show, and whose it is for
// the language and zone of the page.
type LinkedCredential struct {
	Person  identity.PersonID
	Kind    Kind
	Issuer  string
	Ends    Moment // last day of the period that ends; zero if it has none
	Expires time.Time
	Files   int // that came by this link so far
}

// LinkedUpload is what is sent by a link.
type LinkedUpload struct {
	Files []EvidenceFile // at least one; the source is not asked for
	// ValidTo is the last day that the renewed document shows, NoEnd that it shows
	// none. One of the two is needed.
	ValidTo Moment
	NoEnd   bool
}

// check says what is wrong with what was sent, given the period that ends.
func (u LinkedUpload) check(ending Claim) error {
	switch {
	case len(u.Files) == 0:
		return &Invalid{Field: "file"}
	case u.NoEnd != u.ValidTo.IsZero():
		return &Invalid{Field: "valid_to"}
	case u.ValidTo.IsZero():
		return nil
	case !ending.ValidTo.IsZero() && !ending.ValidTo.ends(nil, true).Before(u.ValidTo.ends(nil, true)):
		return &Invalid{Field: "valid_to"}
	case !ending.ValidFrom.before(u.ValidTo):
		return &Invalid{Field: "valid_to"}
	}
	return nil
}

// renews is the claim of the period after the one that ends.
func (u LinkedUpload) renews(ending Claim) Claim {
	next := ending
	if to := ending.ValidTo; !to.IsZero() {
		next.ValidFrom = to
		if to.date {
			after := time.Date(to.y, to.m, to.d, 0, 0, 0, 0, time.UTC).AddDate(0, 0, 1)
			next.ValidFrom = Date(after.Year(), after.Month(), after.Day())
		}
	}
	next.ValidTo = u.ValidTo
	if t := ending.Terms; t != nil && !t.Tail.IsZero() { // agreed for the policy that ends
		terms := *t
		terms.Tail = Moment{}
		next.Terms = &terms
	}
	return next
}

// newLinkToken is 256 random bits as they stand in a link, and the hash that is kept.
func newLinkToken() (token string, hash []byte) {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	sum := sha256.Sum256(raw)
	return base64.RawURLEncoding.EncodeToString(raw), sum[:]
}

func hashLinkToken(token string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != 32 {
		return nil, ErrLink
	}
	sum := sha256.Sum256(raw)
	return sum[:], nil
}
