package web

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// mailsPerPage is about three screens.
const mailsPerPage = 25

func (s *Server) outboxPage(w http.ResponseWriter, r *http.Request) error {
	if err := s.outboxOnly(r); err != nil {
		return err
	}
	p := pages.OutboxPage{}
	var err error
	if p.Layout, err = s.layout(w, r, i18n.OutboxTitle); err != nil {
		return err
	}
	mails, err := s.d.Outbox.List(r.Context(), r.URL.Query().Get("before"), mailsPerPage)
	if err != nil {
		return err
	}
	for _, m := range mails {
		row := pages.MailRow{ID: m.ID, To: m.To, Email: m.Email, Language: m.Language, Dir: s.i18n.Localizer(m.Language, "").Dir(),
			Subject: m.Subject, At: m.At}
		for _, line := range strings.Split(strings.TrimSpace(m.Body), "\n") {
			row.Body = append(row.Body, pages.MailLine{Text: line, Href: s.ownLink(line)})
		}
		for i, name := range m.Attachments {
			row.Attachments = append(row.Attachments, pages.MailAttachment{Name: name, Href: fmt.Sprintf("/outbox/%s/%d", m.ID, i)})
		}
		p.Mails = append(p.Mails, row)
	}
	if len(mails) == mailsPerPage {
		p.Older = "/outbox?before=" + mails[len(mails)-1].ID
	}
	return s.render(w, r, http.StatusOK, pages.Outbox(p))
}

// ownLink is a line of a mail as a link, if it is an address of this site alone.
func (s *Server) ownLink(line string) string {
	if rest, ok := strings.CutPrefix(line, s.public.String()+"/"); ok {
		return local("/" + rest)
	}
	return ""
}

func (s *Server) outboxAttachment(w http.ResponseWriter, r *http.Request) error {
	if err := s.outboxOnly(r); err != nil {
		return err
	}
	n, err := strconv.Atoi(r.PathValue("attachment"))
	if err != nil {
		return errNotFound
	}
	a, err := s.d.Outbox.Attachment(r.Context(), r.PathValue("message"), n)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", a.ContentType)
	h.Set("Content-Disposition", `attachment; filename="`+a.Name+`"`)
	_, _ = w.Write(a.Data)
	return nil
}

func (s *Server) outboxOnly(r *http.Request) error {
	if s.d.Outbox == nil {
		return errNotFound
	}
	return s.demoOnly(r)
}
