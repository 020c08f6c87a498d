package web

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// pageOf is the part of a list of n rows that the address asks for by a parameter: the
// number of the page, from 1. What is no page is the first, what is beyond the end the
// last.
func pageOf(l *i18n.Localizer, r *http.Request, parameter string, n, rows int) pages.PageOf {
	last := max(1, (n+rows-1)/rows)
	at, err := strconv.Atoi(r.URL.Query().Get(parameter))
	if err != nil {
		at = 1
	}
	at = min(max(at, 1), last)
	p := pages.PageOf{From: (at - 1) * rows, To: min(at*rows, n)}
	if last == 1 {
		return p
	}
	to := func(page int) string {
		q := url.Values{}
		for k, v := range r.URL.Query() {
			q[k] = v
		}
		q.Set(parameter, strconv.Itoa(page))
		return r.URL.Path + "?" + q.Encode()
	}
	p.Text = l.T(i18n.DeskPageOf, i18n.V{"From": strconv.Itoa(p.From + 1), "To": strconv.Itoa(p.To), "All": strconv.Itoa(n)})
	if at > 1 {
		p.Before = to(at - 1)
	}
	if at < last {
		p.After = to(at + 1)
	}
	return p
}
