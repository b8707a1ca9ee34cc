package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// watched is the time between two looks at a process. What a process uses
// between the last look and its end is missed.
const watched = 20 * time.Millisecond

// watch watches a process and its descendants until it ends. The result waits
// for the end and returns what they have used together.
func watch(root int) func() usage {
	done := make(chan struct{})
	var tree family
	go func() {
		defer close(done)
		tree.add(root)
		for tick := time.NewTicker(watched); ; {
			if !tree.look() {
				tick.Stop()
				return
			}
			<-tick.C
		}
	}()
	return func() usage {
		<-done
		return tree.total()
	}
}

// family is a process and its descendants.
type family struct {
	members []*relative
	known   map[int]bool
	looks   int
}

type relative struct {
	pid  int
	gone bool
	usage
}

func (f *family) add(pid int) {
	if f.known == nil {
		f.known = map[int]bool{}
	}
	f.known[pid] = true
	f.members = append(f.members, &relative{pid: pid})
}

// look updates all figures and reports whether the first process still runs.
func (f *family) look() bool {
	for _, m := range f.members {
		m.look()
	}
	// To find new processes, it must read the whole process table.
	if f.looks++; f.looks%16 == 1 {
		f.find()
	}
	return !f.members[0].gone
}

func (f *family) find() {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || f.known[pid] {
			continue
		}
		if fields := stat(pid); len(fields) > 1 {
			if parent, err := strconv.Atoi(fields[1]); err == nil && f.known[parent] {
				f.add(pid)
			}
		}
	}
}

func (m *relative) look() {
	if m.gone {
		return
	}
	fields := stat(m.pid)
	// A process that has ended but was not waited for has no memory any more.
	if len(fields) < 13 || fields[0] == "Z" {
		m.gone = true
		return
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 on Linux
	if ticks, err := strconv.Atoi(fields[11]); err == nil {
		m.cpu = time.Duration(ticks) * tick
	}
	status, _ := os.ReadFile(proc(m.pid, "status")) // the next look finds that it is gone
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, "VmHWM:"); found {
			kb, _, _ := strings.Cut(strings.TrimSpace(value), " ")
			if n, err := strconv.Atoi(kb); err == nil {
				m.peak = max(m.peak, float64(n)*1024/1e6)
			}
		}
	}
}

// stat returns /proc/PID/stat from the state on: state, parent, …, user time as
// the twelfth.
func stat(pid int) []string {
	text, err := os.ReadFile(proc(pid, "stat"))
	if err != nil {
		return nil
	}
	_, rest, _ := bytes.Cut(text, []byte(") "))
	return strings.Fields(string(rest))
}

func proc(pid int, name string) string {
	return filepath.Join("/proc", fmt.Sprint(pid), name)
}

func (f *family) total() usage {
	var sum usage
	for _, m := range f.members {
		sum.cpu += m.cpu
		sum.peak += m.peak
	}
	return sum
}
