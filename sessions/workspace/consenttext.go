package workspace

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// ConsentTextVersion is the version of the texts shown now. A changed text is a new
// version in a new file; the old file stays, and every record keeps its own words.
const ConsentTextVersion = "2026-11-1"

//go:embed texts/consent-2026-11-1.json
var consentFile []byte

// ConsentLanguages are the languages consents can be shown in.
var ConsentLanguages = []string{"en", "fr", "ar", "es", "pt", "ru", "zh-Hans"}

type consentTexts struct {
	Version  string                       `json:"version"`
	Reviewed map[string]bool              `json:"reviewed"` // by a native speaker of the trade
	Texts    map[string]map[string]string `json:"texts"`
}

var consentTable = mustConsentTexts()

func mustConsentTexts() consentTexts {
	var t consentTexts
	if err := json.Unmarshal(consentFile, &t); err != nil || t.Version != ConsentTextVersion {
		panic(fmt.Sprintf("workspace: consent texts: %v, version %q", err, t.Version))
	}
	return t
}

// ConsentNames fill in who and where.
type ConsentNames struct {
	Receiver    string
	Destination string // ISO 3166-1
	Physician   string
}

// ConsentText is the text of a consent as it is shown in a language.
func ConsentText(lang string, purpose Purpose, class Class, n ConsentNames) (string, error) {
	key := string(purpose)
	if class != "" {
		key += "." + string(class)
	}
	text, ok := consentTable.Texts[lang][key]
	if !ok {
		return "", &ErrIncomplete{Fields: []string{"language"}}
	}
	for name, v := range map[string]string{"{Receiver}": n.Receiver, "{Physician}": n.Physician, "{Country}": CountryName(lang, n.Destination)} {
		if strings.Contains(text, name) && v == "" {
			return "", &ErrIncomplete{Fields: []string{strings.ToLower(strings.Trim(name, "{}"))}}
		}
		text = strings.ReplaceAll(text, name, v)
	}
	return clean(text), nil
}

// ConsentReviewed tells whether a native speaker has reviewed the texts of a
// language; those who show others say so.
func ConsentReviewed(lang string) bool { return consentTable.Reviewed[lang] }

// ConsentLanguage picks the first of a patient's languages that there are texts in;
// English if there is none.
func ConsentLanguage(languages []string) string {
	for _, l := range languages {
		for _, have := range ConsentLanguages {
			if sameLetters(l, have) {
				return have
			}
		}
	}
	return "en"
}

// sameLetters tells whether who reads one of two languages reads the other: the same
// language in the same script. "zh" is read in simplified script, "zh-TW" is not.
func sameLetters(a, b string) bool {
	x, err := language.Parse(a)
	if err != nil {
		return false
	}
	y, err := language.Parse(b)
	if err != nil {
		return false
	}
	xb, _ := x.Base()
	yb, _ := y.Base()
	xs, _ := x.Script()
	ys, _ := y.Script()
	return xb == yb && xs == ys
}

// CountryName names a country (ISO 3166) in a language; the code itself if there is
// no name.
func CountryName(lang, code string) string {
	region, err := language.ParseRegion(Country(code))
	if err != nil {
		return code
	}
	namer := display.Regions(language.Make(lang))
	if namer == nil {
		return code
	}
	if name := namer.Name(region); name != "" {
		return name
	}
	return code
}
