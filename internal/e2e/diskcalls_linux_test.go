package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// diskCall is a system call of a watched process that names a file or directory.
type diskCall struct {
	// kind is open, write, truncate, sync, rename, remove, mode or owner.
	kind string
	// path is the file's path, and to the new path of a rename. Both are relative to
	// the watched directory.
	path, to string
	// n counts the calls of this kind so far, including this one. nth counts those
	// on files with the same name, apart from numbers in it.
	n, nth int
}

var numbers = regexp.MustCompile(`[0-9]+`)

// String says what kind of call it is and what kind of file it is about.
func (c diskCall) String() string {
	text := c.kind + " " + c.path
	if c.to != "" {
		text += " to " + c.to
	}
	return numbers.ReplaceAllString(text, "N")
}

// argument says where a system call names its file.
type argument struct {
	kind string
	// dir and path are the numbers of the arguments with the directory's
	// descriptor and the path's address; path is -1 if dir is the file itself.
	dir, path int
	// toDir and to are those of a second path; to is 0 without one.
	toDir, to int
}

// diskCalls are the system calls with which Go opens, writes, syncs, renames and
// removes. Go uses no older ones.
var diskCalls = map[int]argument{
	unix.SYS_OPENAT:          {kind: "open", dir: 0, path: 1},
	unix.SYS_OPENAT2:         {kind: "open", dir: 0, path: 1},
	unix.SYS_WRITE:           {kind: "write", dir: 0, path: -1},
	unix.SYS_PWRITE64:        {kind: "write", dir: 0, path: -1},
	unix.SYS_WRITEV:          {kind: "write", dir: 0, path: -1},
	unix.SYS_PWRITEV:         {kind: "write", dir: 0, path: -1},
	unix.SYS_PWRITEV2:        {kind: "write", dir: 0, path: -1},
	unix.SYS_FALLOCATE:       {kind: "write", dir: 0, path: -1},
	unix.SYS_FTRUNCATE:       {kind: "truncate", dir: 0, path: -1},
	unix.SYS_SENDFILE:        {kind: "write", dir: 0, path: -1},
	unix.SYS_COPY_FILE_RANGE: {kind: "write", dir: 2, path: -1},
	unix.SYS_FSYNC:           {kind: "sync", dir: 0, path: -1},
	unix.SYS_FDATASYNC:       {kind: "sync", dir: 0, path: -1},
	unix.SYS_SYNC_FILE_RANGE: {kind: "sync", dir: 0, path: -1},
	unix.SYS_RENAMEAT:        {kind: "rename", dir: 0, path: 1, toDir: 2, to: 3},
	unix.SYS_RENAMEAT2:       {kind: "rename", dir: 0, path: 1, toDir: 2, to: 3},
	unix.SYS_LINKAT:          {kind: "rename", dir: 0, path: 1, toDir: 2, to: 3},
	unix.SYS_UNLINKAT:        {kind: "remove", dir: 0, path: 1},
	unix.SYS_MKDIRAT:         {kind: "open", dir: 0, path: 1},
	unix.SYS_FCHMOD:          {kind: "mode", dir: 0, path: -1},
	unix.SYS_FCHOWN:          {kind: "owner", dir: 0, path: -1},
}

// diskWatch decides about the disk calls of a process and its children below
// a directory, one at a time.
type diskWatch struct {
	t    testing.TB
	root string
	// fault returns the error that a call fails with; 0 lets the system carry it out.
	fault func(diskCall) unix.Errno

	mu    sync.Mutex
	calls []diskCall
	count map[string]int
	// failed tells of the calls that failed.
	failed []string
}

// soFar returns the calls so far, and those that failed.
func (w *diskWatch) soFar() (calls []diskCall, failed []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.calls), slices.Clone(w.failed)
}

// watchDisk has fault decide about each disk call of a prepared process below
// root. It runs the process, and waits for its end.
func watchDisk(t testing.TB, p *process, root string, fault func(diskCall) unix.Errno) *diskWatch {
	t.Helper()
	w := &diskWatch{t: t, root: root, fault: fault, count: map[string]int{}}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "socket")
	watched := exec.CommandContext(context.Background(), self, p.cmd.Args[1:]...)
	watched.Dir, watched.Stdout, watched.Stderr, watched.WaitDelay = p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr, p.cmd.WaitDelay
	watched.Env = append(slices.Clip(p.cmd.Env), launchEnv+"="+p.cmd.Path)
	watched.ExtraFiles = []*os.File{theirs}
	p.cmd = watched
	p.run()
	_ = theirs.Close()
	listener, err := receiveListener(pair[0])
	_ = unix.Close(pair[0])
	if err != nil {
		t.Fatalf("this kernel does not let a test decide about system calls (seccomp user notification): %v: %s", err, p.stderr.String())
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.serve(listener)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-done
		_ = unix.Close(listener)
	})
	return w
}

// receiveListener receives the descriptor of the filter.
func receiveListener(socket int) (int, error) {
	rights := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, make([]byte, 1), rights, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return 0, err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) != 1 {
		return 0, errors.Join(err, errors.New("the process sent no descriptor"))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return 0, err
	}
	return fds[0], nil
}

