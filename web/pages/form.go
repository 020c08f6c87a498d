package pages

import (
	"mime/multipart"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/consilium-health/consilium/web/i18n"
)

// Form is what a person sent or is about to send: the values, kept when the form
// comes back, and what is wrong with them. The zero value is an empty form.
type Form struct {
	Values url.Values
	Files  map[string][]*multipart.FileHeader
	Errors []FieldError
}

// FieldError says what is wrong with one field. Field "" is the form as a whole.
type FieldError struct {
	Field string
	ID    i18n.ID
	Vars  i18n.V
}

// Prefill puts a value there that the person has not typed yet: the stored one.
func (f *Form) Prefill(field, value string) {
	if f.Values == nil {
		f.Values = url.Values{}
	}
	if _, sent := f.Values[field]; !sent {
		f.Values.Set(field, value)
	}
}

// Value is the first value of a field, without surrounding space.
func (f Form) Value(field string) string { return strings.TrimSpace(f.Values.Get(field)) }

// All are the values of a field that may be given several times.
func (f Form) All(field string) []string { return f.Values[field] }

// Has tells whether the field holds the value: for choices.
func (f Form) Has(field, value string) bool {
	for _, v := range f.Values[field] {
		if v == value {
			return true
		}
	}
	return false
}

// Fail notes an error of a field.
func (f *Form) Fail(field string, id i18n.ID, v ...i18n.V) {
	e := FieldError{Field: field, ID: id}
	if len(v) > 0 {
		e.Vars = v[0]
	}
	f.Errors = append(f.Errors, e)
}

// Require returns the value of a field and notes an error when it is empty or
// longer than most characters. label names the field in the error.
func (f *Form) Require(l *i18n.Localizer, field string, label i18n.ID, most int) string {
	v := f.Value(field)
	if v == "" {
		f.Fail(field, i18n.FormRequired, i18n.V{"Field": l.T(label)})
	}
	f.limit(l, field, label, most)
	return v
}

// Optional returns the value of a field that may be empty.
func (f *Form) Optional(l *i18n.Localizer, field string, label i18n.ID, most int) string {
	f.limit(l, field, label, most)
	return f.Value(field)
}

func (f *Form) limit(l *i18n.Localizer, field string, label i18n.ID, most int) {
	if utf8.RuneCountInString(f.Value(field)) > most {
		f.Fail(field, i18n.FormTooLong, i18n.V{"Field": l.T(label), "Max": most})
	}
}

// Choose returns the chosen value and notes an error when it is none of options.
func (f *Form) Choose(l *i18n.Localizer, field string, label i18n.ID, options ...string) string {
	v := f.Value(field)
	for _, o := range options {
		if v == o && v != "" {
			return v
		}
	}
	f.Fail(field, i18n.FormChoose, i18n.V{"Field": l.T(label)})
	return v
}

// OK tells that nothing is wrong so far.
func (f Form) OK() bool { return len(f.Errors) == 0 }

// errorOf is the first error of a field.
func (f Form) errorOf(field string) (FieldError, bool) {
	for _, e := range f.Errors {
		if e.Field == field {
			return e, true
		}
	}
	return FieldError{}, false
}

// Key is the idempotency key of the form: what it carries already, or a new one.
// The component HiddenKey writes it, the handler reads it by Value("key").
func (f Form) Key() string {
	if k := f.Value("key"); k != "" {
		return k
	}
	return uuid.Must(uuid.NewV7()).String()
}
