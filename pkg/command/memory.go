package command

import (
	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	// softLimit is the Go runtime's soft memory limit: the heap is collected
	// more often above it. Without it a sync of 1,000,000 memberships takes a
	// third more memory.
	softLimit = 400 << 20
	// containerShare is how much of a container's memory the soft limit may be.
	containerShare = 0.8
)

// limitMemory sets the soft memory limit, less in a small container. It leaves
// a GOMEMLIMIT of the user's alone.
func limitMemory() {
	provider := func() (uint64, error) {
		if limit, err := memlimit.FromCgroup(); err == nil {
			return min(softLimit, uint64(float64(limit)*containerShare)), nil
		}
		return softLimit, nil
	}
	// Without a limit the connector works as well.
	_, _ = memlimit.SetGoMemLimitWithOpts(memlimit.WithRatio(1), memlimit.WithProvider(provider))
}
