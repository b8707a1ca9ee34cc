// Package docs checks the pages, the files in deploy/, the workflows and the
// release scripts against the code: everything that they name exists, and
// everything that they show runs.
package docs

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/conductorone/baton-connectors/internal/fixture"
)

// repository is the top of the checkout, seen from this package.
const repository = "../.."

func TestMain(m *testing.M) { os.Exit(fixture.Main(m)) }

// repoFile returns the text of a file of the repository.
func repoFile(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, filepath.Join(path...)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// run runs a binary in an empty directory, with env as its whole environment.
// It returns the exit code and the output.
func run(t *testing.T, path string, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = home
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + t.TempDir()}, env...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), said.String()
}
