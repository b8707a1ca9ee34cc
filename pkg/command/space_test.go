package command

import (
	"context"
	"errors"
	"net/http"
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

// A run must watch the directory that it writes to, and end when that is full,
// whatever the vendor does.
func TestARunEndsWhenTheDiskOfItsWorkDirectoryIsFull(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	run := invoke(t, v).exits(0)
	before := run.runs()
	v.at("/groups", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }) // until the connector is gone
	run.again().env(testFullDir+"="+run.tmp, "BATON_HTTP_TIMEOUT_SECONDS=1", "BATON_OUTAGE_SECONDS=1").exits(8).says("no space left for temporary files in "+run.tmp, "BATON_TMPDIR").leaves("sync.c1z")
	if now := run.runs(); now[0].id != before[0].id {
		t.Error("the file was replaced")
	}
	v.at("", nil)
	run.again().env(testFullDir + "=" + run.dir).exits(0) // another disk
}
