package command

import (
	"testing"
	"time"

	"github.com/conductorone/baton-connectors/pkg/connector"
)

// A user who waits for a long sync sees its progress and the time left.
func TestTheLiveLineSaysHowFarASyncIs(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		progress connector.Progress
		took     time.Duration
		want     string
	}{
		{connector.Progress{Reading: "users", Done: 200, Total: 20000}, 200 * time.Millisecond, "users 200 of 20,000"},
		{connector.Progress{Reading: "users", Done: 12000, Total: 20000}, 4 * time.Second, "users 12,000 of 20,000 · 3,000/s · 3s left"},
		{connector.Progress{Reading: "users", Done: 20000, Total: 20000}, 4 * time.Second, "users 20,000 of 20,000 · 5,000/s"},
		{connector.Progress{Reading: "memberships", Done: 1500}, 3 * time.Second, "memberships 1,500 · 500/s"},
		// A total that is too low is useless.
		{connector.Progress{Reading: "groups", Done: 50, Total: 10}, 5 * time.Second, "groups 50 · 10/s"},
		{connector.Progress{Reading: "memberships"}, 5 * time.Second, "memberships 0"},
	} {
		if got := progressText(row.progress, row.took); got != row.want {
			t.Errorf("got %q, want %q", got, row.want)
		}
	}
}

func TestTheLiveLineSaysWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	l := &liveLine{vendor: "Guru"}
	for reason, want := range map[string]string{
		"429 Too Many Requests":   "Guru limits requests",
		"503 Service Unavailable": "Guru is unreachable (503 Service Unavailable)",
		"connection refused":      "Guru is unreachable (connection refused)",
	} {
		if got := l.because(reason); got != want {
			t.Errorf("%s: got %q, want %q", reason, got, want)
		}
	}
}
