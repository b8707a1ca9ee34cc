package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Run holds the figures of one sync.
type Run struct {
	// Wall is the time in seconds from start to exit. CPU is user time in
	// seconds.
	Wall float64 `json:"wall_s"`
	CPU  float64 `json:"user_cpu_s"`
	// PeakMB is the peak of resident memory, or 0 if it cannot be read. For a
	// run with several processes, CPU and PeakMB are sums.
	PeakMB   float64 `json:"peak_mb"`
	Requests int     `json:"requests"`
	FileMB   float64 `json:"file_mb"`
}

// command is a connector to run.
type command struct {
	path string
	args []string
	env  []string
}

// sync runs a connector once, into file, and watches it.
func (c command) sync(ctx context.Context, dir, file string) (Run, error) {
	home, err := os.MkdirTemp(dir, "run-")
	if err != nil {
		return Run{}, err
	}
	defer os.RemoveAll(home) //nolint:errcheck // within the benchmark's own directory
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, c.path, append(c.args, "--file", file)...)
	cmd.Dir = home
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home}, c.env...)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return Run{}, err
	}
	seen := watch(cmd.Process.Pid)
	err = cmd.Wait()
	run := Run{Wall: time.Since(start).Seconds()}
	used := seen()
	run.CPU, run.PeakMB = used.cpu.Seconds(), used.peak
	if err != nil {
		lines := strings.Split(strings.TrimSpace(said.String()), "\n")
		return Run{}, fmt.Errorf("%s: %w: %s", filepath.Base(c.path), err, lines[len(lines)-1])
	}
	info, err := os.Stat(file)
	if err != nil {
		return Run{}, err
	}
	run.FileMB = float64(info.Size()) / 1e6
	return run, nil
}

// usage holds the resources that a run has used.
type usage struct {
	cpu  time.Duration
	peak float64 // MB
}
