package mail

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/consilium-health/consilium/scheduling/ical"
)

const answered = "BEGIN:VCALENDAR\r\nPRODID:-//Somebody//Calendar//EN\r\nVERSION:2.0\r\nMETHOD:REPLY\r\nBEGIN:VEVENT\r\nUID:0193a1b2@consilium.example\r\n" +
	"SEQUENCE:2\r\nDTSTAMP:20261124T120000Z\r\nATTENDEE;PARTSTAT=ACCEPTED;CN=\"Prof. Claire\r\n  Tremblay\":mailto:Claire@Example.org\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"

const passed = "Authentication-Results: mx.clinic.example; dmarc=pass (p=reject; dis=none) header.from=example.org\r\n"

func message(head, kind, coding, body string) []byte {
	return []byte(head + "From: \"Prof. Claire Tremblay\" <claire@example.org>\r\nTo: no-reply@consilium.example\r\nSubject: Accepted\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: " + kind + "\r\nContent-Transfer-Encoding: " + coding + "\r\n\r\n" + body)
}

const calendarType = "text/calendar; charset=utf-8; method=REPLY"

func parts(list ...string) string {
	var out strings.Builder
	for _, p := range list {
		out.WriteString("--b\r\n" + p + "\r\n")
	}
	return out.String() + "--b--\r\n"
}

func encoded(s string) string {
	return base64.StdEncoding.EncodeToString([]byte(s))
}

func TestAnswersOfCalendarsAreFoundInMail(t *testing.T) {
	part := "Content-Type: " + calendarType + "\r\nContent-Transfer-Encoding: base64\r\n\r\n" + encoded(answered)
	text := "Content-Type: text/plain; charset=utf-8\r\n\r\nClaire has accepted."
	file := "Content-Type: application/ics; name=invite.ics\r\nContent-Transfer-Encoding: base64\r\n\r\n" + encoded(answered)
	for name, m := range map[string][]byte{
		"alone":              message(passed, calendarType, "8bit", answered),
		"in base64":          message(passed, calendarType, "base64", encoded(answered)),
		"quoted":             message(passed, calendarType, "quoted-printable", strings.ReplaceAll(answered, "=", "=3D")),
		"beside a text":      message(passed, "multipart/alternative; boundary=b", "7bit", parts(text, part)),
		"and as a file":      message(passed, "multipart/mixed; boundary=b", "7bit", parts(text, part, file)),
		"twice the same":     message(passed, "multipart/mixed; boundary=b", "7bit", parts(part, part)),
		"parts within parts": message(passed, "multipart/mixed; boundary=a", "7bit", "--a\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n"+parts(text, part)+"\r\n--a--\r\n"),
	} {
		got, err := Read(m, "mx.clinic.example")
		if err != nil || got.Reply.UID != "0193a1b2@consilium.example" || got.Reply.Response != ical.Accepted || got.Reply.Attendee != "claire@example.org" || !got.Vouched {
			t.Errorf("%s: %+v, vouched %v, %v", name, got.Reply, got.Vouched, err)
		}
	}
}

