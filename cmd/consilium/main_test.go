package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// command0 runs a command as a person would and returns what it printed.
func command0(t *testing.T, getenv func(string) string, args ...string) (out, errs string, err error) {
	t.Helper()
	var o, e strings.Builder
	err = run(context.Background(), environment{getenv: getenv, out: &o, err: &e}, args)
	return o.String(), e.String(), err
}

func TestRefusalsToStartAreSentences(t *testing.T) {
	taken, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	empty := t.TempDir()
	for name, test := range map[string]struct {
		env  []string
		args []string
		want string
	}{
		"serve without settings": {nil, []string{"serve"}, "CONSILIUM_ORIGIN is not set"},
		"port taken":             {nil, []string{"demo", "--addr", taken.Addr().String(), "--data", filepath.Join(dataDir(t), "d")}, "give another address"},
		"no PostgreSQL there":    {[]string{"CONSILIUM_PG_BIN", empty}, []string{"demo", "--addr", "localhost:0", "--data", dataDir(t)}, "no PostgreSQL 15 or newer server in"},
		"media without secret":   {nil, []string{"media", "--key", "k"}, "--secret of 32 characters"},
		"user without service":   {[]string{"CONSILIUM_ORIGIN", "http://localhost", "CONSILIUM_DATA", empty}, []string{"user", "invite", "--email", "a@example.org"}, "the service does not run"},
		"verify of nothing":      {nil, []string{"verify", filepath.Join(empty, "none.zip")}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := command0(t, env(test.env...), test.args...)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want it to say %q", err, test.want)
			}
		})
	}
}

func TestHelpListsEveryCommandAndSetting(t *testing.T) {
	out, _, err := command0(t, env(), "--help")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range commands() {
		if !strings.Contains(out, "consilium "+c.name) {
			t.Errorf("help lacks %s", c.name)
		}
	}
	for _, s := range settings() {
		if !strings.Contains(out, s.name) {
			t.Errorf("help lacks %s", s.name)
		}
	}
}

func TestVectorsNamesFailingCasesAndCounts(t *testing.T) {
	out, _, err := command0(t, env(), "vectors", "../../credentialing/testdata/credentialing.json", "../../scheduling/testdata/scheduling.json")
	if err != nil || !regexp.MustCompile(`(?m)^\d+ passed, 0 failed\n$`).MatchString(out) {
		t.Errorf("got %v\n%s", err, out)
	}
	raw, err := os.ReadFile("../../scheduling/testdata/scheduling.json")
	if err != nil {
		t.Fatal(err)
	}
	// One expected start moved by a minute: that case fails and is named.
	wrong := filepath.Join(t.TempDir(), "wrong.json")
	if err := os.WriteFile(wrong, []byte(regexp.MustCompile(`("expected": \[\s*\{\s*"start": "[^"]*):00Z"`).ReplaceAllString(string(raw), `$1:01Z"`)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, err = command0(t, env(), "vectors", wrong)
	if err != errFailed || !strings.Contains(out, "FAIL") || !strings.Contains(out, "expected") {
		t.Errorf("got %v\n%s", err, out)
	}
}

// A person added beside a running service gets a link that opens the page of the
// first passkey.
func TestUserAddPrintsALinkThatOpens(t *testing.T) {
	a, _ := demonstration(t, dataDir(t))
	origin := "http://localhost:8080"
	out, _, err := command0(t, env("CONSILIUM_ORIGIN", origin, "CONSILIUM_DATA", a.cfg.Data), "user", "add",
		"--name", "Ada Njeri", "--email", "ada@example.org", "--role", "administrator", "--organization", "Lakeside Clinic", "--place", "KE", "--zone", "Africa/Nairobi")
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(origin + `(/enroll/\S+)`).FindStringSubmatch(out)
	if link == nil {
		t.Fatalf("no link in %q", out)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.run(ctx, nil) }()
	client := http.Client{Timeout: 20 * time.Second}
	answer, err := client.Get("http://" + a.listener.Addr().String() + link[1])
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("the link answers %s", answer.Status)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the service stopped with %v", err)
	}
	if _, _, err := command0(t, env("CONSILIUM_ORIGIN", origin, "CONSILIUM_DATA", a.cfg.Data), "user", "invite", "--email", "nobody@example.org"); err == nil {
		t.Error("nobody was invited")
	}
}
