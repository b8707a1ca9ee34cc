//go:build unix

package command

import (
	"errors"
	"os"
	"syscall"
)

// acquire opens the file at path, making it if need be, and holds an
// exclusive lock on it for as long as the file is open. The operating system
// lets go of the lock when the process ends, however it ends. It returns
// errLocked where another process, or this one, holds the lock. It follows no
// link: in a shared directory anybody may have put one there.
func acquire(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600) //nolint:gosec // the caller's path
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			_ = f.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, errLocked
			}
			return nil, err
		}
		// Between opening and locking its last holder may have removed it.
		held, err := f.Stat()
		if err == nil {
			if there, statErr := os.Lstat(path); statErr == nil && os.SameFile(held, there) {
				return f, nil
			}
		}
		_ = f.Close()
	}
}
