//go:build unix

package command

import (
	"os"
	"syscall"
)

// endedWith is a process's exit code as a shell reports it: 128 and the
// signal's number where a signal ended it.
func endedWith(state *os.ProcessState) int {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return state.ExitCode()
}
