// Package localpg runs a private PostgreSQL cluster as a child of this process, so
// that `consilium demo`, `consilium serve` without DATABASE_URL and the tests need
// no database set up beforehand. It finds installed server binaries (15 or newer),
// initializes a directory of its own, listens on a unix socket only, creates the
// owner and application roles, watches the server and stops it in order.
//
// It never runs the server as root, never touches a directory that is not its own,
// and never removes anything from a data directory.
package localpg
