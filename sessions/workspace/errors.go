package workspace

import (
	"errors"
)

var (
	// ErrNotFound means that there is no such case, or none the actor may know of.
	ErrNotFound = errors.New("workspace: not found")
	// ErrVersion means that the case or draft changed since it was read.
	ErrVersion = errors.New("workspace: changed since it was read")
	// ErrConflict means that the database refuses what the code let through; it is
	// logged as a fault, and nothing was written.
	ErrConflict = errors.New("workspace: refused by the database")
)

// ErrNoScanner means that no malware scanner is there to release a file.
var ErrNoScanner = errors.New("workspace: no scanner to release files")

var (
	// ErrMalware means that the scanner found something in a file.
	ErrMalware = errors.New("workspace: the scanner refuses the file")
	// ErrTooMany means that somebody adds files faster than people do.
	ErrTooMany = errors.New("workspace: too many files in a minute")
)
