package command

import (
	"context"
	"time"

	"github.com/shirou/gopsutil/v4/disk"
)

const (
	// minSpace is how many bytes must be free in the file system of the work
	// directory. On a full disk the SDK's store (Pebble, baton-sdk v0.26.0)
	// crashes or never ends, so a sync ends before that. The store writes less
	// than this between two checks. It reserves space for its log in steps of
	// 70 MB, which counts as used.
	minSpace = 16 << 20
	// spaceEvery is the time between two checks.
	spaceEvery = 5 * time.Millisecond
)

// watchSpace returns a channel that is closed when dir's file system has less
// than minSpace left. It stops with the context.
func watchSpace(ctx context.Context, dir string) <-chan struct{} {
	return watch(ctx, func() (uint64, error) { return freeSpace(ctx, dir) })
}

// freeSpace returns the free bytes of a directory's file system. Tests set it.
var freeSpace = func(ctx context.Context, dir string) (uint64, error) {
	usage, err := disk.UsageWithContext(ctx, dir)
	if err != nil {
		return 0, err
	}
	return usage.Free, nil
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
