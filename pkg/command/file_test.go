package command

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"github.com/conductorone/baton-sdk/pkg/annotations"
	"github.com/conductorone/baton-sdk/pkg/connectorstore"
	"github.com/conductorone/baton-sdk/pkg/dotc1z"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The SDK reports most of these after the whole sync, some never.
func TestAFileThatCannotBeWrittenIsRefusedBeforeTheSync(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		prepare func(t *testing.T, run *invocation)
		code    int
		says    string
	}{
		{"directory", func(t *testing.T, run *invocation) {
			if err := os.Mkdir(run.file, 0o700); err != nil {
				t.Fatal(err)
			}
		}, 2, "sync.c1z is not a file; name one, such as sync.c1z"},
		{"no such directory", func(_ *testing.T, run *invocation) {
			run.env("BATON_FILE=" + filepath.Join(run.dir, "no", "such", "sync.c1z"))
		}, 2, "there is no directory "},
		{"below a file", func(t *testing.T, run *invocation) {
			write(t, run.file, "x")
			run.env("BATON_FILE=" + filepath.Join(run.file, "sync.c1z"))
		}, 2, "there is no directory "},
		{"something else", func(t *testing.T, run *invocation) { write(t, run.file, "name,mail\nann,ann@example.com\n") }, 2, "sync.c1z is not a c1z; move it away or name another file"},
		{"cut off in its head", func(t *testing.T, run *invocation) { write(t, run.file, "C1Z3\x00\x00\x00\x10\x00abc") }, 2, "sync.c1z is a damaged c1z ("},
		{"an old one, damaged", func(t *testing.T, run *invocation) { write(t, run.file, "C1ZF\x00abcdefgh") }, 2, "sync.c1z is a damaged c1z ("},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t)
			run := invoke(t, v)
			row.prepare(t, run)
			run.exits(row.code).says("--file (BATON_FILE): ", row.says)
			if asked := v.asked(); len(asked) != 0 {
				t.Errorf("asked the vendor for %v first", asked)
			}
		})
	}
}

// A program that reads the file during the replacement must not read half of a
// sync. The old file stays whole under its other name, and the new one is
// another file.
func TestAFileIsReplacedAndNotWrittenOver(t *testing.T) {
	t.Parallel()
	run := invoke(t, newVendor(t)).exits(0)
	before, err := os.ReadFile(run.file)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "read.c1z")
	if err := os.Link(run.file, other); err != nil {
		t.Fatal(err)
	}
	run.again().exits(0)
	if after, err := os.ReadFile(other); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the old file was written over (%v)", err)
	}
	if after, err := os.ReadFile(run.file); err != nil || bytes.Equal(after, before) {
		t.Errorf("the file holds the old sync (%v)", err)
	}
}

// Readers follow a link, so its target must get the new content.
func TestALinkToTheFileStaysOne(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	run := invoke(t, v).exits(0)
	before := run.runs()
	link := filepath.Join(run.dir, "link.c1z")
	if err := os.Symlink(run.file, link); err != nil {
		t.Fatal(err)
	}
	run.again().env("BATON_FILE=" + link).exits(0)
	if now := run.runs(); len(now) != 1 || now[0].id == before[0].id {
		t.Errorf("the file that the link leads to holds %+v, as before", now)
	}
	if to, err := os.Readlink(link); err != nil || to != run.file {
		t.Errorf("the link leads to %q, %v", to, err)
	}
}

// A link to nothing means that the user expects a file elsewhere. No reader
// would find a file in the link's place.
func TestALinkToNothingIsRefused(t *testing.T) {
	t.Parallel()
	run := invoke(t, newVendor(t))
	link, nowhere := filepath.Join(run.dir, "link.c1z"), filepath.Join(run.dir, "absent.c1z")
	if err := os.Symlink(nowhere, link); err != nil {
		t.Fatal(err)
	}
	run.env("BATON_FILE="+link).exits(2).says("link to a file that does not exist", link)
	if to, err := os.Readlink(link); err != nil || to != nowhere {
		t.Errorf("the link leads to %q, %v", to, err)
	}
}

// Beside --file, only the unfinished copy of a killed run may be removed.
func TestOnlyAnUnfinishedCopyIsRemoved(t *testing.T) {
	t.Parallel()
	run := invoke(t, newVendor(t))
	in := func(name string) string { return filepath.Join(run.dir, name) }
	write(t, in("sync.c1z.123.new"), "half a copy")
	write(t, in("changes.csv.123.new"), "half a list")
	write(t, in("sync.c1z.old.new"), "somebody's own")
	write(t, in("sync.c1z.456.new"), "one that others can read, so no run made it")
	write(t, in("precious"), "the end of a link")
	if err := os.Chmod(in("sync.c1z.456.new"), 0o644); err != nil { //nolint:gosec // a mode that a user may have chosen
		t.Fatal(err)
	}
	if err := os.Symlink("precious", in("sync.c1z.789.new")); err != nil {
		t.Fatal(err)
	}
	run.env("BATON_CHANGES="+in("changes.csv")).exits(0).leaves("changes.csv", "precious", "sync.c1z", "sync.c1z.456.new", "sync.c1z.789.new", "sync.c1z.old.new")
}

