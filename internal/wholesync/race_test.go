//go:build race

package wholesync

// underRace says that the race detector is on, which makes everything some
// five to ten times slower.
const underRace = true
