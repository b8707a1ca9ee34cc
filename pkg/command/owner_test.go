//go:build unix

package command

import (
	"os"
	"syscall"
	"testing"
)

// After a replacement the same users can read the file, and no others.
func TestAReplacedFileKeepsOwnerGroupAndMode(t *testing.T) {
	t.Parallel()
	run := invoke(t, newVendor(t)).exits(0)
	user, group := os.Getuid(), os.Getgid()
	if user == 0 {
		user, group = 12345, 23456
	} else {
		t.Log("without root's rights, no file can get another owner: only the mode shows something")
	}
	if err := os.Chown(run.file, user, group); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(run.file, 0o664); err != nil { //nolint:gosec // a mode that a user may have chosen
		t.Fatal(err)
	}
	run.again().exits(0)
	info, err := os.Stat(run.file)
	if err != nil {
		t.Fatal(err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) != user || int(stat.Gid) != group || info.Mode().Perm() != 0o664 {
		t.Errorf("the file belongs to %d:%d and has the mode %o, want %d:%d and 664", stat.Uid, stat.Gid, info.Mode().Perm(), user, group)
	}
}
