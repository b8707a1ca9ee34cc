//go:build !race

package wholesync

const underRace = false
