package workspace_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consilium-health/consilium/sessions/workspace"
)

// clamd is a peer that speaks the daemon's protocol: it takes INSTREAM strictly and
// finds a marker. answer replaces what it says; "" says nothing and hangs up.
func clamd(t *testing.T, answer func(content []byte) string) workspace.Clamd {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				if cmd, err := r.ReadString(0); err != nil || cmd != "zINSTREAM\x00" {
					_, _ = io.WriteString(conn, "UNKNOWN COMMAND\x00")
					return
				}
				var content bytes.Buffer
				for {
					var n uint32
					if binary.Read(r, binary.BigEndian, &n) != nil {
						return
					}
					if n == 0 {
						break
					}
					if n > 64<<10 {
						_, _ = io.WriteString(conn, "INSTREAM size limit exceeded. ERROR\x00")
						return
					}
					if _, err := io.CopyN(&content, r, int64(n)); err != nil {
						return
					}
				}
				if s := answer(content.Bytes()); s != "" {
					_, _ = io.WriteString(conn, s+"\x00")
				}
			}()
		}
	}()
	return workspace.Clamd{Socket: socket}
}

func marked(content []byte) string {
	if bytes.Contains(content, []byte("MARKER")) {
		return "stream: Test.Marker FOUND"
	}
	return "stream: OK"
}

func TestScannerDecidesByTheExactAnswer(t *testing.T) {
	big := strings.Repeat("x", 300_000)
	for name, c := range map[string]struct {
		answer  func([]byte) string
		content string
		want    error
	}{
		"clean":                     {marked, "text", nil},
		"clean, several chunks":     {marked, big, nil},
		"found in the last chunk":   {marked, big + "MARKER", workspace.ErrMalware},
		"daemon's own error":        {func([]byte) string { return "INSTREAM size limit exceeded. ERROR" }, "text", workspace.ErrNoScanner},
		"almost OK":                 {func([]byte) string { return "stream: OK " }, "text", workspace.ErrNoScanner},
		"another answer with OK":    {func([]byte) string { return "other: OK" }, "text", workspace.ErrNoScanner},
		"hangs up without a word":   {func([]byte) string { return "" }, "text", workspace.ErrNoScanner},
		"nobody listens, see below": {nil, "text", workspace.ErrNoScanner},
	} {
		s := workspace.Clamd{Socket: filepath.Join(t.TempDir(), "nobody")}
		if c.answer != nil {
			s = clamd(t, c.answer)
		}
		if err := s.Scan(context.Background(), strings.NewReader(c.content)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestUploadGoesThroughTheScanner(t *testing.T) {
	w := newWorld(t)
	id := w.create()
	with := func(s workspace.Scanner, demo bool) *workspace.Service {
		return must(workspace.New(workspace.Config{DB: w.audit, Identity: w.who, Credentialing: w.creds, Blobs: w.blobs, Signer: w.sign, RPID: rpID, Origins: []string{origin}, Scan: s, Demo: demo}))(t)
	}
	send := func(s *workspace.Service, text string) (workspace.FileID, error) {
		return s.Upload(w.ctx, w.actors[w.otieno], id, workspace.UploadRequest{Name: "labs.txt", Class: workspace.ClassLabs, Language: "en", Content: strings.NewReader(text)})
	}
	scanning := with(clamd(t, marked), false)
	file := must(send(scanning, "Hb 11.2\n"))(t)
	f, r, err := scanning.OpenFile(w.ctx, w.actors[w.otieno], id, file)
	w.ok(err)
	r.Close()
	if f.Scan != "clean" {
		t.Errorf("scan %q", f.Scan)
	}
	if _, err := send(scanning, "MARKER"); !errors.Is(err, workspace.ErrMalware) {
		t.Errorf("got %v, want ErrMalware", err)
	}
	if _, err := send(with(nil, false), "text"); !errors.Is(err, workspace.ErrNoScanner) {
		t.Errorf("without scanner: got %v, want ErrNoScanner", err)
	}
	if _, err := send(with(workspace.Clamd{Socket: "/nowhere"}, true), "text"); !errors.Is(err, workspace.ErrNoScanner) {
		t.Errorf("scanner down in the demonstration: got %v, want ErrNoScanner", err)
	}
	for i := 0; ; i++ {
		_, err := send(w.cases, "text\n")
		if errors.Is(err, workspace.ErrTooMany) {
			if i < 15 {
				t.Errorf("refused after %d files", i)
			}
			break
		}
		w.ok(err)
		if i > 30 {
			t.Fatal("never refused")
		}
	}
}
