package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// ErrNotCanonical means that bytes are not the one allowed form of their value.
var ErrNotCanonical = errors.New("audit: not canonical JSON")

var (
	errInvalidUTF8 = errors.New("invalid UTF-8")
	errTooDeep     = errors.New("nested too deeply")
	errNoValue     = errors.New("no value")
)

// maxInteger is the largest integer every JSON reader keeps exactly (RFC 8785 §3.2.2.3).
const maxInteger = 1<<53 - 1

// Canonical is the JSON Canonicalization Scheme (RFC 8785) of v as encoding/json
// would marshal it, restricted to objects, arrays, strings, booleans, null and
// integers within ±(2^53−1). Documents, determinations and leaves are hashed in
// this form. Fractions and invalid UTF-8 are errors.
func Canonical(v any) ([]byte, error) {
	raw, err := encoded(v)
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(raw) {
		return nil, errInvalidUTF8
	}
	return canonize(make([]byte, 0, len(raw)), raw)
}

// ParseCanonical parses data strictly and refuses, with ErrNotCanonical, anything
// that is not byte for byte what Canonical gives for the same value: duplicate
// keys, other key orders, white space, other escapes, fractions. Objects come as
// map[string]any, integers as int64.
func ParseCanonical(data []byte) (any, error) {
	v, err := parseStrict(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotCanonical, err)
	}
	again, err := appendCanonical(nil, v)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotCanonical, err)
	}
	if !bytes.Equal(again, data) {
		return nil, ErrNotCanonical
	}
	return v, nil
}

// parseStrict reads one JSON value, refusing duplicate keys and trailing bytes.
func parseStrict(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, errInvalidUTF8
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	v, err := parseValue(dec, 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("bytes after the value")
	}
	return v, nil
}

// maxDepth bounds the recursion on strangers' bytes.
const maxDepth = 64

func parseValue(dec *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errTooDeep
	}
	t, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '{' {
			return parseObject(dec, depth)
		}
		list := []any{}
		for dec.More() {
			v, err := parseValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := dec.Token()
		return list, err
	case json.Number:
		n, err := integer(t.String())
		if err != nil {
			return nil, err
		}
		return n, nil
	default: // string, bool, nil
		return t, nil
	}
}

func parseObject(dec *json.Decoder, depth int) (any, error) {
	object := map[string]any{}
	for dec.More() {
		k, err := dec.Token()
		if err != nil {
			return nil, err
		}
		key := k.(string) // the decoder gives only strings here
		if _, twice := object[key]; twice {
			return nil, fmt.Errorf("key %q twice", key)
		}
		if object[key], err = parseValue(dec, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := dec.Token()
	return object, err
}

func appendCanonical(b []byte, v any) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case string:
		return appendString(b, v), nil
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendCanonical(b, e); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.SortFunc(keys, compareUTF16)
		b = append(b, '{')
		for i, k := range keys {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, k), ':')
			if b, err = appendCanonical(b, v[k]); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	default:
		return nil, fmt.Errorf("audit: %T has no canonical form", v)
	}
}

// compareUTF16 orders keys by their UTF-16 code units (RFC 8785 §3.2.3).
func compareUTF16(a, b string) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		if a[i] >= utf8.RuneSelf || b[i] >= utf8.RuneSelf {
			return slices.Compare(utf16.Encode([]rune(a[i:])), utf16.Encode([]rune(b[i:])))
		}
		if a[i] != b[i] {
			return int(a[i]) - int(b[i])
		}
	}
	return len(a) - len(b)
}

// appendString escapes as ECMAScript's JSON.stringify does (RFC 8785 §3.2.2.2).
func appendString(b []byte, s string) []byte {
	const hexDigits = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\b':
			b = append(b, `\b`...)
		case c == '\f':
			b = append(b, `\f`...)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c < 0x20:
			b = append(b, `\u00`...)
			b = append(b, hexDigits[c>>4], hexDigits[c&0xf])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
