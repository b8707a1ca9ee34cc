package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/conductorone/baton-sdk/pkg/crypto"
	"github.com/conductorone/baton-sdk/pkg/ugrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/pkg/connector"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// A script reads the code and a user reads the line. gRPC and the SDK wrap
// both.
func TestAnErrorKeepsItsCodeAndLosesItsWrapping(t *testing.T) {
	t.Parallel()
	fault := fmt.Errorf("baton-test: list users: %w", &rest.Error{
		URL: "https://api.example.com/users", Code: codes.PermissionDenied, What: "403 Forbidden", Advice: rest.Advice{Cause: "a cause", Next: "a step"},
	})
	const line = "baton-test: list users: GET https://api.example.com/users: 403 Forbidden: a cause; a step"
	overTheWire := status.Error(status.Code(fault), fault.Error())
	for _, row := range []struct {
		name string
		err  error
		line string
		code int
	}{
		{"as it was made", fault, line, 7},
		{"from the other process", overTheWire, line, 7},
		{"with what the syncer was doing", fmt.Errorf("runner: error processing task: %w", fmt.Errorf("list resources: %w", overTheWire)), line, 7},
		{"wrapped as text", status.Error(codes.PermissionDenied, "sync failed: "+overTheWire.Error()), line, 7},
		{"twice", errors.Join(overTheWire, overTheWire), line, 7},
		{"with another worker's", errors.Join(overTheWire, errors.New("error: listing resources failed: baton-test: list groups: GET https://api.example.com/groups: 403")), line, 7},
		{"with the stop of the others", status.Error(codes.PermissionDenied, errors.Join(overTheWire, context.Canceled).Error()), line, 7},
		{"a client ID cut off", fmt.Errorf("run: %w", ugrpc.ErrInvalidClientID), "baton-test: --client-id (BATON_CLIENT_ID) is not what C1 shows; copy it again from the connector's page in C1", 2},
		{"a client secret cut off", crypto.ErrInvalidClientSecret, "baton-test: --client-secret (BATON_CLIENT_SECRET) is not what C1 shows; copy it again from the connector's page in C1", 2},
		{"of the SDK", errors.New("no such thing"), "baton-test: no such thing", 2},
		{"on several lines", errors.New("first\n\tsecond"), "baton-test: first second", 2},
		{"cancelled", fmt.Errorf("sync: %w", context.Canceled), "baton-test: sync: context canceled", 1},
		{"out of time", context.DeadlineExceeded, "baton-test: context deadline exceeded", 4},
		{"without a code that fails", okStatusError{}, "baton-test: ok?", 13},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if end := failureOf("baton-test", row.err); end.line != row.line || end.code != row.code {
				t.Errorf("got  %d %s\nwant %d %s", end.code, end.line, row.code, row.line)
			}
		})
	}
}

// A fault of the disk for temporary files is not a fault of the file that is
// read.
func TestAFaultOfTheDiskIsNamed(t *testing.T) {
	t.Parallel()
	p := &program[*testConfig]{info: connector.Info{Name: "baton-test"}}
	for _, row := range []struct {
		err  error
		code int
		line string
	}{
		{&os.PathError{Op: "write", Path: "/tmp/baton-test-1-2/x", Err: syscall.ENOSPC}, 8, "baton-test: no space left for temporary files in /tmp; free some space, or point BATON_TMPDIR to another file system"},
		{syscall.EDQUOT, 8, "baton-test: no space left for temporary files in /tmp; free some space, or point BATON_TMPDIR to another file system"},
		{&os.LinkError{Op: "rename", Old: "/tmp/baton-test-1-2/x", New: "y", Err: syscall.EIO}, 2, "baton-test: cannot use temporary files in /tmp: rename /tmp/baton-test-1-2/x y: input/output error; look at the disk and the limit of open files, or point BATON_TMPDIR to another file system"},
		{errors.Join(errors.New("no rollback"), codedError(1), codedError(13)), 8, "baton-test: no space left for temporary files in /tmp; free some space, or point BATON_TMPDIR to another file system"},
		{errors.Join(context.Canceled, codedError(1), codedError(778)), 2, "baton-test: cannot use temporary files in /tmp: SQLite's error 778; look at the disk and the limit of open files, or point BATON_TMPDIR to another file system"},
		{codedError(19), 2, "baton-test: save failed: SQLite's error 19"},
		{&os.PathError{Op: "open", Path: "/tmp/baton-test-1-22", Err: syscall.EIO}, 2, "baton-test: save failed: open /tmp/baton-test-1-22: input/output error"},
	} {
		if f := failureOf("baton-test", p.explain(fmt.Errorf("save failed: %w", row.err), "/tmp/baton-test-1-2")); f.code != row.code || f.line != row.line {
			t.Errorf("%v: got %d: %s", row.err, f.code, f.line)
		}
	}
}

// The disk of --file may be full when the disk of the temporary files is not.
func TestAFullDiskOfTheFileIsNamed(t *testing.T) {
	t.Parallel()
	p := &program[*testConfig]{info: connector.Info{Name: "baton-test"}}
	for _, row := range []struct {
		err  error
		code int
		line string
	}{
		{syscall.ENOSPC, 8, "baton-test: no space left for /srv/sync.c1z; the file is unchanged; free some space and run it again"},
		{syscall.EACCES, 2, "baton-test: --file (BATON_FILE): cannot write /srv/sync.c1z: write /srv/sync.c1z.1.new: permission denied"},
	} {
		err := p.cannotWrite("file", "/srv/sync.c1z", &os.PathError{Op: "write", Path: "/srv/sync.c1z.1.new", Err: row.err})
		if f := failureOf("baton-test", err); f.code != row.code || f.line != row.line {
			t.Errorf("%v: got %d: %s", row.err, f.code, f.line)
		}
	}
}

// codedError is an error of SQLite.
type codedError int

func (f codedError) Error() string { return fmt.Sprintf("SQLite's error %d", int(f)) }
func (f codedError) Code() int     { return int(f) }

type okStatusError struct{}

func (okStatusError) Error() string              { return "ok?" }
func (okStatusError) GRPCStatus() *status.Status { return status.New(codes.OK, "") }
