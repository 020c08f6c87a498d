package mail

import (
	"context"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/i18n"
)

// uploadActs are the events whose mail holds a link to send a renewed document by.
var uploadActs = map[string]bool{"credential.expiring": true, "credential.upload_asked": true}

// renewal writes to the holder of a credential with a link of their own. The link is
// made when the mail is written and stands nowhere else.
func (w *Worker) renewal(ctx context.Context, m Message, a TellArgs) (Message, error) {
	token, err := w.c.Uploads.IssueUploadLink(ctx, identity.System("mail", identity.OrganizationID(a.Organization)),
		credentialing.CredentialID(a.Objects["credential"]), m.Person.ID)
	if err != nil {
		return Message{}, err
	}
	l := w.i18n.Localizer(m.Person.Language, m.Person.Zone)
	t := texts[a.Act]
	m.Subject = l.Isolated(t.subject)
	m.compose(l, m.Person, l.Isolated(t.body), "", l.Isolated(i18n.MailUploadSay), w.c.Origin+"/renew/"+token)
	return m, nil
}
