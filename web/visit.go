package web

import (
	"context"
	"net/http"
	"slices"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/i18n"
)

// visit is what the middleware knows of a request.
type visit struct {
	actor  identity.Actor // zero when nobody is signed in
	login  identity.Login
	signed bool
	l      *i18n.Localizer
	nonce  string
	ref    string // request id
}

type visitKey struct{}

// visitOf is the visit of a request; each request has one.
func visitOf(r *http.Request) *visit { return r.Context().Value(visitKey{}).(*visit) }

// actorOf is who acts. Behind a policy other than everyone there is somebody.
func actorOf(r *http.Request) identity.Actor { return visitOf(r).actor }

// localizer writes in the reader's language and zone.
func localizer(r *http.Request) *i18n.Localizer { return visitOf(r).l }

// RequestID is the id of the request that ctx belongs to, for logs; "" outside.
func RequestID(ctx context.Context) string {
	if v, ok := ctx.Value(visitKey{}).(*visit); ok {
		return v.ref
	}
	return ""
}

// policy is who may use a route at all: nil, errSignIn or errForbidden.
type policy func(v *visit) error

// everyone may come in, signed in or not.
func everyone(*visit) error { return nil }

// someone is signed in: staff, a patient, or a guest by a link.
func someone(v *visit) error {
	if !v.signed {
		return errSignIn
	}
	return nil
}

// member is signed in and no guest.
func member(v *visit) error {
	if err := someone(v); err != nil {
		return err
	}
	if v.actor.Guest() {
		return errForbidden
	}
	return nil
}

// holding is a member with one of the roles.
func holding(roles ...identity.Role) policy {
	return func(v *visit) error {
		if err := member(v); err != nil {
			return err
		}
		if !slices.ContainsFunc(roles, v.actor.Has) {
			return errForbidden
		}
		return nil
	}
}
