package directory

import (
	"errors"
	"hash/fnv"
)

// errCycle says that a walk came back to a place where it had been.
var errCycle = errors.New("the list repeats itself")

// Trail notices, with two numbers of memory, that a walk goes round in a
// circle of any length (Brent's algorithm): it remembers one place and moves
// that memory ahead at every power of two. A walk that enters a circle of n
// places is stopped within 3n further steps. The zero value is a new walk;
// the fields are exported so that a cursor can carry them.
type Trail struct {
	// Steps counts the places seen.
	Steps uint64 `json:"n,omitempty"`
	// Mark is the remembered place.
	Mark uint64 `json:"m,omitempty"`
}

// Step records that the walk has reached place, any text that identifies it,
// and fails with errCycle if it is the remembered one.
func (t *Trail) Step(place string) error {
	h := Fingerprint(place)
	if t.Steps > 0 && h == t.Mark {
		return errCycle
	}
	t.Steps++
	if t.Steps&(t.Steps-1) == 0 {
		t.Mark = h
	}
	return nil
}

// Fingerprint is a 64-bit hash of text (FNV-1a), the same in every process.
func Fingerprint(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	return h.Sum64()
}
