package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Results holds all figures of a run of this program, in the form that is
// stored.
type Results struct {
	Machine  Machine    `json:"machine"`
	Rounds   int        `json:"rounds"`
	Binaries []Binary   `json:"binaries"`
	Cases    []Measured `json:"cases"`
}

// Machine describes the machine and the versions that were measured.
type Machine struct {
	System   string  `json:"system"`
	CPU      string  `json:"cpu"`
	Cores    int     `json:"cores"`
	MemoryGB float64 `json:"memory_gb"`
	Go       string  `json:"go"`
	Revision string  `json:"revision"`
}

// Binary is a released binary. Times are in seconds.
type Binary struct {
	Name         string  `json:"name"`
	MB           float64 `json:"mb"`
	Help         float64 `json:"help_s"`
	Capabilities float64 `json:"capabilities_s"`
}

// Measured is one directory at one vendor.
type Measured struct {
	Case        string           `json:"case"`
	What        string           `json:"what"`
	Vendor      string           `json:"vendor"`
	LatencyMS   float64          `json:"latency_ms"`
	Users       int              `json:"users"`
	Groups      int              `json:"groups"`
	Memberships int              `json:"memberships"`
	Fewest      int              `json:"fewest_requests"`
	Runs        map[string][]Run `json:"runs"`
}

// median returns the median of a figure over the rounds of one variant.
func (m *Measured) median(variant string, figure func(Run) float64) float64 {
	var values []float64
	for _, run := range m.Runs[variant] {
		values = append(values, figure(run))
	}
	return median(values)
}

// ratio returns the median ratio of one variant's figure to another's, round by
// round, so that a machine that slows down changes nothing.
func (m *Measured) ratio(variant, to string, figure func(Run) float64) float64 {
	var values []float64
	for i := range min(len(m.Runs[variant]), len(m.Runs[to])) {
		if below := figure(m.Runs[to][i]); below > 0 {
			values = append(values, figure(m.Runs[variant][i])/below)
		}
	}
	return median(values)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	values = slices.Sorted(slices.Values(values))
	mid := len(values) / 2
	if len(values)%2 == 1 {
		return values[mid]
	}
	return (values[mid-1] + values[mid]) / 2
}

func loadResults(path string) (*Results, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &Results{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

func (r *Results) save(path string) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

func thisMachine(ctx context.Context) Machine {
	m := Machine{System: runtime.GOOS + "/" + runtime.GOARCH, CPU: "unknown", Cores: runtime.NumCPU(), Go: runtime.Version()}
	if out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output(); err == nil {
		m.Revision = strings.TrimSpace(string(out))
	}
	m.CPU = procValue("/proc/cpuinfo", "model name", m.CPU)
	if kb, err := strconv.Atoi(strings.TrimSuffix(procValue("/proc/meminfo", "MemTotal", ""), " kB")); err == nil {
		m.MemoryGB = float64(kb) * 1024 / 1e9
	}
	return m
}

// procValue returns the value of a key in a file of "key: value" lines.
func procValue(path, key, otherwise string) string {
	text, _ := os.ReadFile(path) // missing except on Linux
	for line := range strings.Lines(string(text)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return otherwise
}
