package web

import (
	"slices"
	"testing"

	"github.com/consilium-health/consilium/web/i18n"
)

func TestLanguageOfAPatientIsABaseLanguage(t *testing.T) {
	for tag, want := range map[string]bool{"kk": true, "kri": true, "ne": true, "zh": true, "": false, "zh-Hans": false, "und": false, "xx!": false, "<b>": false, "EN": false} {
		if got := patientLanguage(tag); got != want {
			t.Errorf("%q: got %v", tag, got)
		}
	}
	for _, tag := range slices.Concat(patientLanguages, moreLanguages, caseLanguages) {
		if !patientLanguage(tag) {
			t.Errorf("%s of the lists is none", tag)
		}
	}
}

// TestFormsBeginWithALanguageThatCanBeChosen: the page's language may name a script,
// which the language of a text does not.
func TestFormsBeginWithALanguageThatCanBeChosen(t *testing.T) {
	for _, l := range i18n.Languages {
		if base := baseTag(l.Tag); !slices.Contains(caseLanguages, base) {
			t.Errorf("%s: nobody can write a case in %q", l.Tag, base)
		}
	}
}
