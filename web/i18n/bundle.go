package i18n

import (
	"embed"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"encoding/json"

	goi18n "github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

// ID is a message id: a typed constant in ids_<area>.go, or one that a room gives
// in a refusal.
type ID string

// V are the variables of a message. A time.Time is written in the reader's zone, a
// [Lang] and a [Place] by their names in the reader's language.
type V map[string]any

// Language is a language of the interface.
type Language struct {
	Tag  string // BCP 47
	Name string // in the language itself
	Dir  string // "ltr" or "rtl"
}

// Languages are the languages offered, which are the complete ones; the first is the
// source, which stands in for a message that another lacks.
var Languages = []Language{
	{"en", "English", "ltr"},
	{"fr", "Français", "ltr"},
	{"ar", "العربية", "rtl"},
	{"es", "Español", "ltr"},
	{"pt", "Português", "ltr"},
	{"zh-Hans", "简体中文", "ltr"},
	{"ru", "Русский", "ltr"},
}

//go:embed active.*.json
var catalogues embed.FS

// Bundle holds the catalogues. It is immutable after New.
type Bundle struct {
	bundle  *goi18n.Bundle
	matcher language.Matcher
	ids     map[string]map[ID]bool // by language
}

// New reads the embedded catalogues.
func New() (*Bundle, error) {
	b := &Bundle{bundle: goi18n.NewBundle(language.English), ids: map[string]map[ID]bool{}}
	b.bundle.RegisterUnmarshalFunc("json", json.Unmarshal)
	var tags []language.Tag
	for _, l := range Languages {
		tags = append(tags, language.MustParse(l.Tag))
		b.ids[l.Tag] = map[ID]bool{}
	}
	b.matcher = language.NewMatcher(tags)
	files, err := catalogues.ReadDir(".")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		m, err := b.bundle.LoadMessageFileFS(catalogues, f.Name())
		if err != nil {
			return nil, fmt.Errorf("i18n: catalogue %s: %w", f.Name(), err)
		}
		known := b.ids[m.Tag.String()]
		if known == nil {
			return nil, fmt.Errorf("i18n: catalogue %s: language %s is not listed", f.Name(), m.Tag)
		}
		for _, msg := range m.Messages {
			if known[ID(msg.ID)] {
				return nil, fmt.Errorf("i18n: catalogue %s: %s stands twice", f.Name(), msg.ID)
			}
			known[ID(msg.ID)] = true
		}
	}
	return b, nil
}

// Match finds the best language offered for what the reader asks for, best first:
// the profile's tag, the cookie's, the Accept-Language header. Empty ones are
// passed over; what cannot be read is too. A language itself goes before one that its
// readers are taken to understand (Kazakh, English: English and not Russian), and one
// that is only akin to what was asked for is not given unasked (Ukrainian: not
// Russian; Chinese in traditional script: not the simplified one).
func (b *Bundle) Match(wanted ...string) string {
	for _, w := range wanted {
		tags, _, err := language.ParseAcceptLanguage(w)
		if err != nil || len(tags) == 0 {
			continue
		}
		for _, tag := range tags {
			if i := slices.IndexFunc(Languages, func(l Language) bool { return same(tag, language.Make(l.Tag)) }); i >= 0 {
				return Languages[i].Tag
			}
		}
		for _, tag := range tags {
			// The matcher's tag may carry extensions; its index is what counts.
			if _, i, confidence := b.matcher.Match(tag); confidence >= language.High {
				return Languages[i].Tag
			}
		}
	}
	return Languages[0].Tag
}

// same tells whether two tags are the same language in the same script.
func same(a, b language.Tag) bool {
	ab, _ := a.Base()
	bb, _ := b.Base()
	as, _ := a.Script()
	bs, _ := b.Script()
	return ab == bb && as == bs
}

// Has tells whether the source language has the message.
func (b *Bundle) Has(id ID) bool { return b.ids[Languages[0].Tag][id] }

// Localizer writes for one reader: a language and a zone. The tag is matched and an
// unknown zone becomes UTC.
func (b *Bundle) Localizer(tag, zone string) *Localizer {
	tag = b.Match(tag)
	i := slices.IndexFunc(Languages, func(l Language) bool { return l.Tag == tag })
	return &Localizer{
		bundle: b, language: Languages[i], zone: location(zone),
		localizer: goi18n.NewLocalizer(b.bundle, tag, Languages[0].Tag),
	}
}

func missing(tag string, id ID, err error) string {
	slog.Error("message cannot be written", "language", tag, "message", string(id), "error", err)
	return "[" + strings.TrimSpace(string(id)) + "]"
}
