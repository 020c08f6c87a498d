// Package sessions holds the meeting: the Session, its lobby, its language
// channels and the Media interface through which it reaches a media engine.
package sessions
