package web

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// A page in Arabic is the mirror of the page in English only while no rule names a
// side of the screen.
func TestStylesNameNoPhysicalSide(t *testing.T) {
	physical := regexp.MustCompile(`(?m)(^|[\s;{])((margin|padding|border)-(left|right|top|bottom)[a-z-]*|left|right|top|bottom|width|height|(min|max)-(width|height)|float|border-(top|bottom)-(left|right)-radius)\s*:|text-align\s*:\s*(left|right)`)
	media := regexp.MustCompile(`@(media|container)[^{]*\{`)
	for _, bad := range []string{"a{margin-left:1px}", "a { text-align: right }", "a {\n\twidth: 3px }"} {
		if !physical.MatchString(bad) {
			t.Fatalf("the check would miss %q", bad)
		}
	}
	body, err := static.ReadFile("static/app.css")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(media.ReplaceAllString(string(body), "{"), "\n") {
		if m := physical.FindString(line); m != "" {
			t.Errorf("app.css:%d: %q", i+1, strings.TrimSpace(m))
		}
	}
}

// The content security policy forbids inline style and handlers; a component with
// one would look right in a test and wrong in a browser.
func TestComponentsHaveNoInlineStyleOrHandler(t *testing.T) {
	inline := regexp.MustCompile(`\s(style|on[a-z]+)=["{]|<style`)
	files, err := fs.Glob(os.DirFS("pages"), "*.templ")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		body, err := os.ReadFile("pages/" + f)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(body), "\n") {
			if m := inline.FindString(line); m != "" {
				t.Errorf("%s:%d: %q", f, i+1, m)
			}
		}
	}
}

func TestIconsThatPagesNameExist(t *testing.T) {
	icons, err := static.ReadFile("static/icons.svg")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`@Icon\([^,]+, "([a-z-]+)"\)`)
	files, _ := fs.Glob(os.DirFS("pages"), "*.templ")
	for _, f := range files {
		body, err := os.ReadFile("pages/" + f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range named.FindAllStringSubmatch(string(body), -1) {
			if !strings.Contains(string(icons), `id="`+m[1]+`"`) {
				t.Errorf("%s: no icon %q", f, m[1])
			}
		}
	}
	for _, e := range navEntries {
		if !strings.Contains(string(icons), `id="`+e.icon+`"`) {
			t.Errorf("navigation: no icon %q", e.icon)
		}
	}
}
