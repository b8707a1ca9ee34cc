package directory

import "errors"

// errCycle is the error of a walk that came back to an earlier position.
var errCycle = errors.New("the list repeats itself")

// CycleDetector finds out that a walk repeats itself, with Brent's algorithm:
// it remembers one position and replaces it after every power of two of steps.
// A walk that enters a cycle of n positions fails within 3n further steps. The
// zero value is ready for a new walk. The fields are exported so that a cursor
// can carry them.
type CycleDetector struct {
	// Steps counts the positions seen.
	Steps uint64 `json:"n,omitempty"`
	// Mark is the fingerprint of the remembered position.
	Mark uint64 `json:"m,omitempty"`
}

// Step records a position, given as any text that identifies it. It fails with
// errCycle if the position is the remembered one.
func (c *CycleDetector) Step(position string) error {
	h := Fingerprint(position)
	if c.Steps > 0 && h == c.Mark {
		return errCycle
	}
	c.Steps++
	if c.Steps&(c.Steps-1) == 0 {
		c.Mark = h
	}
	return nil
}
