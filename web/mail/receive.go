package mail

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"

	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/scheduling/ical"
)

// ErrMessage means that a message is not an answer of a calendar that could be read. The
// wrapped text names the part.
var ErrMessage = errors.New("mail: not an answer of a calendar")

const (
	// MostOctets is how long a message with an answer may be: calendars add a text and
	// the file twice, no more.
	MostOctets = 1 << 20
	mostDepth  = 5  // of parts within parts
	mostParts  = 50 // of a message
)

// Read reads a message (RFC 5322) with the answer of one calendar in it (RFC 6047).
// server is the name under which the operator's own mail server reports whether a
// message is authentic (authserv-id, RFC 8601). Everything but the answer and who wrote
// it is dropped.
func Read(message []byte, server string) (scheduling.Received, error) {
	if len(message) > MostOctets {
		return scheduling.Received{}, fmt.Errorf("%w: longer than %d octets", ErrMessage, MostOctets)
	}
	m, err := mail.ReadMessage(bytes.NewReader(message))
	if err != nil {
		return scheduling.Received{}, fmt.Errorf("%w: its head cannot be read", ErrMessage)
	}
	r := reader{}
	if err := r.part(textproto.MIMEHeader(m.Header), m.Body, 0); err != nil {
		return scheduling.Received{}, err
	}
	if r.file == nil {
		return scheduling.Received{}, fmt.Errorf("%w: no calendar file in it", ErrMessage)
	}
	reply, err := ical.ParseReply(r.file)
	if err != nil {
		return scheduling.Received{}, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	if r.method != "" && !strings.EqualFold(r.method, string(reply.Method)) { // RFC 6047 §2.4
		return scheduling.Received{}, fmt.Errorf("%w: its type names another method than its file", ErrMessage)
	}
	from, ok := author(m.Header)
	return scheduling.Received{Message: message, Reply: reply,
		Vouched: ok && from == reply.Attendee && vouched(m.Header["Authentication-Results"], server, from)}, nil
}

// author is the one address in From, lower case.
func author(h mail.Header) (string, bool) {
	if len(h["From"]) != 1 {
		return "", false
	}
	list, err := h.AddressList("From")
	if err != nil || len(list) != 1 {
		return "", false
	}
	return strings.ToLower(list[0].Address), true
}

// reader looks for the calendar file.
type reader struct {
	parts  int
	file   []byte
	method string // of its type
}

func (r *reader) part(h textproto.MIMEHeader, body io.Reader, depth int) error {
	if r.parts++; r.parts > mostParts || depth > mostDepth {
		return fmt.Errorf("%w: too many parts", ErrMessage)
	}
	kind := h.Get("Content-Type")
	if kind == "" {
		return nil // text
	}
	media, params, err := mime.ParseMediaType(kind)
	if err != nil {
		return fmt.Errorf("%w: the type of a part", ErrMessage)
	}
	switch {
	case strings.HasPrefix(media, "multipart/"):
		parts := multipart.NewReader(body, params["boundary"])
		for {
			p, err := parts.NextRawPart()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return fmt.Errorf("%w: its parts cannot be told apart", ErrMessage)
			}
			if err := r.part(p.Header, p, depth+1); err != nil {
				return err
			}
		}
	case media != "text/calendar":
		return nil
	}
	data, err := decoded(h.Get("Content-Transfer-Encoding"), body)
	switch {
	case err != nil:
		return fmt.Errorf("%w: the coding of its calendar file", ErrMessage)
	case r.file != nil && !bytes.Equal(r.file, data): // one of them, but which
		return fmt.Errorf("%w: several calendar files", ErrMessage)
	}
	r.file, r.method = data, params["method"]
	return nil
}

func decoded(coding string, body io.Reader) ([]byte, error) {
	switch strings.ToLower(strings.TrimSpace(coding)) {
	case "", "7bit", "8bit", "binary":
		return io.ReadAll(body)
	case "base64":
		return io.ReadAll(base64.NewDecoder(base64.StdEncoding, body))
	case "quoted-printable":
		return io.ReadAll(quotedprintable.NewReader(body))
	}
	return nil, errors.New("unknown")
}

// vouched tells whether the operator's mail server found that a message comes from its
// From: DMARC passed for that domain, or a signature of the domain or one above it. Of
// several reports in its name the topmost counts; those below may be the sender's own
// words.
func vouched(reports []string, server, from string) bool {
	_, domain, ok := strings.Cut(from, "@")
	if !ok || server == "" {
		return false
	}
	for _, report := range reports {
		name, results, _ := strings.Cut(uncommented(report), ";")
		if fields := strings.Fields(name); len(fields) == 0 || len(fields) > 2 || !strings.EqualFold(fields[0], server) {
			continue
		}
		for one := range strings.SplitSeq(results, ";") {
			fields := strings.Fields(one)
			if len(fields) == 0 {
				continue
			}
			for _, f := range fields[1:] {
				property, value, _ := strings.Cut(f, "=")
				value = strings.ToLower(strings.Trim(value, `"`))
				switch strings.ToLower(fields[0]) + " " + strings.ToLower(property) {
				case "dmarc=pass header.from":
					if value == domain {
						return true
					}
				case "dkim=pass header.d":
					if value == domain || strings.Contains(value, ".") && strings.HasSuffix(domain, "."+value) {
						return true
					}
				}
			}
		}
		return false
	}
	return false
}

// uncommented is a header without its comments (RFC 5322 §3.2.2). What stands in quotes
// and may hide a sign of the grammar makes it nothing.
func uncommented(s string) string {
	var out strings.Builder
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			if depth == 0 {
				return ""
			}
			i++
		case c == '"' && depth == 0:
			quoted = !quoted
			out.WriteByte(c)
		case quoted:
			if c == ';' || c == '(' || c == ')' || c == ' ' || c == '=' {
				return ""
			}
			out.WriteByte(c)
		case c == '(':
			depth++
			out.WriteByte(' ')
		case c == ')':
			if depth--; depth < 0 {
				return ""
			}
		case depth == 0:
			out.WriteByte(c)
		}
	}
	if depth != 0 || quoted {
		return ""
	}
	return out.String()
}
