package command

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

const errSharingViolation = syscall.Errno(32)

// acquire opens the file of that name in dir, or makes it, and shares it with
// nobody until it is closed. It fails with errLocked while another process, or
// this one, has it open.
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
