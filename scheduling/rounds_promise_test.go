//go:build promise

package scheduling

// contentionRounds are as many as it takes: short runs hide deadlocks (design section 16).
const contentionRounds = 300
