package command

import (
	"context"
	"time"

	"github.com/shirou/gopsutil/v4/disk"
)

const (
	// minSpace is how many bytes the work directory's file system must have
	// free. The SDK's store (Pebble, baton-sdk v0.26.0) crashes or never ends
	// when it meets a full disk, so a sync ends before that. It is more than
	// the store writes between two looks. The store reserves space for its log
	// ahead, in steps of 70 MB, which counts as used.
	minSpace = 16 << 20
	// spaceEvery is how often the free space is looked at.
	spaceEvery = 5 * time.Millisecond
)

// watchSpace returns a channel that is closed when dir's file system has less
// than minSpace left. It stops with the context.
func watchSpace(ctx context.Context, dir string) <-chan struct{} {
	return watch(ctx, func() (uint64, error) {
		usage, err := disk.UsageWithContext(ctx, dir)
		if err != nil {
			return 0, err
		}
		return usage.Free, nil
	})
}

func watch(ctx context.Context, free func() (uint64, error)) <-chan struct{} {
	full := make(chan struct{})
	go func() {
		ticker := time.NewTicker(spaceEvery)
		defer ticker.Stop()
		for {
			if bytes, err := free(); err == nil && bytes < minSpace {
				close(full)
				return
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return full
}
