package turn

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/pion/stun/v4"
	pion "github.com/pion/turn/v5"
)

// credentialLife is how long credentials open an allocation. One that is open lives on
// while its client refreshes it, up to holdLife.
const (
	credentialLife = 10 * time.Minute
	holdLife       = 12 * time.Hour
)

// holder is who holds an allocation: a participant of a room, both by opaque ids.
type holder struct {
	peer, group string
}

func (h holder) String() string { return h.peer + ":" + h.group }

func holderOf(userID string) holder {
	peer, group, _ := strings.Cut(userID, ":")
	return holder{peer, group}
}

// Credentials makes the credentials of a participant, whose id must hold no colon. The
// group shares a quota: the room. It implements sfu.Relay.
func (s *Server) Credentials(peer, group string) (urls []string, username, password string) {
	secret := s.cfg.Secrets[0]
	username = strings.Join([]string{
		strconv.FormatInt(s.cfg.Now().Add(credentialLife).Unix(), 10), peer, short(group), mark(secret),
	}, ":")
	return s.cfg.URLs, username, sign(secret, username)
}

func short(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:8])
}

// mark names a secret, so that two may be in use while one replaces the other.
func mark(secret string) string { return sign(secret, "mark")[:6] }

func sign(secret, text string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// authenticate finds the key of a user name; that the client has the key is proven by
// the integrity of its message.
func (s *Server) authenticate(ra *pion.RequestAttributes) (userID string, key []byte, ok bool) {
	if userID, key, ok = s.identify(ra); !ok {
		s.count.refused[refusedCredentials].Add(1)
	}
	return userID, key, ok
}

func (s *Server) identify(ra *pion.RequestAttributes) (userID string, key []byte, ok bool) {
	fields := strings.Split(ra.Username, ":")
	if len(fields) != 4 {
		return "", nil, false
	}
	seconds, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return "", nil, false
	}
	h := holder{peer: fields[1], group: fields[2]}
	expires, now := time.Unix(seconds, 0), s.cfg.Now()
	if expires.Sub(now) > credentialLife {
		return "", nil, false // not made here
	}
	if !now.Before(expires) && (ra.Method == stun.MethodAllocate || now.Sub(expires) > holdLife || !s.holds(h)) {
		return "", nil, false
	}
	for _, secret := range s.cfg.Secrets {
		if mark(secret) == fields[3] {
			return h.String(), pion.GenerateAuthKey(ra.Username, ra.Realm, sign(secret, ra.Username)), true
		}
	}
	return "", nil, false
}
