package web

import (
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
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
	sheets, err := fs.Glob(static, "static/*.css")
	if err != nil || len(sheets) == 0 {
		t.Fatal(sheets, err)
	}
	for _, name := range sheets {
		body, err := static.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(media.ReplaceAllString(string(body), "{"), "\n") {
			if m := physical.FindString(line); m != "" {
				t.Errorf("%s:%d: %q", name, i+1, strings.TrimSpace(m))
			}
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

func TestStaticFilesAreKeptByTheirHash(t *testing.T) {
	a := newAssets()
	plain := httptest.NewRecorder()
	a.ServeHTTP(plain, httptest.NewRequest("GET", "/static/app.css", nil))
	if plain.Code != 200 || plain.Header().Get("Cache-Control") != "no-cache" || plain.Header().Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("plain: %d %v", plain.Code, plain.Header())
	}
	r := httptest.NewRequest("GET", a.url("app.css"), nil)
	r.Header.Set("Accept-Encoding", "br, gzip;q=0.8")
	packed := httptest.NewRecorder()
	a.ServeHTTP(packed, r)
	if !strings.Contains(packed.Header().Get("Cache-Control"), "immutable") || packed.Header().Get("Content-Encoding") != "gzip" {
		t.Errorf("by hash: %v", packed.Header())
	}
	unpacked, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(unpacked)
	if err != nil || string(body) != plain.Body.String() {
		t.Errorf("packed differs, %v", err)
	}
	r = httptest.NewRequest("GET", "/static/app.css", nil)
	r.Header.Set("If-None-Match", plain.Header().Get("ETag"))
	again := httptest.NewRecorder()
	a.ServeHTTP(again, r)
	if again.Code != 304 {
		t.Errorf("unchanged: %d, want 304", again.Code)
	}
	for _, name := range []string{"/static/.keep", "/static/dist/.keep", "/static/../errors.go", "/static/app.0000000000000000.css", "/static/"} {
		w := httptest.NewRecorder()
		a.ServeHTTP(w, &http.Request{Method: "GET", URL: &url.URL{Path: name}, Header: http.Header{}})
		if w.Code != 404 {
			t.Errorf("%s: %d, want 404", name, w.Code)
		}
	}
}

func TestGzipOnlyForWhoTakesIt(t *testing.T) {
	for in, want := range map[string]bool{"": false, "gzip": true, "br, gzip": true, "gzip;q=0": false, "gzip; q=0.5": true, "identity": false, "x-gzip": false} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Encoding", in)
		if got := packs(r); got != want {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
}
