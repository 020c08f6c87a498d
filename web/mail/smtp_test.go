package mail

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// relay is a mail server that speaks enough of RFC 5321, RFC 3207 and RFC 4954 to
// take a message: over TLS only, from who knows the password.
type relay struct {
	net.Listener
	tls   *tls.Config
	trust *x509.CertPool
	noTLS bool
	got   chan received
}

type received struct {
	from, to string
	data     []byte
	secure   bool
	user     string
}

func newRelay(t *testing.T, noTLS bool) *relay {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{tls: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, trust: x509.NewCertPool(), noTLS: noTLS,
		got: make(chan received, 4)}
	r.trust.AddCert(cert)
	if r.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := r.Accept()
			if err != nil {
				return
			}
			r.serve(conn)
		}
	}()
	t.Cleanup(func() { _ = r.Close(); <-ended })
	return r
}

func (r *relay) serve(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	c := textproto.NewConn(conn)
	var m received
	say := func(s string) { _ = c.PrintfLine("%s", s) }
	say("220 relay")
	for {
		line, err := c.ReadLine()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			say("250-relay")
			if !m.secure && !r.noTLS {
				say("250-STARTTLS")
			}
			if m.secure {
				say("250-AUTH PLAIN")
			}
			say("250 8BITMIME")
		case "STARTTLS":
			say("220 go")
			secure := tls.Server(conn, r.tls)
			if secure.Handshake() != nil {
				return
			}
			c, m.secure = textproto.NewConn(secure), true
		case "AUTH":
			_, answer, _ := strings.Cut(rest, " ")
			raw, _ := base64.StdEncoding.DecodeString(answer)
			if string(raw) != "\x00consilium\x00secret" {
				say("535 no")
				continue
			}
			m.user = "consilium"
			say("235 yes")
		case "MAIL":
			m.from = rest
			say("250 ok")
		case "RCPT":
			m.to = rest
			say("250 ok")
		case "DATA":
			say("354 go")
			m.data, _ = io.ReadAll(c.DotReader())
			r.got <- m
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (r *relay) config() SMTPConfig {
	return SMTPConfig{Host: "localhost", Port: r.Addr().(*net.TCPAddr).Port, Username: "consilium", Password: "secret", From: "no-reply@consult.example.org",
		TLS: &tls.Config{RootCAs: r.trust, ServerName: "localhost"}}
}

var arabic = Message{Key: "7-x", Person: identity.Person{ID: "x", Name: "ليلى عزيز", Email: "aziz@example.org"}, Language: "ar", Subject: "دعوة إلى استشارة بالفيديو",
	Body:        "مرحبًا\n\nhttps://consult.example.org/appointments/1\n",
	Attachments: []Attachment{{Name: "invitation.ics", ContentType: "text/calendar; charset=utf-8; method=REQUEST; component=VEVENT", Data: []byte("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n")}}}

func TestMailServerGetsTheMessageWholeAndOverTLS(t *testing.T) {
	r := newRelay(t, false)
	s, err := NewSMTP(r.config())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(context.Background(), arabic); err != nil {
		t.Fatal(err)
	}
	m := <-r.got
	if !m.secure || m.user != "consilium" || !strings.Contains(m.to, "<aziz@example.org>") {
		t.Fatalf("secure %v, user %q, to %q", m.secure, m.user, m.to)
	}
	msg, err := mail.ReadMessage(bufio.NewReader(strings.NewReader(string(m.data))))
	if err != nil {
		t.Fatal(err)
	}
	var words mime.WordDecoder
	if subject, err := words.DecodeHeader(msg.Header.Get("Subject")); err != nil || subject != arabic.Subject {
		t.Errorf("subject %q, %v", subject, err)
	}
	if msg.Header.Get("Auto-Submitted") != "auto-generated" || msg.Header.Get("Content-Language") != "ar" {
		t.Errorf("header %v", msg.Header)
	}
	first := msg.Header.Get("Message-Id")
	_, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(msg.Body, params["boundary"])
	text, err := parts.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(text)
	if err != nil || strings.ReplaceAll(string(body), "\r\n", "\n") != arabic.Body {
		t.Errorf("text %q, %v", body, err)
	}
	file, err := parts.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	media, p, err := mime.ParseMediaType(file.Header.Get("Content-Type"))
	if err != nil || media != "text/calendar" || p["method"] != "REQUEST" {
		t.Errorf("file is %q %v, %v", media, p, err)
	}
	data, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, file))
	if err != nil || string(data) != string(arabic.Attachments[0].Data) {
		t.Errorf("file %q, %v", data, err)
	}

	// The repetition of a lost answer has the same id, so that it is shown once.
	if err := s.Send(context.Background(), arabic); err != nil {
		t.Fatal(err)
	}
	again, err := mail.ReadMessage(bufio.NewReader(strings.NewReader(string((<-r.got).data))))
	if err != nil || again.Header.Get("Message-Id") != first || first == "" {
		t.Errorf("message id %q, then %q, %v", first, again.Header.Get("Message-Id"), err)
	}
}

func TestMailIsNotSentInTheClearOrToAStranger(t *testing.T) {
	plain := newRelay(t, true)
	s, err := NewSMTP(plain.config())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(context.Background(), arabic); err == nil {
		t.Error("sent without TLS")
	}
	other := newRelay(t, false)
	c := other.config()
	c.TLS = &tls.Config{ServerName: "localhost"} // does not trust this server
	if s, err = NewSMTP(c); err != nil {
		t.Fatal(err)
	}
	if err := s.Send(context.Background(), arabic); err == nil {
		t.Error("sent to a server that cannot prove its name")
	}
	if len(plain.got)+len(other.got) != 0 {
		t.Error("a message went out")
	}
}

func TestWhoHasNoAddressIsNotWrittenTo(t *testing.T) {
	r := newRelay(t, false)
	s, err := NewSMTP(r.config())
	if err != nil {
		t.Fatal(err)
	}
	m := arabic
	m.Person.Email = ""
	if err := s.Send(context.Background(), m); err != nil {
		t.Error(err)
	}
	if len(r.got) != 0 {
		t.Error("a message went out")
	}
}
