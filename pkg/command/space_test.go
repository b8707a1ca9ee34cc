package command

import (
	"context"
	"errors"
	"testing"
)

// The SDK's store spins for ever on a full disk.
func TestAFullDiskIsSeenInTime(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	free := make(chan uint64)
	full := watch(ctx, func() (uint64, error) {
		if n := <-free; n > 0 {
			return n, nil
		}
		return 0, errors.New("the file system does not say")
	})
	for _, n := range []uint64{1 << 40, minSpace, 0} {
		free <- n
		select {
		case <-full:
			t.Fatalf("%d bytes are taken for a full disk", n)
		default:
		}
	}
	free <- minSpace - 1
	<-full
}
