package pages

import (
	"strings"

	"github.com/consilium-health/consilium/web/i18n"
)

// Layout is what every page has: the reader's language and zone, who is signed in,
// the navigation. Page structs embed it, so that a component says p.T(i18n.X).
type Layout struct {
	*i18n.Localizer
	Title    string  // of the document and of the h1
	Crumbs   []Crumb // where the page stands, above the h1
	Path     string  // of this page; forms that change the language come back to it
	Nav      []NavItem
	Person   string // name of who is signed in; "" if nobody
	Role     string // shown under the name
	Guest    bool   // came by a link: no navigation
	Demo     bool
	Flash    *Flash
	Asset    func(name string) string // address of a static file, with its hash
	Scripts  []string                 // entries of web/static/dist, such as "app.js"
	NoBundle bool                     // built without scripts
	Styles   []string                 // sheets beside app.css, such as "room.css"
	// Wide pages (the room) bring their own header and take the whole window.
	Wide bool
}

// NavItem is one entry of the main navigation.
type NavItem struct {
	Href    string
	Label   string
	Icon    string
	Current bool
}

// Crumb is one step of the way to a page.
type Crumb struct {
	Href  string
	Label string
}

// Level is how a notice is shown; each level has its word and its color.
type Level string

// The levels.
const (
	LevelOK   Level = "ok"
	LevelWarn Level = "warn"
	LevelBad  Level = "bad"
	LevelInfo Level = "info"
)

// Flash is what the last command says on the page after it.
type Flash struct {
	Level Level
	Text  string
}

// Initials are at most two letters that stand for a person in a list.
func Initials(name string) string {
	var out []rune
	for _, w := range strings.Fields(name) {
		if strings.HasSuffix(w, ".") || titles[w] {
			continue
		}
		out = append(out, []rune(w)[0])
	}
	if len(out) > 2 {
		out = []rune{out[0], out[len(out)-1]}
	}
	return string(out)
}

var titles = map[string]bool{"Dr": true, "Prof": true, "Mr": true, "Mrs": true, "Ms": true}