// Names of files need not be UTF-8.
func TestAFileMayHaveAnyName(t *testing.T) {
	t.Parallel()
	run := invoke(t, newVendor(t))
	file := filepath.Join(run.dir, "caf\xe9+(1).c1z")
	run.env("BATON_FILE=" + file).exits(0)
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

func TestADamagedEndIsSeen(t *testing.T) {
	t.Parallel()
	run := invoke(t, newVendor(t)).exits(0)
	text, err := os.ReadFile(run.file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, run.file, string(text[:len(text)-20]))
	run.again().exits(2).says("sync.c1z is a damaged c1z (")
}

// A script makes an empty file with mktemp.
func TestAnEmptyFileIsFilled(t *testing.T) {
	t.Parallel()
	run := invoke(t, newVendor(t))
	write(t, run.file, "")
	run.exits(0)
}

func TestADirectoryWithoutWritePermission(t *testing.T) {
	t.Parallel()
	run := invoke(t, newVendor(t))
	// No user may make files there, not even root.
	unwritable := "/proc/sync.c1z"
	if runtime.GOOS == "darwin" {
		unwritable = "/System/sync.c1z"
	}
	run.env("BATON_FILE=" + unwritable).exits(2).says("--file (BATON_FILE): cannot write " + unwritable + ": ")
	run.again().env("BATON_FILE="+run.file, "BATON_TMPDIR="+filepath.Join(run.dir, "absent")).exits(2).says("cannot make a directory for temporary files: ", "BATON_TMPDIR")
}

// Temporary files are often on another file system than the result.
func TestAFileIsPublishedWholeAcrossFileSystems(t *testing.T) {
	t.Parallel()
	other, err := os.MkdirTemp("/dev/shm", "baton-test-")
	if err != nil {
		other = t.TempDir() // one file system is all there is: the plain way
	}
	t.Cleanup(func() { _ = os.RemoveAll(other) })
	run := invoke(t, newVendor(t)).env("BATON_TMPDIR=" + other).exits(0)
	run.leaves("sync.c1z")
	if info, err := os.Stat(run.file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
	if left, _ := os.ReadDir(other); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

// A c1z names users and lists their access.
func TestOnlyItsOwnerReadsANewFile(t *testing.T) {
	t.Parallel()
	mode := func(path string) os.FileMode {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	run := invoke(t, newVendor(t)).exits(0)
	if got := mode(run.file); got != 0o600 {
		t.Errorf("a new file has the permissions %o", got)
	}
	if err := os.Chmod(run.file, 0o640); err != nil { //nolint:gosec // a mode that a user may have chosen
		t.Fatal(err)
	}
	run.again().exits(0)
	if got := mode(run.file); got != 0o640 {
		t.Errorf("a file that is replaced has the permissions %o", got)
	}
}

// A wrong path must not replace a user's sync of another system, even if this
// connector's resource types have the same names.
func TestAFileOfAnotherConnectorIsKept(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		kind  *v2.ResourceType
		keeps bool
	}{
		{v2.ResourceType_builder{Id: "app", DisplayName: "App"}.Build(), true},
		{v2.ResourceType_builder{Id: "user", DisplayName: "User"}.Build(), true},
		{v2.ResourceType_builder{Id: "user", DisplayName: "Other's user", Annotations: annotations.New(wrapperspb.String("baton-other"))}.Build(), true},
		{v2.ResourceType_builder{Id: "user", DisplayName: "Own user", Annotations: annotations.New(wrapperspb.String("baton-test"))}.Build(), false},
	} {
		t.Run(row.kind.GetId()+row.kind.GetDisplayName(), func(t *testing.T) {
			t.Parallel()
			run := invoke(t, newVendor(t))
			writeC1Z(t, run.file, row.kind)
			before, err := os.ReadFile(run.file)
			if err != nil {
				t.Fatal(err)
			}
			if !row.keeps {
				run.exits(0)
				return
			}
			run.exits(2).says("--file (BATON_FILE)", fmt.Sprintf("holds the sync of another connector, with the resource type %q", row.kind.GetId()))
			if after, err := os.ReadFile(run.file); err != nil || !bytes.Equal(after, before) {
				t.Error("the file is another")
			}
			run.leaves("sync.c1z")
		})
	}
}

// writeC1Z makes a finished sync with one resource.
func writeC1Z(t *testing.T, path string, kind *v2.ResourceType) {
	t.Helper()
	ctx := context.Background()
	store, err := dotc1z.NewStore(ctx, path, dotc1z.WithTmpDir(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	one := v2.Resource_builder{Id: v2.ResourceId_builder{ResourceType: kind.GetId(), Resource: "1"}.Build(), DisplayName: "One"}.Build()
	_, err = store.StartNewSync(ctx, connectorstore.SyncTypeFull, "")
	for _, step := range []func() error{
		func() error { return store.PutResourceTypes(ctx, kind) },
		func() error { return store.PutResources(ctx, one) },
		func() error { return store.EndSync(ctx) },
		func() error { return store.Close(ctx) },
	} {
		if err == nil {
			err = step()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A run that fails must leave the last good file, also when the sync itself went
// well and only its list of changes cannot be written.
func TestAListOfChangesThatCannotBeWrittenLeavesTheFile(t *testing.T) {
	t.Parallel()
	run := invoke(t, newVendor(t)).exits(0)
	before := run.runs()
	in := filepath.Join(run.dir, "changes")
	if err := os.Mkdir(in, 0o700); err != nil {
		t.Fatal(err)
	}
	// A directory that is not empty cannot be replaced by a file.
	if err := os.MkdirAll(filepath.Join(in, "changes.csv", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	run.again().env("BATON_CHANGES=" + filepath.Join(in, "changes.csv")).exits(2)
	if now := run.runs(); len(now) != 1 || now[0].id != before[0].id {
		t.Errorf("a failed run replaced the file: %+v", now)
	}
}
