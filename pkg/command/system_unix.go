//go:build unix

package command

import (
	"io/fs"
	"os"
	"os/signal"
	"syscall"
)

// tempEnv names the variables that os.TempDir reads.
var tempEnv = []string{"TMPDIR"}

// endSignals are the signals that end a one-shot sync, without those that the
// process was started to ignore (nohup, a background job).
func endSignals() []os.Signal {
	var signals []os.Signal
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		if !signal.Ignored(s) {
			signals = append(signals, s)
		}
	}
	return signals
}

// ignoreBrokenPipes makes a write to a closed stdout or stderr fail, instead of
// ending the process.
func ignoreBrokenPipes() { signal.Ignore(syscall.SIGPIPE) }

// fullErrors are the errors of a full file system.
var fullErrors = []error{syscall.ENOSPC, syscall.EDQUOT}

// adopt gives a file the mode and, if owner is not nil, the owner and group of
// the file that it replaces. If the system does not allow that, only the
// file's owner may read it.
func adopt(f *os.File, mode os.FileMode, owner fs.FileInfo) error {
	if owner != nil {
		stat, ok := owner.Sys().(*syscall.Stat_t)
		if ok && f.Chown(int(stat.Uid), int(stat.Gid)) != nil {
			mode = 0o600
		}
	}
	return f.Chmod(mode)
}

// ownedByUs reports whether a file belongs to this process's user.
func ownedByUs(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}

// syncFile writes a file, or the entries of a directory, to disk.
func syncFile(path string) error {
	f, err := os.Open(path) //nolint:gosec // our own file or its directory
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // read only
	return f.Sync()
}

// renameOpen renames an open file within dir, and closes it.
func renameOpen(f *os.File, dir *os.Root, from, to string) error {
	defer f.Close() //nolint:errcheck // synced before
	return dir.Rename(from, to)
}

// isPrivate reports whether only its owner may use a file or directory. Those that a
// run makes have the modes 0600 and 0700; some file systems show others.
func isPrivate(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 == 0 }
