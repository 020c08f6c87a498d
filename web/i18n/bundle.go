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

// Language is a language that the interface is complete in.
type Language struct {
	Tag  string // BCP 47
	Name string // in the language itself
	Dir  string // "ltr" or "rtl"
}

// Languages are the complete languages; the first is the source.
var Languages = []Language{
	{"en", "English", "ltr"},
	{"fr", "Français", "ltr"},
	{"ar", "العربية", "rtl"},
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

// Match finds the best complete language for what the reader asks for, best first:
// the profile's tag, the cookie's, the Accept-Language header. Empty ones are
// passed over; what cannot be read is too.
func (b *Bundle) Match(wanted ...string) string {
	for _, w := range wanted {
		tags, _, err := language.ParseAcceptLanguage(w)
		if err != nil || len(tags) == 0 {
			continue
		}
		// The matcher's tag may carry extensions; its index is what counts.
		_, i, confidence := b.matcher.Match(tags...)
		if confidence > language.No {
			return Languages[i].Tag
		}
	}
	return Languages[0].Tag
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
