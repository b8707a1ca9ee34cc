package command

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

const errSharingViolation = syscall.Errno(32)

// acquire opens or makes the named file in dir and locks it. Closing the file, or
// the end of the process, releases the lock. It fails with errLocked if the file
// is open already, in this process or another.
func acquire(dir *os.Root, name string) (*os.File, error) {
	path := filepath.Join(dir.Name(), name)
	wide, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	handle, err := syscall.CreateFile(wide, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, errSharingViolation) {
		return nil, errLocked
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(handle), path), nil
}
