// Package i18n says every text a person reads in that person's language: the
// catalogues active.<area>.<tag>.json, typed message ids, plurals, dates in the
// reader's zone and the names of languages and places.
//
// English is the source. A message has a description for the translator. Areas are
// core, case, booking, room and officer; each has its ids in ids_<area>.go. Every id
// stands in every complete language, with the same variables; tests keep it so.
package i18n
