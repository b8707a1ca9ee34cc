package command

import (
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// tempEnv names the variables that os.TempDir reads.
var tempEnv = []string{"TMP", "TEMP"}

// endSignals are the signals that end a one-shot sync.
func endSignals() []os.Signal { return []os.Signal{os.Interrupt} }

// ignoreBrokenPipes does nothing: a write to a closed pipe only fails here.
func ignoreBrokenPipes() {}

// fullErrors are the errors of a full file system.
var fullErrors = []error{windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL}

// adopt does nothing: a file has the permissions of its directory.
func adopt(*os.File, os.FileMode, fs.FileInfo) error { return nil }

// ownedByUs reports whether a file belongs to this process's user. The directory's
// permissions decide that here.
func ownedByUs(fs.FileInfo) bool { return true }

// syncFile does nothing: Windows flushes a file when it is renamed, and a
// directory cannot be opened for it.
func syncFile(string) error { return nil }

// renameOpen renames an open file within dir. It must be closed first.
func renameOpen(f *os.File, dir *os.Root, from, to string) error {
	if err := f.Close(); err != nil {
		return err
	}
	return dir.Rename(from, to)
}

// isPrivate reports whether only its owner may use a file or directory. The
// directory's permissions decide that here.
func isPrivate(fs.FileInfo) bool { return true }
