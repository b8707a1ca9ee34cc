package command

import (
	"strconv"
	"testing"
)

// On a full disk the SDK's store crashes or tries again for ever.
func TestAFullDiskOfTheWorkDirectoryEndsTheRun(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	run := invoke(t, v).exits(0)
	before := run.runs()
	for _, writes := range []int{0, 1, 5, 10, 20, 40} {
		run.again().env(testFullAfter+"="+strconv.Itoa(writes)).exits(8).says("no space left for temporary files in "+run.tmp, "BATON_TMPDIR").leaves("sync.c1z")
		if now := run.runs(); now[0].id != before[0].id {
			t.Errorf("a disk that is full after %d writes: the file was replaced", writes)
		}
	}
	run.again().env(testFullAfter + "=10000").exits(0)
}
