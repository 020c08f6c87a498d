// Package i18n says every text a person reads in that person's language: the
// catalogues active.<area>.<tag>.json, typed message ids, plurals, dates in the
// reader's zone and the names of languages and places.
//
// English is the source. A message has a description for the translator. Each area
// (core, case, booking, room, officer and others) has its ids in ids_<area>.go. Every
// id stands in every language offered, with the same variables and all plural forms of
// the language; tests keep it so. Should one be missing all the same, the source's
// words stand in for it.
//
// Another language is a line in [Languages], its catalogues, its dates (date.go), its
// numbers (number.go) and its plural forms (catalogue_test.go); the texts of consents
// stand with the cases (sessions/workspace/texts).
package i18n
