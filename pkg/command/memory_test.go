package command

import (
	"math"
	"runtime/debug"
	"testing"
)

// A compose file or a unit may set a variable to nothing.
func TestAnEmptyMemoryLimitIsNone(t *testing.T) {
	before := debug.SetMemoryLimit(math.MaxInt64)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	t.Setenv("GOMEMLIMIT", "")
	limitMemory()
	if limit := debug.SetMemoryLimit(-1); limit > softLimit {
		t.Errorf("the limit is %d bytes, above the soft limit", limit)
	}
}