// launch is the main function of a watched process until it becomes the command
// that is watched. It puts a filter before its disk calls and sends its parent the
// descriptor by which the parent decides about them.
func launch(path string) {
	runtime.LockOSThread() // the filter is the thread's, which becomes the command
	err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	if err == nil {
		err = sendListener(3)
	}
	if err == nil {
		unix.CloseOnExec(3)
		env := os.Environ()
		for i, pair := range env {
			if strings.HasPrefix(pair, launchEnv+"=") {
				env = append(env[:i:i], env[i+1:]...)
				break
			}
		}
		err = unix.Exec(path, append([]string{path}, os.Args[1:]...), env)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// These are Linux's struct seccomp_data, seccomp_notif and seccomp_notif_resp.
type (
	seccompData struct {
		number  int32
		arch    uint32
		pointer uint64
		args    [6]uint64
	}
	seccompNotification struct {
		id    uint64
		pid   uint32
		flags uint32
		data  seccompData
	}
	seccompResponse struct {
		id    uint64
		value int64
		errno int32
		flags uint32
	}
)

// sendListener installs the filter for this thread, and sends its descriptor.
func sendListener(socket int) error {
	arch := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	load := func(offset uintptr) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: uint32(offset)} //nolint:gosec // small
	}
	end := func(action uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
	}
	// unless skips one statement where the loaded value is another.
	unless := func(value uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: value}
	}
	filter := []unix.SockFilter{
		load(unsafe.Offsetof(seccompData{}.arch)),
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: arch},
		end(unix.SECCOMP_RET_ALLOW),
		load(unsafe.Offsetof(seccompData{}.number)),
	}
	for number := range diskCalls {
		filter = append(filter, unless(uint32(number)), end(unix.SECCOMP_RET_USER_NOTIF)) //nolint:gosec // small
	}
	filter = append(filter, end(unix.SECCOMP_RET_ALLOW))
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}                                                                                         //nolint:gosec // small
	listener, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&program))) //nolint:gosec // as the kernel takes it
	if errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	return unix.Sendmsg(socket, []byte{0}, unix.UnixRights(int(listener)), nil, 0)
}

// serve decides about the calls until no process is left that makes any.
func (w *diskWatch) serve(listener int) {
	for {
		poll := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}} //nolint:gosec // a descriptor
		if _, err := unix.Poll(poll, -1); errors.Is(err, unix.EINTR) {
			continue
		}
		if poll[0].Revents&unix.POLLIN == 0 {
			return
		}
		var call seccompNotification
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&call))); errno != 0 { //nolint:gosec // as the kernel takes it
			continue // the caller was interrupted or has ended
		}
		w.decide(&call, func(errno unix.Errno) bool {
			response := seccompResponse{id: call.id, errno: -int32(errno)} //nolint:gosec // small
			if errno == 0 {
				response.flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
			}
			_, _, failed := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&response))) //nolint:gosec // as the kernel takes it
			return failed == 0                                                                                                                 // otherwise a signal came first, and the call is made again
		})
	}
}

// decide answers one call.
func (w *diskWatch) decide(n *seccompNotification, answer func(unix.Errno) bool) {
	call, ok := w.describe(n)
	if !ok {
		answer(0)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	call.n, call.nth = w.count[call.kind]+1, w.count[call.String()]+1
	errno := w.fault(call)
	if !answer(errno) {
		return
	}
	w.count[call.kind], w.count[call.String()] = call.n, call.nth
	w.calls = append(w.calls, call)
	if errno != 0 {
		w.failed = append(w.failed, fmt.Sprintf("%s: %s", call, errno))
	}
}

// describe reports false for a call that is not about a file below the root.
func (w *diskWatch) describe(n *seccompNotification) (diskCall, bool) {
	where := diskCalls[int(n.data.number)]
	call := diskCall{kind: where.kind, path: pathOf(n, where.dir, where.path)}
	if where.to != 0 {
		call.to = pathOf(n, where.toDir, where.to)
	}
	in := false
	for _, path := range []*string{&call.path, &call.to} {
		if below, err := filepath.Rel(w.root, *path); err == nil && filepath.IsLocal(below) {
			*path, in = below, true
		}
	}
	return call, in
}

// pathOf resolves the path of a call: that of a descriptor, or a text in the
// process's memory; empty if it is not known.
func pathOf(n *seccompNotification, dir, path int) string {
	name := ""
	if path >= 0 {
		if name = textAt(int(n.pid), uintptr(n.data.args[path])); filepath.IsAbs(name) {
			return filepath.Clean(name)
		}
	}
	at := fmt.Sprintf("/proc/%d/fd/%d", n.pid, int32(n.data.args[dir])) //nolint:gosec // a descriptor
	if int32(n.data.args[dir]) == unix.AT_FDCWD {                       //nolint:gosec // a descriptor
		at = fmt.Sprintf("/proc/%d/cwd", n.pid)
	}
	base, err := os.Readlink(at)
	if err != nil || !filepath.IsAbs(base) {
		return "" // gone, or a socket or pipe
	}
	return filepath.Join(strings.TrimSuffix(base, " (deleted)"), name)
}

// textAt reads a text that ends with 0 from a process's memory.
func textAt(pid int, address uintptr) string {
	var text []byte
	for len(text) < unix.PathMax {
		// Not across the end of a page: the next one may be missing.
		part := make([]byte, 256-address%256)
		local := unix.Iovec{Base: &part[0]}
		local.SetLen(len(part))
		n, err := unix.ProcessVMReadv(pid, []unix.Iovec{local}, []unix.RemoteIovec{{Base: address, Len: len(part)}}, 0)
		if err != nil {
			return ""
		}
		if end := bytes.IndexByte(part[:n], 0); end >= 0 {
			return string(append(text, part[:end]...))
		}
		text, address = append(text, part[:n]...), address+uintptr(n)
	}
	return ""
}
