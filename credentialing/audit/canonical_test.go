package audit

import (
	"encoding/json"
	"testing"

	"github.com/gowebpki/jcs"
	"pgregory.net/rapid"
)

// jsonValue draws values of the restricted form.
func jsonValue(depth int) *rapid.Generator[any] {
	leaves := []*rapid.Generator[any]{
		rapid.Custom(func(t *rapid.T) any { return rapid.String().Draw(t, "s") }),
		rapid.Custom(func(t *rapid.T) any { return rapid.Int64Range(-maxInteger, maxInteger).Draw(t, "n") }),
		rapid.Custom(func(t *rapid.T) any { return rapid.Bool().Draw(t, "b") }),
		rapid.Just[any](nil),
	}
	if depth == 0 {
		return rapid.OneOf(leaves...)
	}
	return rapid.OneOf(append(leaves,
		rapid.Custom(func(t *rapid.T) any {
			return rapid.SliceOfN(jsonValue(depth-1), 0, 4).Draw(t, "list")
		}),
		rapid.Custom(func(t *rapid.T) any {
			return rapid.MapOfN(rapid.String(), jsonValue(depth-1), 0, 4).Draw(t, "object")
		}))...)
}

// The second opinion is an implementation of RFC 8785 by other people.
func TestCanonicalAgreesWithSecondImplementation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := jsonValue(3).Draw(t, "value")
		got, err := Canonical(v)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		want, err := jcs.Transform(raw)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Fatalf("got %s\nwant %s", got, want)
		}
		parsed, err := ParseCanonical(got)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Canonical(parsed)
		if err != nil || string(again) != string(got) {
			t.Fatalf("not a fixed point: %s, %v", again, err)
		}
	})
}

// Two ways to the same bytes: the one that writes as it reads, and the one by values.
func canonicalByValues(v any) ([]byte, error) {
	raw, err := encoded(v)
	if err != nil {
		return nil, err
	}
	parsed, err := parseStrict(raw)
	if err != nil {
		return nil, err
	}
	return appendCanonical(nil, parsed)
}

// What somebody else wrote as JSON may come with other spellings.
func FuzzCanonicalOfForeignJSON(f *testing.F) {
	for _, s := range []string{`{"b":[1,"x\u00e9\/",null,true,{"\u2028":-0}],"a": {"\ud83d\ude00":1e3,"\uffff":5.0}}`, `[ 1 , { } , [ ] ,"\n\u001F" ]`, `{"a":1,"\u0061":2}`,
		`1.5`, `9007199254740993`, `{"":{"":{"":[[[]]]}}}`, `"\ud800"`, ` false `, `{"a":1,"a":2}`, `{"b":1,"a":{"a":2,"b":{"z":[],"y":0}}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !json.Valid(data) {
			return
		}
		want, werr := canonicalByValues(json.RawMessage(data))
		got, err := Canonical(json.RawMessage(data))
		if (err == nil) != (werr == nil) || err == nil && string(got) != string(want) {
			t.Fatalf("%q\ngot  %q, %v\nwant %q, %v", data, got, err, want, werr)
		}
	})
}

func TestParseCanonicalRefusesOtherForms(t *testing.T) {
	for name, data := range map[string]string{
		"duplicate key":    `{"a":1,"a":2}`,
		"key order":        `{"b":1,"a":2}`,
		"white space":      `{"a": 1}`,
		"fraction":         `{"a":1.5}`,
		"exponent":         `{"a":1e3}`,
		"beyond 2^53":      `{"a":9007199254740993}`,
		"needless escape":  `{"a":"\u0041"}`,
		"trailing bytes":   `{"a":1}x`,
		"two values":       `{"a":1}{"a":1}`,
		"invalid UTF-8":    "{\"a\":\"\xff\"}",
		"unfinished":       `{"a":1`,
		"empty":            ``,
		"upper case hex":   `{"a":"\u001F"}`,
		"negative zero":    `{"a":-0}`,
		"leading zero":     `{"a":01}`,
		"lone surrogate":   `{"a":"\ud800"}`,
		"escaped solidus":  `{"a":"\/"}`,
		"line break after": "{\"a\":1}\n",
	} {
		if v, err := ParseCanonical([]byte(data)); err == nil {
			t.Errorf("%s: accepted as %v", name, v)
		}
	}
}

func FuzzParseCanonical(f *testing.F) {
	f.Add([]byte(`{"a":[1,"x",null,true,{"é":"\u2028"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := ParseCanonical(data)
		if err != nil {
			return
		}
		again, err := Canonical(v)
		if err != nil || string(again) != string(data) {
			t.Fatalf("%q accepted but encodes as %q, %v", data, again, err)
		}
	})
}
