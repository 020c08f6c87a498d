package i18n

import (
	"errors"
	"log/slog"
	"strings"
	"time"

	goi18n "github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// Localizer writes texts for one reader. It is immutable and cheap to make.
type Localizer struct {
	bundle    *Bundle
	language  Language
	zone      *time.Location
	localizer *goi18n.Localizer
}

type (
	// Lang is a BCP 47 tag that a message names as a language.
	Lang string
	// Place is an ISO 3166 code that a message names as a place.
	Place string
)

// Tag is the reader's language.
func (l *Localizer) Tag() string { return l.language.Tag }

// Dir is the direction of the reader's script.
func (l *Localizer) Dir() string { return l.language.Dir }

// Zone is the reader's time zone.
func (l *Localizer) Zone() *time.Location { return l.zone }

// Has tells whether there is such a message.
func (l *Localizer) Has(id ID) bool { return l.bundle.Has(id) }

// T is the text of a message.
func (l *Localizer) T(id ID, v ...V) string { return l.write(id, nil, merge(v), "", "") }

// N is the text of a message in the plural form of count, which the message calls
// {{.Count}}. A count is an int, or a string such as "1.5".
func (l *Localizer) N(id ID, count any, v ...V) string { return l.write(id, count, merge(v), "", "") }

// Isolated is T for plain text (mail, calendar files): each value stands in Unicode
// isolates, so that a Latin name does not reorder an Arabic sentence. Pages use the
// component Msg, which writes <bdi>.
func (l *Localizer) Isolated(id ID, v ...V) string {
	return l.write(id, nil, merge(v), "\u2068", "\u2069")
}

// Part is a piece of a sentence: its own words, or a value put into it.
type Part struct {
	Text  string
	Value bool
}

// Private use characters mark where a value begins and ends; no catalogue has them.
const open, shut = "\ue000", "\ue001"

// Parts is T in pieces, so that a page can isolate the values.
func (l *Localizer) Parts(id ID, v ...V) []Part {
	rest := l.write(id, nil, merge(v), open, shut)
	var out []Part
	for rest != "" {
		before, after, found := strings.Cut(rest, open)
		if before != "" {
			out = append(out, Part{Text: before})
		}
		if !found {
			break
		}
		value, tail, _ := strings.Cut(after, shut)
		out = append(out, Part{Text: value, Value: true})
		rest = tail
	}
	return out
}

// Sentence is the text of a message that a room names in a refusal or an
// explanation. A code that has no sentence is shown as a code within a sentence.
func (l *Localizer) Sentence(id string, data map[string]any) string {
	if !l.bundle.Has(ID(id)) {
		return l.T(ReasonUnknown, unknown(id, data))
	}
	return l.T(ID(id), named(data))
}

// unknown is what is left to say of a reason without a sentence: its code.
func unknown(id string, data map[string]any) V {
	if code, ok := data["Code"].(string); ok {
		id = code
	}
	return V{"Code": id}
}

// named lets a sentence name the place that a room gives as a code.
func named(data map[string]any) V {
	v := make(V, len(data))
	for k, x := range data {
		if code, ok := x.(string); ok && k == "Place" {
			x = Place(code)
		}
		v[k] = x
	}
	return v
}

// SentenceParts is Sentence in pieces, so that a page can isolate the values.
func (l *Localizer) SentenceParts(id string, data map[string]any) []Part {
	if !l.bundle.Has(ID(id)) {
		return l.Parts(ReasonUnknown, unknown(id, data))
	}
	return l.Parts(ID(id), named(data))
}

func merge(v []V) V {
	switch len(v) {
	case 0:
		return nil
	case 1:
		return v[0]
	}
	out := V{}
	for _, m := range v {
		for k, x := range m {
			out[k] = x
		}
	}
	return out
}

func (l *Localizer) write(id ID, count any, v V, before, after string) string {
	data := make(map[string]any, len(v)+1)
	for k, x := range v {
		switch x := x.(type) {
		case time.Time:
			data[k] = before + l.DateTime(x) + after
		case Lang:
			data[k] = before + l.Language(string(x)) + after
		case Place:
			data[k] = before + l.Place(string(x)) + after
		case string:
			data[k] = before + x + after
		default:
			data[k] = x
		}
	}
	if count != nil {
		data["Count"] = count
	}
	s, err := l.localizer.Localize(&goi18n.LocalizeConfig{MessageID: string(id), PluralCount: count, TemplateData: data})
	var absent *goi18n.MessageNotFoundErr
	switch {
	case err == nil:
		return s
	case errors.As(err, &absent) && s != "": // in the words of the source
		slog.Warn("message is not translated", "language", l.language.Tag, "message", string(id))
		return s
	}
	return missing(l.language.Tag, id, err)
}

// Language is the name of a language in the reader's language.
func (l *Localizer) Language(tag string) string {
	t, err := language.Parse(tag)
	if err != nil {
		return tag
	}
	if n := display.Languages(language.MustParse(l.language.Tag)).Name(t); n != "" {
		return n
	}
	return tag
}

// Place is the name of a country, or of a subdivision such as "CA-ON" as far as the
// catalogue names it.
func (l *Localizer) Place(code string) string {
	if id := ID("place." + code); l.bundle.Has(id) {
		return l.T(id)
	}
	country, _, sub := strings.Cut(code, "-")
	r, err := language.ParseRegion(country)
	if err != nil {
		return code
	}
	n := display.Regions(language.MustParse(l.language.Tag)).Name(r)
	if n == "" {
		return code
	}
	if sub {
		return n + " (" + code + ")"
	}
	return n
}
