package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func env(pairs ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

func TestServeSaysAllThatItNeeds(t *testing.T) {
	c, err := load(false, env())
	if err != nil {
		t.Fatal(err)
	}
	err = c.validate()
	for _, want := range []string{"CONSILIUM_ORIGIN", "CONSILIUM_SMTP_URL"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to name %s", err, want)
		}
	}
}

func TestDemoRunsWithoutSettings(t *testing.T) {
	c, err := load(true, env("HOME", "/home/someone"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.validate(); err != nil {
		t.Fatal(err)
	}
	if c.Origin != "http://localhost:8080" || c.rpID() != "localhost" {
		t.Errorf("got origin %s and RP id %s", c.Origin, c.rpID())
	}
}

func TestRefusedSettings(t *testing.T) {
	for name, test := range map[string]struct {
		demo  bool
		pairs []string
		want  string
	}{
		"demo beside a database":   {true, []string{"DATABASE_URL", "postgres://x/y"}, "DATABASE_URL"},
		"demo open to the network": {true, []string{"CONSILIUM_ADDR", "0.0.0.0:8080"}, "loopback only"},
		"plain http":               {false, []string{"CONSILIUM_ORIGIN", "http://consult.example.org", "CONSILIUM_SMTP_URL", "smtp://x"}, "https or localhost"},
		"origin with a path":       {false, []string{"CONSILIUM_ORIGIN", "https://example.org/x", "CONSILIUM_SMTP_URL", "smtp://x"}, "scheme://host"},
		"cluster without secret":   {true, []string{"MEDIA_URL", "wss://media.example.org"}, "CONSILIUM_MEDIA_SECRET"},
		"cluster with a path":      {true, []string{"MEDIA_URL", "wss://media.example.org/rtc"}, "is not wss://host"},
		"cluster by http":          {true, []string{"MEDIA_URL", "https://media.example.org"}, "is not wss://host"},
		"media address":            {true, []string{"CONSILIUM_MEDIA_ADDR", "here"}, "IP:port"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := load(test.demo, env(test.pairs...))
			if err != nil {
				t.Fatal(err)
			}
			if err := c.validate(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestSecretsComeFromFilesAndAreMasked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load(true, env("CONSILIUM_MEDIA_SECRET_FILE", file))
	if err != nil || c.MediaSecret != "hush" {
		t.Fatalf("got %q, %v", c.MediaSecret, err)
	}
	var out strings.Builder
	c.print(&out)
	if strings.Contains(out.String(), "hush") {
		t.Errorf("the secret is printed:\n%s", out.String())
	}
	if _, err := load(true, env("CONSILIUM_MEDIA_SECRET_FILE", file, "CONSILIUM_MEDIA_SECRET", "x")); err == nil {
		t.Error("a value and a file for one setting were taken")
	}
}

func TestPagesMayConnectToTheCluster(t *testing.T) {
	for address, want := range map[string]string{
		"":                        "",
		"wss://media.example.org": "wss://media.example.org https://media.example.org",
		"ws://127.0.0.1:7880":     "ws://127.0.0.1:7880 http://127.0.0.1:7880",
	} {
		c := config{MediaURL: address}
		if got := strings.Join(c.connectSrc(), " "); got != want {
			t.Errorf("%q: got %q, want %q", address, got, want)
		}
	}
}

func TestTextMessagesNeedAnHTTPSAddressAndASecret(t *testing.T) {
	for name, c := range map[string]struct {
		url, secret string
		good        bool
	}{
		"none":         {"", "", true},
		"both":         {"https://sms.example/send", "0123456789abcdef0123456789abcdef", true},
		"no secret":    {"https://sms.example/send", "", false},
		"short secret": {"https://sms.example/send", "short", false},
		"no TLS":       {"http://sms.example/send", "0123456789abcdef0123456789abcdef", false},
	} {
		cfg, err := load(true, env("CONSILIUM_SMS_URL", c.url, "CONSILIUM_SMS_SECRET", c.secret))
		if err != nil {
			t.Fatal(err)
		}
		err = cfg.validate()
		if (err == nil) != c.good || err != nil && !strings.Contains(err.Error(), "CONSILIUM_SMS_URL") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
