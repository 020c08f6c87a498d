package credentialing

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The longest texts of a pack, in characters: more than twice those of the packs that
// the binary brings.
const (
	longestPackName = 200
	longestVersion  = 60
	longestRuleText = 2000
)

// lintNew finds what is asked of an edition when it is brought. An edition that was
// published before somebody asked it still decides: ParsePack does not look here.
func (p *Pack) lintNew(file string) (out []PackError) {
	bad := func(rule, format string, args ...any) {
		out = append(out, PackError{File: file, Rule: rule, Line: p.lines[rule], Err: fmt.Errorf(format, args...)})
	}
	if !p.group() && !placeExists(p.Code) {
		bad("", "code %q names no country and no part of one (ISO 3166)", p.Code)
	}
	for _, m := range p.Members {
		if !placeExists(m) {
			bad("", "member %q names no country and no part of one (ISO 3166)", m)
		}
	}
	text := func(rule, what, s string, longest int) {
		switch {
		case utf8.RuneCountInString(s) > longest:
			bad(rule, "%s is longer than %d characters", what, longest)
		case strings.ContainsFunc(s, func(c rune) bool { return unicode.IsControl(c) && c != '\n' && c != '\t' }):
			bad(rule, "%s has control characters", what)
		}
	}
	text("", "name", p.Name, longestPackName)
	text("", "version", p.Version, longestVersion)
	if strings.ContainsAny(p.Version, " \t\n") {
		bad("", "version %q has spaces", p.Version)
	}
	for _, id := range slices.Sorted(maps.Keys(p.Citations)) {
		c := p.Citations[id]
		if strings.TrimSpace(c.Title) == "" {
			bad("", "citation %q has no title", id)
		}
		text("", "title of citation "+id, c.Title, longestRuleText)
		if !pageAddress(c.URL) {
			bad("", "citation %q: %q is not the address of a page", id, c.URL)
		}
		if c.Read != "" {
			if day, err := time.Parse(time.DateOnly, c.Read); err != nil || !sane(day) {
				bad("", "citation %q: read on %q, which is no date", id, c.Read)
			}
		}
	}
	for i := range p.Rules {
		r := &p.Rules[i]
		text(r.ID, "text", r.Text, longestRuleText)
		f, t := r.Effective.From, r.Effective.To
		switch {
		case !f.sane() || !t.sane():
			bad(r.ID, "effective in a year that is not from %d to %d", firstYear, lastYear)
		case !f.before(t):
			bad(r.ID, "effective until %s, before it begins on %s", t, f)
		}
	}
	return out
}

// pageAddress tells whether a citation's address can be looked up; "" is none, and a
// file of a public repository stands as "github:owner/name path".
func pageAddress(s string) bool {
	if s == "" || strings.HasPrefix(s, "github:") {
		return true
	}
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}
