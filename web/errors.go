package web

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/sessions"
	"github.com/consilium-health/consilium/sessions/workspace"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/mail"
	"github.com/consilium-health/consilium/web/pages"
)

// Errors of the pages themselves.
var (
	errNotFound    = errors.New("web: not found")
	errForbidden   = errors.New("web: forbidden")
	errSignIn      = errors.New("web: sign in first")
	errCrossOrigin = errors.New("web: cross-origin request")
	errLoopback    = errors.New("web: only from loopback")
	errTooLarge    = errors.New("web: too large")
	errBadForm     = errors.New("web: unreadable form")
	errInvite      = errors.New("web: invitation is not valid")
	errTooMany     = errors.New("web: too many tries")
	errPanic       = errors.New("web: panic")
	errGone        = errors.New("web: reader gone")
)

// errorRow says what an error is to the browser and to the log.
type errorRow struct {
	is     error
	status int
	title  i18n.ID
	text   i18n.ID
	level  slog.Level
}

// errorTable is the one place that knows status codes. The first row that fits
// counts, so a particular error stands before its general one. What a person may not
// know of is not found. An error that no row knows is 500.
func errorTable() []errorRow {
	return []errorRow{
		{errNotFound, 404, i18n.ErrorNotFoundTitle, i18n.ErrorNotFound, slog.LevelInfo},
		{errForbidden, 403, i18n.ErrorForbiddenTitle, i18n.ErrorForbidden, slog.LevelWarn},
		{errCrossOrigin, 403, i18n.ErrorForbiddenTitle, i18n.ErrorCrossOrigin, slog.LevelWarn},
		{errLoopback, 403, i18n.ErrorForbiddenTitle, i18n.ErrorLoopback, slog.LevelWarn},
		{errTooLarge, 413, i18n.ErrorTooLargeTitle, i18n.ErrorTooLarge, slog.LevelInfo},
		{errInvite, 404, i18n.ErrorInviteTitle, i18n.ErrorInvite, slog.LevelInfo},
		{errTooMany, 429, i18n.ErrorTooManyTitle, i18n.ErrorTooMany, slog.LevelWarn},
		{errBadForm, 400, i18n.ErrorUnprocessableTitle, i18n.ErrorInvalid, slog.LevelInfo},

		// identity
		{identity.ErrNotFound, 404, i18n.ErrorNotFoundTitle, i18n.ErrorNotFound, slog.LevelInfo},
		{identity.ErrForbidden, 403, i18n.ErrorForbiddenTitle, i18n.ErrorForbidden, slog.LevelWarn},
		{identity.ErrChallenge, 409, i18n.ErrorConflictTitle, i18n.ErrorChallenge, slog.LevelInfo},
		{identity.ErrNoPasskey, 409, i18n.ErrorNoPasskeyTitle, i18n.HomePasskey, slog.LevelInfo},
		{identity.ErrStepUp, 403, i18n.ErrorForbiddenTitle, i18n.ErrorStepUp, slog.LevelInfo},
		{identity.ErrExists, 409, i18n.ErrorConflictTitle, i18n.ErrorExists, slog.LevelInfo},
		{identity.ErrGrantOverlaps, 409, i18n.ErrorConflictTitle, i18n.ErrorExists, slog.LevelInfo},
		{identity.ErrAssertion, 422, i18n.ErrorUnprocessableTitle, i18n.ErrorAssertion, slog.LevelWarn},

		// credentialing
		{credentialing.ErrNotFound, 404, i18n.ErrorNotFoundTitle, i18n.ErrorNotFound, slog.LevelInfo},
		{credentialing.ErrForbidden, 403, i18n.ErrorForbiddenTitle, i18n.ErrorForbidden, slog.LevelWarn},
		{credentialing.ErrStale, 409, i18n.ErrorConflictTitle, i18n.ErrorVersion, slog.LevelInfo},
		{credentialing.ErrReplayDiffers, 409, i18n.ErrorConflictTitle, i18n.ReplayErrorOpen, slog.LevelWarn},
		{credentialing.ErrNotThisState, 409, i18n.ErrorConflictTitle, i18n.ErrorState, slog.LevelInfo},
		{credentialing.ErrExists, 409, i18n.ErrorConflictTitle, i18n.ErrorExists, slog.LevelInfo},
		{credentialing.ErrSamePerson, 403, i18n.ErrorForbiddenTitle, i18n.ErrorSamePerson, slog.LevelInfo},
		{credentialing.ErrEvidenceMissing, 422, i18n.ErrorUnprocessableTitle, i18n.ErrorEvidenceMissing, slog.LevelInfo},
		{credentialing.ErrEvidenceType, 422, i18n.ErrorUnprocessableTitle, i18n.ErrorEvidenceType, slog.LevelInfo},
		{credentialing.ErrLink, 404, i18n.UploadErrorLinkTitle, i18n.UploadErrorLink, slog.LevelInfo},
		{credentialing.ErrLinkFull, 409, i18n.ErrorConflictTitle, i18n.UploadErrorFull, slog.LevelInfo},
		{credentialing.ErrEvidenceLost, 410, i18n.UploadErrorLostTitle, i18n.UploadErrorLost, slog.LevelError},
		{credentialing.ErrEvidenceAltered, 409, i18n.UploadErrorLostTitle, i18n.UploadErrorAltered, slog.LevelError},
		{credentialing.ErrEvidenceErased, 410, i18n.UploadErrorLostTitle, i18n.UploadErrorErased, slog.LevelInfo},
		{credentialing.ErrAnswerOld, 409, i18n.ErrorConflictTitle, i18n.ErrorAnswerOld, slog.LevelInfo},
		{credentialing.ErrHeldByAnother, 409, i18n.ErrorConflictTitle, i18n.ErrorHeldByAnother, slog.LevelWarn},
		{credentialing.ErrEditionImmutable, 409, i18n.ErrorConflictTitle, i18n.ErrorExists, slog.LevelInfo},
		{credentialing.ErrUnconfirmed, 409, i18n.ErrorConflictTitle, i18n.ComplianceErrorUnconfirmed, slog.LevelInfo},
		{credentialing.ErrEncoding, 422, i18n.ErrorUnprocessableTitle, i18n.ErrorEncoding, slog.LevelInfo},
		{credentialing.ErrImportFormat, 422, i18n.ErrorUnprocessableTitle, i18n.ErrorImportFormat, slog.LevelInfo},
		{credentialing.ErrImportRows, 409, i18n.ErrorConflictTitle, i18n.ErrorImportRows, slog.LevelInfo},
		{credentialing.ErrInvalid, 422, i18n.ErrorUnprocessableTitle, i18n.ErrorInvalid, slog.LevelInfo},

		// scheduling
		{identity.ErrNoPhone, 422, i18n.ErrorUnprocessableTitle, i18n.ContactPhoneNeeded, slog.LevelInfo},
		{identity.ErrCode, 422, i18n.ErrorUnprocessableTitle, i18n.ContactCodeWrong, slog.LevelInfo},
		{identity.ErrCodeOver, 409, i18n.ErrorConflictTitle, i18n.ContactCodeOver, slog.LevelInfo},
		{identity.ErrManyCodes, 429, i18n.ErrorConflictTitle, i18n.ContactPhoneMany, slog.LevelWarn},
		{scheduling.ErrNotFound, 404, i18n.ErrorNotFoundTitle, i18n.ErrorNotFound, slog.LevelInfo},
		{scheduling.ErrForbidden, 403, i18n.ErrorForbiddenTitle, i18n.ErrorForbidden, slog.LevelWarn},
		{scheduling.ErrSlotTaken, 409, i18n.ErrorConflictTitle, i18n.ErrorSlotTaken, slog.LevelInfo},
		{scheduling.ErrAskOver, 409, i18n.ErrorConflictTitle, i18n.LadderOver, slog.LevelInfo},
		{scheduling.ErrVersion, 409, i18n.ErrorConflictTitle, i18n.ErrorVersion, slog.LevelInfo},
		{scheduling.ErrState, 409, i18n.ErrorConflictTitle, i18n.ErrorState, slog.LevelInfo},
		{scheduling.ErrWindowUsed, 409, i18n.ErrorConflictTitle, i18n.PresenceErrorUsed, slog.LevelInfo},
		{scheduling.ErrHoldExpired, 409, i18n.ErrorConflictTitle, i18n.PresenceErrorHold, slog.LevelInfo},
		{scheduling.ErrSeriesEnd, 422, i18n.ErrorUnprocessableTitle, i18n.PresenceErrorEnd, slog.LevelInfo},
		{scheduling.ErrWindowLength, 422, i18n.ErrorUnprocessableTitle, i18n.PresenceErrorLength, slog.LevelInfo},
		{scheduling.ErrPast, 422, i18n.ErrorUnprocessableTitle, i18n.PresenceErrorPast, slog.LevelInfo},
		{scheduling.ErrKeyReused, 409, i18n.ErrorConflictTitle, i18n.ErrorKeyReused, slog.LevelWarn},
		{scheduling.ErrInvite, 404, i18n.ErrorInviteTitle, i18n.ErrorInvite, slog.LevelInfo},
		{scheduling.ErrInvalidAvailability, 422, i18n.ErrorUnprocessableTitle, i18n.ErrorInvalid, slog.LevelInfo},
		{scheduling.ErrInvalidRequest, 422, i18n.ErrorUnprocessableTitle, i18n.ErrorInvalid, slog.LevelInfo},

		// audit
		{audit.ErrNoCheckpoint, 404, i18n.ErrorNotFoundTitle, i18n.ErrorNotFound, slog.LevelInfo},

		// mail
		{mail.ErrNotFound, 404, i18n.ErrorNotFoundTitle, i18n.ErrorNotFound, slog.LevelInfo},

		// workspace
		{workspace.ErrNotFound, 404, i18n.ErrorNotFoundTitle, i18n.ErrorNotFound, slog.LevelInfo},
		{workspace.ErrVersion, 409, i18n.ErrorConflictTitle, i18n.ErrorVersion, slog.LevelInfo},
		{workspace.ErrConflict, 409, i18n.ErrorConflictTitle, i18n.ErrorState, slog.LevelWarn},
		{workspace.ErrTooLarge, 413, i18n.ErrorTooLargeTitle, i18n.ErrorTooLarge, slog.LevelInfo},
		{workspace.ErrFileType, 422, i18n.ErrorUnprocessableTitle, i18n.CaseErrorFileType, slog.LevelInfo},
		{workspace.ErrDamaged, 422, i18n.ErrorUnprocessableTitle, i18n.CaseErrorDamaged, slog.LevelInfo},
		{workspace.ErrMalware, 422, i18n.ErrorUnprocessableTitle, i18n.CaseErrorMalware, slog.LevelWarn},
		{workspace.ErrTooMany, 429, i18n.ErrorConflictTitle, i18n.CaseErrorTooMany, slog.LevelWarn},
		{workspace.ErrNoScanner, 409, i18n.ErrorConflictTitle, i18n.CaseErrorNoScanner, slog.LevelWarn},
		{workspace.ErrNoKey, 410, i18n.ErrorNotFoundTitle, i18n.CaseErrorNoKey, slog.LevelWarn},

		// sessions
		{sessions.ErrNotFound, 404, i18n.ErrorNotFoundTitle, i18n.ErrorNotFound, slog.LevelInfo},
		{sessions.ErrEnded, 409, i18n.ErrorConflictTitle, i18n.RoomEndedTitle, slog.LevelInfo},
		{sessions.ErrStopped, 503, i18n.ErrorTitle, i18n.RoomAwayText, slog.LevelInfo},
	}
}

