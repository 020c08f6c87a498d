//go:build !promise

package scheduling

// contentionRounds is short here; make test-long runs what the design asks for.
const contentionRounds = 12
