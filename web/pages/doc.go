// Package pages holds the templ components: the layout, form fields and one file a
// page. A page is a component over its own struct, which embeds [Layout]; it
// formats and decides nothing. Handlers in package web fill the structs.
package pages

//go:generate go tool templ generate -path ..
