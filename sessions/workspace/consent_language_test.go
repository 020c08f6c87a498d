package workspace_test

import (
	"testing"

	"github.com/consilium-health/consilium/sessions/workspace"
)

func TestConsentIsShownInTheFirstLanguageThePatientReads(t *testing.T) {
	for _, c := range []struct {
		speaks []string
		want   string
		why    string
	}{
		{[]string{"ar-SA"}, "ar", "a region does not matter"},
		{[]string{"so", "es-419"}, "es", "the first that there are texts in"},
		{[]string{"pt-BR"}, "pt", "a region does not matter"},
		{[]string{"zh"}, "zh-Hans", "Chinese without more is read in simplified script"},
		{[]string{"zh-CN"}, "zh-Hans", "the script of the region"},
		{[]string{"zh-TW", "fr"}, "fr", "another script is another text"},
		{[]string{"uk"}, "en", "an akin language is not the patient's"},
		{nil, "en", "nothing is known"},
	} {
		if got := workspace.ConsentLanguage(c.speaks); got != c.want {
			t.Errorf("%v: got %s, want %s: %s", c.speaks, got, c.want, c.why)
		}
	}
}
