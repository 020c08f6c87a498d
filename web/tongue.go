package web

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/language"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// moreLanguages are those of many people that a patient may speak beside the common
// ones; which of them somebody here speaks comes first in the form.
var moreLanguages = []string{"af", "ak", "sq", "hy", "as", "az", "bm", "bn", "be", "ber", "bs", "bg", "my", "ca", "yue", "ceb", "ckb", "hr", "cs", "da", "dv", "nl",
	"dz", "ee", "et", "fa", "fil", "fi", "ff", "ka", "el", "gn", "gu", "ht", "ha", "he", "hi", "hmn", "hu", "is", "ig", "id", "it", "ja", "jv", "kn", "kk", "km",
	"rw", "rn", "ko", "kri", "ku", "ky", "lo", "lv", "ln", "lt", "lg", "mk", "mg", "ms", "ml", "mt", "mr", "mn", "ne", "no", "ny", "or", "om", "ps", "pl", "pa",
	"qu", "ro", "sm", "sr", "sn", "sd", "si", "sk", "sl", "st", "su", "sv", "tg", "ta", "te", "th", "bo", "ti", "tn", "tr", "tk", "uk", "ur", "ug", "uz", "vi",
	"wo", "xh", "yo", "zu"}

// tongues are the languages of the form for a case: those asked about first, which are
// the common ones, those chosen already and all that a clinician or interpreter on file speaks, and all others
// by their names in the reader's language.
func (s *Server) tongues(ctx context.Context, l *i18n.Localizer, chosen []string) (first []string, others []pages.Option, err error) {
	first = slices.Clone(patientLanguages)
	for _, tag := range chosen {
		if patientLanguage(tag) && !slices.Contains(first, tag) {
			first = append(first, tag)
		}
	}
	for _, role := range []identity.Role{identity.RoleInterpreter, identity.RoleLocalPhysician, identity.RoleSpecialist} {
		people, err := s.d.Identity.PeopleWith(ctx, role, "")
		if err != nil {
			return nil, nil, fmt.Errorf("languages on file: %w", err)
		}
		for _, p := range people {
			for _, tag := range p.Languages {
				if base := baseTag(tag); base != "" && !slices.Contains(first, base) {
					first = append(first, base)
				}
			}
		}
	}
	for _, tag := range moreLanguages {
		if !slices.Contains(first, tag) {
			others = append(others, pages.Option{Value: tag, Text: l.Language(tag)})
		}
	}
	slices.SortFunc(others, func(a, b pages.Option) int { return strings.Compare(a.Text, b.Text) })
	return first, others, nil
}

// baseTag is the language of a tag without region or script; "" if it is none.
func baseTag(tag string) string {
	t, err := language.Parse(tag)
	if err != nil {
		return ""
	}
	base, _ := t.Base()
	if base.String() == "und" {
		return ""
	}
	return base.String()
}

// patientLanguage tells whether a case may name the language.
func patientLanguage(tag string) bool { return tag != "" && baseTag(tag) == tag }
