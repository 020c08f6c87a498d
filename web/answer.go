package web

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// answerRoutes are behind the link in a message that asks an interpreter.
func (s *Server) answerRoutes() []route {
	return []route{
		{http.MethodGet, "/answer/{token}", everyone, s.slowly(s.answerPage)},
		{http.MethodPost, "/answer/{token}", everyone, s.slowly(s.answerByLink)},
	}
}

// answerPage shows what is asked and spends nothing: programs that read mail open links
// too.
func (s *Server) answerPage(w http.ResponseWriter, r *http.Request) error {
	land, err := s.d.Scheduling.AnswerLanding(r.Context(), r.PathValue("token"))
	if err != nil {
		return fmt.Errorf("answer link: %w", err)
	}
	return s.showAnswer(w, r, http.StatusOK, pages.Form{}, land)
}

// speakTo lets a page speak the language and clock of whom a link was sent to, unless the
// reader has chosen a language.
func (s *Server) speakTo(v *visit, r *http.Request, language, zone string) {
	if v.signed || s.cookie(r, cookieLanguage) != "" {
		language = v.l.Tag()
	}
	v.l = s.i18n.Localizer(language, zone)
}

func (s *Server) showAnswer(w http.ResponseWriter, r *http.Request, status int, f pages.Form, land scheduling.AskLanding) error {
	v := visitOf(r)
	s.speakTo(v, r, land.Language, land.Zone)
	p := pages.AnswerPage{Form: f, Start: land.Start, End: land.Start.Add(land.Duration), Pair: land.Pair, Deadline: land.Deadline, Open: land.Open,
		Said: i18n.AnswerOver}
	switch land.State {
	case scheduling.AskAccepted:
		p.Said, p.Good = i18n.AnswerAccepted, true
	case scheduling.AskRefused:
		p.Said, p.Good = i18n.AnswerRefused, true
	}
	for _, code := range scheduling.RefuseReasons {
		p.Reasons = append(p.Reasons, pages.Option{Value: code, Text: v.l.T(i18n.ID("ladder.reason." + code))})
	}
	p.Layout = s.plain(r, v.l.T(i18n.AnswerTitle))
	return s.render(w, r, status, pages.Answer(p))
}

func (s *Server) answerByLink(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	token := r.PathValue("token")
	land, err := s.d.Scheduling.AnswerLanding(r.Context(), token)
	if err != nil {
		return fmt.Errorf("answer link: %w", err)
	}
	v := visitOf(r)
	s.speakTo(v, r, land.Language, land.Zone)
	answer := scheduling.Answer{Response: scheduling.Declined, Reason: f.Value("why")}
	switch f.Value("answer") {
	case "decline":
	case "accept":
		if f.Value("promise") != "yes" {
			f.Fail("promise", i18n.BookingAcceptMust)
			return s.showAnswer(w, r, http.StatusUnprocessableEntity, f, land)
		}
		answer = scheduling.Answer{Response: scheduling.Accepted, Promised: true}
		if !land.Open {
			break
		}
		// The promise is kept with the hash of the very text shown; made twice it does no harm.
		if err := s.d.Credentialing.SignAttestation(r.Context(), identity.Actor{Person: land.Person}, credentialing.Attestation{Kind: "confidentiality",
			TextVersion: scheduling.Attestation, Text: v.l.T(i18n.BookingAcceptText), Language: v.l.Tag()}); err != nil {
			return fmt.Errorf("promise of confidentiality: %w", err)
		}
	default:
		return errBadForm
	}
	said, err := s.d.Scheduling.AnswerByLink(r.Context(), token, answer)
	status := http.StatusOK
	var refusal *scheduling.Refusal
	switch {
	case errors.Is(err, scheduling.ErrAskOver):
		if said, err = s.d.Scheduling.AnswerLanding(r.Context(), token); err != nil {
			return fmt.Errorf("answer link: %w", err)
		}
		status = http.StatusConflict
	case errors.As(err, &refusal):
		_, text, ok := s.explain(err)
		if !ok {
			return err
		}
		f.Fail("", text)
		return s.showAnswer(w, r, http.StatusConflict, f, land)
	case err != nil:
		return fmt.Errorf("answer by link: %w", err)
	}
	return s.showAnswer(w, r, status, f, said)
}
