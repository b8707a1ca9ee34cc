//go:build unix

package command

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// acquire opens or makes the named file in dir and locks it. Closing the file,
// or the end of the process, releases the lock.
//
// It fails with errLocked if the file is locked already, by this process or
// another. It fails with errForeign, and neither opens nor locks anything,
// unless the name stands for a plain file that only this user may use: in a
// shared directory, any user may have made it.
func acquire(dir *os.Root, name string) (*os.File, error) {
	for {
		f, err := dir.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			if f, err = openPrivate(dir, name); errors.Is(err, fs.ErrNotExist) {
				continue
			}
		}
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

// openPrivate opens a plain file that only this user may use. It fails with
// fs.ErrNotExist if there is none, also if it goes meanwhile.
func openPrivate(dir *os.Root, name string) (*os.File, error) {
	there, err := dir.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !there.Mode().IsRegular() || !ownedByUs(there) || !isPrivate(there) {
		return nil, errForeign
	}
	f, err := dir.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if held, err := f.Stat(); err != nil || !os.SameFile(held, there) {
		_ = f.Close()
		return nil, fs.ErrNotExist
	}
	return f, nil
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
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return err == nil && !os.SameFile(held, there), err
}
