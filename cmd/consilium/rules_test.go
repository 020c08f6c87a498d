package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRulesNamesFindingsWithFileLineAndRule(t *testing.T) {
	good := filepath.Join("..", "..", "credentialing", "testdata", "packs", "JO.yaml")
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, bytes.Replace(data, []byte("local_physician_requested"), []byte("asked_nicely"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want error
		says string
	}{
		{[]string{"rules", good}, nil, "1 packs, 0 findings"},
		{[]string{"rules", bad}, errFailed, "bad.yaml:"},
		{[]string{"rules"}, errUsage, ""},
	} {
		var out, errs bytes.Buffer
		err := run(t.Context(), environment{getenv: func(string) string { return "" }, out: &out, err: &errs}, c.args)
		if !errors.Is(err, c.want) || !strings.Contains(out.String(), c.says) {
			t.Errorf("%v: %v\n%s", c.args, err, out.String())
		}
		if c.want == errFailed && (!strings.Contains(out.String(), "JO-001") || !strings.Contains(out.String(), "asked_nicely")) {
			t.Errorf("the finding is not named:\n%s", out.String())
		}
	}
}
