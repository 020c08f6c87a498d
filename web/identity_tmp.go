package web

import "errors"

var idNoLogin, idNotFound, idForbidden, idChallenge, idAssertion = errors.New("a"), errors.New("b"), errors.New("c"), errors.New("d"), errors.New("e")
