package command

import "os"

// endedWith is a process's exit code.
func endedWith(state *os.ProcessState) int { return state.ExitCode() }
