package i18n

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	goi18n "github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

// plural are the forms that a language needs (CLDR cardinal rules).
var plural = map[string][]string{
	"en":      {"one", "other"},
	"fr":      {"one", "many", "other"},
	"ar":      {"zero", "one", "two", "few", "many", "other"},
	"es":      {"one", "many", "other"},
	"pt":      {"one", "many", "other"},
	"ru":      {"one", "few", "many", "other"},
	"zh-Hans": {"other"},
}

func read(t *testing.T) map[string]map[ID]map[string]string {
	t.Helper()
	out := map[string]map[ID]map[string]string{}
	files, err := catalogues.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		body, err := catalogues.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		var m map[ID]map[string]string
		if err := json.Unmarshal(body, &m); err != nil {
			t.Fatalf("%s: %v", f.Name(), err)
		}
		part := strings.Split(f.Name(), ".")
		if len(part) != 4 {
			t.Fatalf("%s is not active.<area>.<tag>.json", f.Name())
		}
		if out[part[2]] == nil {
			out[part[2]] = map[ID]map[string]string{}
		}
		maps.Copy(out[part[2]], m)
	}
	return out
}

func TestEveryMessageStandsInEveryLanguage(t *testing.T) {
	all := read(t)
	variable := regexp.MustCompile(`\.[A-Z][A-Za-z]*`)
	variables := func(m map[string]string) []string {
		seen := map[string]bool{}
		for form, text := range m {
			if form == "description" {
				continue
			}
			for _, v := range variable.FindAllString(strings.Join(regexp.MustCompile(`\{\{.*?\}\}`).FindAllString(text, -1), " "), -1) {
				seen[v] = true
			}
		}
		return slices.Sorted(maps.Keys(seen))
	}
	source := all[Languages[0].Tag]
	for id, m := range source {
		if m["description"] == "" {
			t.Errorf("%s has no description for the translator", id)
		}
		for _, l := range Languages {
			have, ok := all[l.Tag][id]
			if !ok || have["other"] == "" {
				t.Errorf("%s is missing in %s", id, l.Tag)
				continue
			}
			if got, want := variables(have), variables(m); !slices.Equal(got, want) {
				t.Errorf("%s in %s has the variables %v, want %v", id, l.Tag, got, want)
			}
			if m["one"] == "" {
				continue
			}
			for _, form := range plural[l.Tag] {
				if have[form] == "" {
					t.Errorf("%s in %s has no form %s", id, l.Tag, form)
				}
			}
		}
	}
	for tag, m := range all {
		for id := range m {
			if source[id] == nil {
				t.Errorf("%s stands in %s but not in the source", id, tag)
			}
		}
	}
}

func TestEveryMessageCanBeWrittenForEveryNumber(t *testing.T) {
	b, err := New()
	if err != nil {
		t.Fatal(err)
	}
	all := read(t)
	names := regexp.MustCompile(`\.([A-Z][A-Za-z]*)`)
	for _, l := range Languages {
		loc := goi18n.NewLocalizer(b.bundle, l.Tag)
		for id, m := range all[l.Tag] {
			data := map[string]any{}
			for _, text := range m {
				for _, n := range names.FindAllStringSubmatch(text, -1) {
					data[n[1]] = "x"
				}
			}
			for _, n := range []any{0, 1, 2, 3, 5, 11, 21, 100, "1.5", 1_000_000} {
				data["Count"] = n
				c := &goi18n.LocalizeConfig{MessageID: string(id), TemplateData: data}
				if m["one"] != "" {
					c.PluralCount = n
				}
				text, err := loc.Localize(c)
				if err != nil || text == "" || strings.Contains(text, "<no value>") {
					t.Errorf("%s in %s for %v: %q, %v", id, l.Tag, n, text, err)
				}
			}
		}
	}
}

// Constants and catalogues say the same, so that a page cannot name a message that
// does not exist. Ids that rooms name in refusals have no constant.
func TestConstantsAreInTheCatalogue(t *testing.T) {
	source := read(t)[Languages[0].Tag]
	files, err := filepath.Glob("ids_*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			for _, v := range s.Values {
				if lit, ok := v.(*ast.BasicLit); ok {
					id, _ := strconv.Unquote(lit.Value)
					if source[ID(id)] == nil {
						t.Errorf("%s: %s is not in the catalogue", name, id)
					}
				}
			}
			return true
		})
	}
}

func TestMatchTakesTheFirstThatIsComplete(t *testing.T) {
	b, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		wanted []string
		want   string
	}{
		{nil, "en"}, {[]string{"", "", "fr-CA;q=0.8, en;q=0.5"}, "fr"}, {[]string{"ar-u-nu-arab"}, "ar"},
		{[]string{"xx-invalid-xx", "ar"}, "ar"}, {[]string{"de", "fr"}, "fr"}, {[]string{"de"}, "en"},
		{[]string{"es-419"}, "es"}, {[]string{"es-MX, en"}, "es"}, {[]string{"de-AT, de;q=0.9, es-PE;q=0.5"}, "es"}, {[]string{"ca"}, "en"}, {[]string{"ca, fr;q=0.5"}, "fr"},
		{[]string{"ru-KZ"}, "ru"}, {[]string{"kk, en"}, "en"}, {[]string{"zh-CN"}, "zh-Hans"}, {[]string{"zh-TW"}, "en"}, {[]string{"zh-HK, zh;q=0.8"}, "zh-Hans"}, {[]string{"pt-BR"}, "pt"}, {[]string{"pt-PT"}, "pt"}, {[]string{"eu, fr;q=0.5"}, "fr"}, {[]string{"ln"}, "fr"}, {[]string{"so"}, "en"}, {[]string{"uk"}, "en"},
	} {
		if got := b.Match(c.wanted...); got != c.want {
			t.Errorf("Match(%q) = %q, want %q", c.wanted, got, c.want)
		}
	}
}

func TestValuesInASentenceAreKeptApart(t *testing.T) {
	b, err := New()
	if err != nil {
		t.Fatal(err)
	}
	l := b.Localizer("ar", "Africa/Nairobi")
	got := fmt.Sprint(l.Parts(LayoutSignedIn, V{"Name": "Dr Otieno"}))
	want := fmt.Sprint([]Part{{"تم الدخول باسم ", false}, {"Dr Otieno", true}})
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A message that one language lacks is written in the source's words, on pages and
// in scripts; one that no language has is named.
func TestAMissingMessageIsWrittenInTheSource(t *testing.T) {
	b, err := New()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.bundle.AddMessages(language.English, &goi18n.Message{ID: "test.only_english", One: "{{.Count}} sheet", Other: "{{.Count}} sheets"}); err != nil {
		t.Fatal(err)
	}
	for _, l := range Languages {
		loc := b.Localizer(l.Tag, "")
		if got := loc.N("test.only_english", 1); got != "1 sheet" {
			t.Errorf("%s: %q", l.Tag, got)
		}
		if got := loc.T("test.nowhere"); got != "[test.nowhere]" {
			t.Errorf("%s: %q", l.Tag, got)
		}
		room, err := loc.Messages("room.")
		if err != nil {
			t.Fatal(err)
		}
		for id := range b.ids[Languages[0].Tag] {
			if strings.HasPrefix(string(id), "room.") && room[id]["other"] == "" {
				t.Errorf("%s: %s is not given to scripts", l.Tag, id)
			}
		}
	}
}
