//go:build unix

package command

import (
	"errors"
	"os"
	"syscall"
)

// acquire opens or makes the named file in dir and locks it. Closing the file, or
// the end of the process, releases the lock.
//
// It fails with errLocked if the file is locked already, by this process or
// another. It fails with errForeign unless the file is a plain one that only this
// user may use: in a shared directory, anybody may have made it.
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

// lock locks an open file. It returns again if the name now stands for another
// file or none: the last holder may have removed the file before it was locked.
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
