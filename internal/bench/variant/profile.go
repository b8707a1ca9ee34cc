package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

// quiet is the time without a call after which the profiler writes the
// profiles. The SDK kills the connector without notice when the sync is done,
// so the end is a guess. A wrong guess adds a pair of files, which pprof reads
// together.
const quiet = 150 * time.Millisecond

// profiler writes cpu-N.pprof, for the time from a first call to a last one,
// and allocs-N.pprof.
type profiler struct {
	dir string

	mu     sync.Mutex
	n      int
	file   *os.File
	timer  *time.Timer
	active int
}

// profiled wraps a source in a profiler and keeps what the source can do.
func profiled(source directory.Source, dir string) directory.Source {
	p := &profiler{dir: dir}
	watched := watchedSource{source, p}
	if many, ok := source.(directory.Memberships); ok {
		return &watchedMemberships{watched, many}
	}
	return &watched
}

// call records the start of a call and returns a function that records its end.
func (p *profiler) call() func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.active++
	if p.timer != nil {
		p.timer.Stop()
	}
	if p.file == nil {
		p.n++
		file, err := os.Create(filepath.Join(p.dir, fmt.Sprintf("cpu-%d.pprof", p.n)))
		if err == nil {
			err = pprof.StartCPUProfile(file)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "no profile:", err)
		}
		p.file = file
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.active--; p.active == 0 {
			p.timer = time.AfterFunc(quiet, p.write)
		}
	}
}

func (p *profiler) write() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.active > 0 || p.file == nil {
		return
	}
	pprof.StopCPUProfile()
	err := p.file.Close()
	p.file = nil
	heap, created := os.Create(filepath.Join(p.dir, fmt.Sprintf("allocs-%d.pprof", p.n)))
	if err == nil {
		err = created
	}
	if err == nil {
		err = errors.Join(pprof.Lookup("allocs").WriteTo(heap, 0), heap.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "no profile:", err)
	}
}

type watchedSource struct {
	directory.Source
	*profiler
}

func (s *watchedSource) Users(ctx context.Context, cursor string) (directory.Page[directory.User], error) {
	defer s.call()()
	return s.Source.Users(ctx, cursor)
}

func (s *watchedSource) Groups(ctx context.Context, cursor string) (directory.Page[directory.Group], error) {
	defer s.call()()
	return s.Source.Groups(ctx, cursor)
}

func (s *watchedSource) Members(ctx context.Context, groupID, cursor string) (directory.Page[directory.Member], error) {
	defer s.call()()
	return s.Source.Members(ctx, groupID, cursor)
}

type watchedMemberships struct {
	watchedSource
	many directory.Memberships
}

func (s *watchedMemberships) Memberships(ctx context.Context, cursor string) (directory.Page[directory.Membership], error) {
	defer s.call()()
	return s.many.Memberships(ctx, cursor)
}
