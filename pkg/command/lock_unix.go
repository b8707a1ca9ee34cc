//go:build unix

package command

import (
	"errors"
	"os"
	"syscall"
)

// acquire opens the file of that name in dir, or makes it, and locks it. The
// lock ends when the file is closed, at the latest when the process ends.
//
// It fails with errLocked while another process, or this one, holds the lock,
// and with errForeign for anything but a plain file that only this user may
// use: in a shared directory anybody may have put it there.
func acquire(dir *os.Root, name string) (*os.File, error) {
	for {
		f, err := dir.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		again, err := lock(f, dir, name)
		if err == nil && !again {
			return f, nil
		}
		_ = f.Close()
		if err != nil {
			return nil, err
		}
	}
}

// lock locks an open file. It reports true if the file has lost its name
// meanwhile: between opening and locking, its last holder may have removed it.
func lock(f *os.File, dir *os.Root, name string) (again bool, err error) {
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return false, errLocked
	case err != nil:
		return false, err
	}
	held, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := dir.Lstat(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return true, nil
	case err != nil:
		return false, err
	case !there.Mode().IsRegular() || !ownedByUs(held) || !isPrivate(held):
		return false, errForeign
	}
	return !os.SameFile(held, there), nil
}
