package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator/controlplane"
)

// TestDaemonAnswersTasksThatItCannotDo checks that no task stays open in C1
// until it times out.
func TestDaemonAnswersTasksThatItCannotDo(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, open newSetup) {
		s, plane := open(t, small), controlplane.Start(t)
		ids := plane.Enqueue(controlplane.ListEvents("any"), controlplane.ListTicketSchemas())
		d := startDaemon(t, s, plane, nil)
		if end := d.finished(ids[0]); !end.HasSuccess() {
			t.Errorf("ListEvents ended with %v", end)
		}
		if end := d.finished(ids[1]); !end.HasError() {
			t.Errorf("ListTicketSchemas ended with %v", end)
		}
	})
}

// TestDaemonUploadsALogWithoutSecrets checks that C1's debug task uploads the
// SDK's log beside the sync, without the credential, without any user's
// address, and without a copy left on the disk.
func TestDaemonUploadsALogWithoutSecrets(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, open newSetup) {
		s, plane, tmp := open(t, small), controlplane.Start(t), t.TempDir()
		id := plane.Enqueue(controlplane.DebuggedSync())[0]
		d := startDaemon(t, s, plane, []string{"BATON_TMPDIR=" + tmp})
		if end := d.finished(id); !end.HasSuccess() {
			t.Fatalf("the task failed: %v", end)
		}
		files := d.uploads(id)
		if len(files) != 2 {
			t.Fatalf("the daemon uploaded %d files, not the sync and its log", len(files))
		}
		fixture.CompareTruth(t, files[0], s.Now())
		raw, err := os.ReadFile(files[1])
		if err != nil {
			t.Fatal(err)
		}
		log := string(raw)
		if !strings.Contains(log, `"msg":`) {
			t.Errorf("this is no log: %.200s", log)
		}
		if s.leaks(log) || strings.Contains(log, plane.ClientSecret()) {
			t.Error("the log holds a secret")
		}
		for user := range s.Now().Users {
			if strings.Contains(log, user) {
				t.Errorf("the log names the user %s", user)
			}
		}
		if strings.Contains(strings.ReplaceAll(log, plane.ClientID(), ""), "@example.com") {
			t.Error("the log holds an address")
		}
		// The SDK removes the log before it reports the end of the task.
		left, err := filepath.Glob(filepath.Join(tmp, "*", "debug.log"))
		if err != nil || len(left) > 0 {
			t.Errorf("the log is still on the disk: %v %v", left, err)
		}
	})
}
