package e2e

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/conductorone/baton-connectors/internal/fixture"
)

// The memory that a binary's packages may allocate before main begins. It
// stands for the time of a start, which depends more on the machine than on the
// binary. Nearly all of it is the SDK's, so a binary that exceeds its budget
// has a new dependency. Raise a budget only if that was meant.
const (
	startupAllocations = 14_500
	startupBytes       = 2_700_000
)

// TestStartUpDoesNotGrow checks the commands that only print, which scripts and
// probes call often.
func TestStartUpDoesNotGrow(t *testing.T) {
	t.Parallel()
	for _, name := range fixture.Connectors(t) {
		for _, arg := range []string{"--help", "capabilities"} {
			t.Run(name+" "+arg, func(t *testing.T) {
				t.Parallel()
				p := start(t, fixture.Binary(t, name), []string{"GODEBUG=inittrace=1"}, arg)
				if code := p.wait(); code != 0 {
					t.Fatalf("exit code %d", code)
				}
				bytes, allocations, packages := 0, 0, 0
				for _, m := range regexp.MustCompile(`(?m)^init .* (\d+) bytes, (\d+) allocs$`).FindAllStringSubmatch(p.stderr.String(), -1) {
					b, _ := strconv.Atoi(m[1])
					a, _ := strconv.Atoi(m[2])
					bytes, allocations, packages = bytes+b, allocations+a, packages+1
				}
				if packages < 100 {
					t.Fatalf("%d packages are told of:\n%s", packages, strings.TrimSpace(p.stderr.String()))
				}
				t.Logf("%d packages, %d allocations, %d bytes", packages, allocations, bytes)
				if allocations > startupAllocations || bytes > startupBytes {
					t.Errorf("%d allocations and %d bytes, above the budget of %d and %d", allocations, bytes, startupAllocations, startupBytes)
				}
			})
		}
	}
}
