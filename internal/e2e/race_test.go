//go:build race

package e2e

// underRace says that the race detector is on, which makes everything some
// five to ten times slower.
const underRace = true