func TestOnlyTheOperatorsMailServerVouches(t *testing.T) {
	const head = "Authentication-Results: "
	for _, c := range []struct {
		why, head string
		want      bool
	}{
		{"DMARC passed", passed, true},
		{"a signature of the domain", head + "mx.clinic.example;\r\n dkim=pass header.i=@example.org header.d=example.org;\r\n spf=fail\r\n", true},
		{"with a version", head + "mx.clinic.example 1; dmarc=pass header.from=example.org\r\n", true},
		{"another server's report above ours", head + "other.example; dmarc=fail\r\n" + passed, true},
		{"none", "", false},
		{"of another server", head + "mx.elsewhere.example; dmarc=pass header.from=example.org\r\n", false},
		{"failed", head + "mx.clinic.example; dmarc=fail header.from=example.org\r\n", false},
		{"ours below ours is the sender's word", head + "mx.clinic.example; dmarc=fail header.from=example.org\r\n" + passed, false},
		{"of another domain", head + "mx.clinic.example; dmarc=pass header.from=example.net\r\n", false},
		{"signed by another domain", head + "mx.clinic.example; dkim=pass header.d=example.net\r\n", false},
		{"signed by a longer name", head + "mx.clinic.example; dkim=pass header.d=mail.example.org\r\n", false},
		{"signed by a whole registry", head + "mx.clinic.example; dkim=pass header.d=org\r\n", false},
		{"spf says who relayed, not who wrote", head + "mx.clinic.example; spf=pass smtp.mailfrom=claire@example.org\r\n", false},
		{"a pass in a comment", head + "mx.clinic.example; dmarc=fail (dmarc=pass header.from=example.org)\r\n", false},
		{"a pass in quotes", head + "mx.clinic.example; dmarc=fail reason=\"; dmarc=pass header.from=example.org\"\r\n", false},
		{"a comment without end", head + "mx.clinic.example; dmarc=pass header.from=example.org (\r\n", false},
		{"two authors", passed + "From: someone@example.org\r\n", false},
	} {
		got, err := Read(message(c.head, calendarType, "8bit", answered), "mx.clinic.example")
		if err != nil || got.Vouched != c.want {
			t.Errorf("%s: vouched %v, %v", c.why, got.Vouched, err)
		}
	}
	if got, err := Read(message(strings.Replace(passed, "mx.clinic.example", "", 1), calendarType, "8bit", answered), ""); err != nil || got.Vouched {
		t.Errorf("no server is trusted: vouched %v, %v", got.Vouched, err)
	}
	other := strings.Replace(answered, "Claire@Example.org", "amina@example.org", 1)
	if got, err := Read(message(passed, calendarType, "8bit", other), "mx.clinic.example"); err != nil || got.Vouched {
		t.Errorf("in somebody else's name: vouched %v, %v", got.Vouched, err)
	}
}

func TestWhatIsNoAnswerIsRefused(t *testing.T) {
	deep := "Content-Type: text/plain\r\n\r\nx"
	for range mostDepth + 2 {
		deep = "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + parts(deep)
	}
	for name, m := range map[string][]byte{
		"nothing":              nil,
		"no head":              []byte("\x00\x01"),
		"a letter":             message(passed, "text/plain", "8bit", "I will be there."),
		"an invitation":        message(passed, "text/calendar; method=REQUEST", "8bit", strings.Replace(answered, "REPLY", "REQUEST", 1)),
		"another method":       message(passed, "text/calendar; method=COUNTER", "8bit", answered),
		"coding":               message(passed, calendarType, "x-zip", answered),
		"broken base64":        message(passed, calendarType, "base64", "!!!"),
		"a type of no form":    message(passed, "text/calendar; =", "8bit", answered),
		"no boundary":          message(passed, "multipart/mixed", "7bit", answered),
		"cut off":              message(passed, "multipart/mixed; boundary=b", "7bit", "--b\r\nContent-Type: text/plain\r\n\r\nx"),
		"two different files":  message(passed, "multipart/mixed; boundary=b", "7bit", parts("Content-Type: text/calendar\r\n\r\n"+answered, "Content-Type: text/calendar\r\n\r\n"+strings.Replace(answered, "ACCEPTED", "DECLINED", 1))),
		"too many parts":       message(passed, "multipart/mixed; boundary=b", "7bit", parts(strings.Split(strings.Repeat("Content-Type: text/plain\r\n\r\nx|", mostParts+1), "|")...)),
		"too deep":             []byte(deep),
		"too long":             message(passed, "text/plain", "8bit", strings.Repeat("x", MostOctets)),
		"a file that is large": message(passed, calendarType, "8bit", answered+strings.Repeat("X", 300<<10)),
	} {
		if got, err := Read(m, "mx.clinic.example"); !errors.Is(err, ErrMessage) {
			t.Errorf("%s: %+v, %v", name, got.Reply, err)
		}
	}
}

// Whatever a stranger sends, it is an answer or refused, and nobody vouches for it but
// the server that is named.
func FuzzReceivedMail(f *testing.F) {
	f.Add(message(passed, calendarType, "8bit", answered))
	f.Add(message(passed, "multipart/mixed; boundary=b", "7bit", parts("Content-Type: "+calendarType+"\r\nContent-Transfer-Encoding: base64\r\n\r\n"+encoded(answered))))
	f.Add([]byte("Content-Type: multipart/mixed; boundary=\"\"\n\n--\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Read(data, "mx.clinic.example")
		if err != nil {
			if !errors.Is(err, ErrMessage) {
				t.Fatal(err)
			}
			return
		}
		if got.Reply.UID == "" || got.Reply.Attendee == "" || got.Vouched && !strings.Contains(strings.ToLower(string(data)), "mx.clinic.example") {
			t.Fatalf("%+v", got.Reply)
		}
	})
}