// row finds what the table says of an error.
func (s *Server) row(err error) errorRow {
	for _, row := range s.errors {
		if errors.Is(err, row.is) {
			return row
		}
	}
	var refusal *scheduling.Refusal
	var invalid *identity.Invalid
	var incomplete *workspace.ErrIncomplete
	var refused *workspace.Refusal
	switch {
	case errors.As(err, &refused):
		return caseRefusal(err, refused)
	case errors.As(err, &incomplete):
		return errorRow{err, 422, i18n.ErrorUnprocessableTitle, i18n.CaseErrorIncomplete, slog.LevelInfo}
	case errors.As(err, &invalid):
		return errorRow{err, 422, i18n.ErrorUnprocessableTitle, i18n.ErrorInvalid, slog.LevelInfo}
	case errors.As(err, &refusal):
		return errorRow{err, 422, i18n.ErrorUnprocessableTitle, i18n.ErrorRefused, slog.LevelInfo}
	}
	return errorRow{err, 500, i18n.ErrorTitle, i18n.ErrorInternal, slog.LevelError}
}

// fail answers with the page of an error. Whoever is not signed in is sent to sign
// in first and comes back.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	v := visitOf(r)
	if errors.Is(err, errGone) {
		return
	}
	if errors.Is(err, errSignIn) || errors.Is(err, identity.ErrNoLogin) {
		s.askToSignIn(w, r)
		return
	}
	row := s.row(err)
	s.log.Log(r.Context(), row.level, "refused", "request", v.ref, "status", row.status, "error", err.Error())
	if wantsJSON(r) {
		_ = writeJSON(w, row.status, map[string]string{"error": v.l.T(row.text), "code": string(row.text), "reference": v.ref})
		return
	}
	p := pages.ErrorPage{Layout: s.plain(r, v.l.T(row.title)), Text: v.l.T(row.text), Reference: v.ref, Back: "/"}
	if v.signed {
		// The frame is worth a query, but not worth another error.
		if full, err := s.titled(w, r, v.l.T(row.title)); err == nil {
			p.Layout = full
		}
	}
	if err := s.render(w, r, row.status, pages.Error(p)); err != nil && !errors.Is(err, errGone) {
		s.log.ErrorContext(r.Context(), "error page", "request", v.ref, "error", err.Error())
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
	}
}

// explain is the status and the sentence of an error, for a form that comes back
// with it instead of an error page. ok is false for an unexpected error: return it.
func (s *Server) explain(err error) (status int, text i18n.ID, ok bool) {
	row := s.row(err)
	return row.status, row.text, row.status < 500
}
