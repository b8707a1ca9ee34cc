package fidelity

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator"
	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// pagings are wrong ways to page that were seen at SCIM servers. An order that
// changes between requests is missing here: a client notices it when the last
// received rows are not where they were, and two deviations together may hide
// that.
var pagings = []string{
	"items-per-page-wrong", "items-per-page-zero", "start-index-zero-based", "total-of-page", "total-missing",
	"total-string", "total-too-high", "total-too-low", "total-zero", "cap-50", "cap-7", "start-index-ignored",
	"wrap-around", "overlapping-windows", "page-aligned", "past-end-refused", "resources-missing", "resources-null",
	"too-many",
}

// TestTwoDeviationsAtOnce checks that a client either reads through or refuses
// a server that pages wrong in two ways at once. No pair may end a list early
// without an error.
func TestTwoDeviationsAtOnce(t *testing.T) {
	t.Parallel()
	for i, first := range pagings {
		t.Run(first, func(t *testing.T) {
			t.Parallel()
			for _, second := range append([]string{""}, pagings[i+1:]...) {
				for _, n := range []int{1, 50, 100, 230} {
					synctest.Test(t, func(t *testing.T) { pair(t, n, first, second) })
				}
			}
		})
	}
}

func pair(t *testing.T, n int, first, second string) {
	t.Helper()
	opts := []simulator.Option{simulator.WithFast(), simulator.WithMemory(), simulator.WithFault(first)}
	if second != "" {
		opts = append(opts, simulator.WithFault(second))
	}
	server := fixture.Start(t, ofRudderStack, simulator.Size{Users: n}, opts...)
	defer server.Close()
	if err := walkUsers(server.Source(t, rest.Options{}), server.Truth()); err != nil {
		t.Errorf("%s and %s, %d users: %v", first, second, n, err)
	}
	if asked := len(server.Requests()); asked > 150 {
		t.Errorf("%s and %s, %d users: %d requests", first, second, n, asked)
	}
}

// walkUsers returns an error if a list of users ends without an error but
// differs from the truth.
func walkUsers(source directory.Source, truth simulator.Truth) error {
	got := map[string]bool{}
	for cursor, pages := "", 0; ; pages++ {
		page, err := source.Users(context.Background(), cursor)
		if err != nil {
			return nil //nolint:nilerr // a clear failure is a good end too
		}
		for _, row := range page.Rows {
			if _, known := truth.Users[row.ID]; !known {
				return fmt.Errorf("the user %q does not exist", row.ID)
			}
			got[row.ID] = true
		}
		if cursor = page.Next; cursor == "" {
			break
		}
		if pages > 1000 {
			return fmt.Errorf("the walk does not end")
		}
	}
	if len(got) != len(truth.Users) {
		return fmt.Errorf("the list ended in silence after %d of %d users", len(got), len(truth.Users))
	}
	return nil
}
