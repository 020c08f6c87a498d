package web

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// replayPeriods are the choices of how far back answers are looked at again.
var replayPeriods = []struct {
	value  string
	within time.Duration
}{{"day", 24 * time.Hour}, {"week", 7 * 24 * time.Hour}, {"month", 30 * 24 * time.Hour}, {"year", 365 * 24 * time.Hour}}

// replayRoutes are the addresses where past answers are looked at again.
func (s *Server) replayRoutes() []route {
	officer := holding(identity.RoleOfficer)
	return []route{
		{http.MethodGet, "/credentials/replay", officer, s.replayPage},
		{http.MethodPost, "/credentials/replay", officer, s.replayNow},
		{http.MethodPost, "/credentials/replay/{determination}", officer, s.acknowledgeReplay},
	}
}

func (s *Server) replayPage(w http.ResponseWriter, r *http.Request) error {
	return s.showReplay(w, r, http.StatusOK, pages.Form{})
}

func (s *Server) showReplay(w http.ResponseWriter, r *http.Request, status int, f pages.Form) error {
	l := localizer(r)
	record, err := s.d.Credentialing.Replays(r.Context(), actorOf(r))
	if err != nil {
		return fmt.Errorf("past answers looked at again: %w", err)
	}
	f.Prefill("period", "day")
	f.Prefill("sample", "1000")
	p := pages.ReplayPage{Form: f}
	for _, c := range replayPeriods {
		p.Periods = append(p.Periods, pages.Option{Value: c.value, Text: l.T(i18n.ID("replay.period." + c.value))})
	}
	var ids []identity.PersonID
	for _, run := range record.Runs {
		ids = append(ids, run.By)
	}
	for _, list := range [][]credentialing.ReplayDifference{record.Open, record.Closed} {
		for _, d := range list {
			ids = append(ids, d.Person, d.AcknowledgedBy)
		}
	}
	names, err := s.namesOf(r.Context(), ids)
	if err != nil {
		return err
	}
	names[""] = l.T(i18n.ReplayOperator)
	for _, d := range record.Open {
		p.Open = append(p.Open, replayRow(l, d, names))
	}
	for _, d := range record.Closed {
		p.Closed = append(p.Closed, replayRow(l, d, names))
	}
	for _, run := range record.Runs {
		row := pages.ReplayRunRow{At: run.At, Since: run.Since, By: names[run.By], Looked: l.Number(int64(run.Replayed)),
			Differ: l.Number(int64(run.Differing)), Left: l.Number(int64(run.LeftOut)), Level: pages.LevelOK}
		if run.Differing > 0 {
			row.Level = pages.LevelBad
		}
		p.Runs = append(p.Runs, row)
	}
	if p.Layout, err = s.layout(w, r, i18n.ReplayTitle); err != nil {
		return err
	}
	p.Crumbs = s.officerCrumbs(r)
	return s.render(w, r, status, pages.Replay(p))
}

func replayRow(l *i18n.Localizer, d credentialing.ReplayDifference, names map[identity.PersonID]string) pages.ReplayRow {
	row := pages.ReplayRow{ID: string(d.ID), Href: "/credentials/answers/" + string(d.ID), Person: names[d.Person],
		Activity: i18n.ID("scope.activity." + string(d.Activity)), Given: d.Given, For: d.At, Fault: i18n.ID("replay.fault." + d.Fault), Found: d.FoundAt,
		Recorded: decisionWord(l, d.Recorded), RecordedLevel: decisionLevel(d.Recorded), RecordedHash: hex.EncodeToString(d.RecordedHash[:]),
		Same: d.Now != "" && d.NowHash == d.RecordedHash, Written: d.Acknowledged, WrittenBy: names[d.AcknowledgedBy], Reason: d.Reason}
	if !l.Has(i18n.ID("scope.decision." + string(d.Recorded))) {
		row.RecordedLevel = pages.LevelBad // no decision at all
	}
	if d.Now != "" {
		row.Now, row.NowLevel, row.NowHash = decisionWord(l, d.Now), decisionLevel(d.Now), hex.EncodeToString(d.NowHash[:])
	}
	return row
}

// decisionWord says a decision; what stands on record and is none is shown as it stands.
func decisionWord(l *i18n.Localizer, d credentialing.Decision) string {
	if id := i18n.ID("scope.decision." + string(d)); l.Has(id) {
		return l.T(id)
	}
	return string(d)
}

// replayNow looks at past answers again.
func (s *Server) replayNow(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	l := localizer(r)
	var since time.Time
	values := make([]string, 0, len(replayPeriods))
	for _, c := range replayPeriods {
		values = append(values, c.value)
		if f.Value("period") == c.value {
			since = s.now().Add(-c.within)
		}
	}
	f.Choose(l, "period", i18n.ReplayPeriod, values...)
	sample, err := strconv.Atoi(f.Value("sample"))
	if err != nil || sample < 0 || sample > credentialing.MaxReplay {
		f.Fail("sample", i18n.ReplaySampleHint)
	}
	if f.OK() {
		_, err := s.d.Credentialing.ReplayNow(r.Context(), actorOf(r), since, sample)
		if err == nil {
			return s.done(w, r, "/credentials/replay", pages.LevelOK, i18n.ReplayFlashRan)
		}
		if err := s.failForm(&f, err); err != nil {
			return fmt.Errorf("look at past answers again: %w", err)
		}
	}
	return s.showReplay(w, r, http.StatusUnprocessableEntity, f)
}

// acknowledgeReplay keeps in writing what was found out about a difference.
func (s *Server) acknowledgeReplay(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	id := r.PathValue("determination")
	field := "reason_" + id
	reason := f.Require(localizer(r), field, i18n.ReplayReason, credentialing.MaxAcknowledgement)
	if f.OK() {
		err := s.d.Credentialing.AcknowledgeReplay(r.Context(), actorOf(r), credentialing.DeterminationID(id), reason)
		var bad *credentialing.Invalid
		switch {
		case err == nil:
			return s.done(w, r, "/credentials/replay", pages.LevelOK, i18n.ReplayFlashAcknowledged)
		case errors.As(err, &bad):
			f.Fail(field, i18n.ErrorInvalid)
		default:
			if err := s.failForm(&f, err); err != nil {
				return fmt.Errorf("acknowledge a difference: %w", err)
			}
		}
	}
	return s.showReplay(w, r, http.StatusUnprocessableEntity, f)
}
