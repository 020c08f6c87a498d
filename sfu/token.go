package sfu

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
)

// The errors of tokens and joining; sfu/signal gives them their statuses.
var (
	// ErrToken means that a token is malformed, expired, or signed by another key.
	ErrToken = errors.New("sfu: token not accepted")
	// ErrGrant means that a good token does not permit what is asked.
	ErrGrant = errors.New("sfu: token does not permit this")
	// ErrRevoked means that the ticket was withdrawn after it was given.
	ErrRevoked = errors.New("sfu: ticket was revoked")
	// ErrNoRoom means that the room is not open.
	ErrNoRoom = errors.New("sfu: no such room")
	// ErrNoParticipant means that nobody of that identity is in the room.
	ErrNoParticipant = errors.New("sfu: no such participant")
	// ErrClosed means that the server is stopping.
	ErrClosed = errors.New("sfu: server closed")
)

const (
	// ticketLife is how long a ticket opens the socket: the way from the lobby's
	// answer to the connection, on a slow phone.
	ticketLife = time.Minute
	// refreshLife bounds how long after its last refresh a client may resume.
	refreshLife = 10 * time.Minute
	// refreshEvery is how often a client gets a new one: whenever its socket drops, it
	// holds one that lives nearly as long as the grace time could ask for.
	refreshEvery = 30 * time.Second
	// skew is how far ahead the clock of a token's maker may be. It does not
	// lengthen a token.
	skew = 10 * time.Second
)

func itoa(n int) string { return strconv.Itoa(n) }

// Claims are the contents of an access token of the LiveKit protocol.
type Claims struct {
	jwt.RegisteredClaims
	auth.ClaimGrants
}

// Sign makes an access token of these claims, valid from now on for the time given.
func (s *Server) Sign(c Claims, life time.Duration) (token string, expires time.Time, err error) {
	now := s.now()
	expires = now.Add(life)
	c.Issuer = s.cfg.Key
	c.IssuedAt = jwt.NewNumericDate(now)
	c.NotBefore = jwt.NewNumericDate(now)
	c.ExpiresAt = jwt.NewNumericDate(expires)
	token, err = jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString([]byte(s.cfg.Secret))
	if err != nil {
		return "", time.Time{}, fmt.Errorf("sign access token: %w", err)
	}
	return token, expires, nil
}

// Verify reads an access token: HS256 with the server's own key, not expired by the
// server's clock. Every refusal is ErrToken and tells nothing of the token.
func (s *Server) Verify(token string) (Claims, error) {
	var c Claims
	parser := jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding())
	_, err := parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		if iss, err := t.Claims.GetIssuer(); err != nil || iss != s.cfg.Key {
			return nil, ErrToken
		}
		return []byte(s.cfg.Secret), nil
	})
	if err != nil {
		return Claims{}, ErrToken
	}
	now := s.now()
	if c.ExpiresAt == nil || !now.Before(c.ExpiresAt.Time) {
		return Claims{}, ErrToken
	}
	if c.NotBefore != nil && now.Add(skew).Before(c.NotBefore.Time) {
		return Claims{}, ErrToken
	}
	c.Identity = c.Subject
	return c, nil
}

// permission translates the grants of a token.
func permission(v *auth.VideoGrant) *livekit.ParticipantPermission {
	return &livekit.ParticipantPermission{
		CanSubscribe:      v.GetCanSubscribe(),
		CanPublish:        v.GetCanPublish(),
		CanPublishData:    v.GetCanPublishData(),
		CanPublishSources: v.GetCanPublishSources(),
		CanUpdateMetadata: v.GetCanUpdateOwnMetadata(),
		Hidden:            v.Hidden,
		Recorder:          v.Recorder,
	}
}

func mayPublish(p *livekit.ParticipantPermission, source livekit.TrackSource) bool {
	if !p.GetCanPublish() {
		return false
	}
	if len(p.GetCanPublishSources()) == 0 {
		return true
	}
	for _, s := range p.GetCanPublishSources() {
		if s == source {
			return true
		}
	}
	return false
}
