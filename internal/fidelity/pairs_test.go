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

// pagings are the ways in which a SCIM server was seen to page wrong. An order
// that changes from request to request is not among them: it is noticed when
// the rows received last are not where they were, which two deviations
// together may hide.
var pagings = []string{
	"items-per-page-wrong", "items-per-page-zero", "start-index-zero-based", "total-of-page", "total-missing",
	"total-string", "total-too-high", "total-too-low", "total-zero", "cap-50", "cap-7", "start-index-ignored",
	"wrap-around", "overlapping-windows", "page-aligned", "past-end-refused", "resources-missing", "resources-null",
	"too-many",
}

// TestTwoDeviationsAtOnce shows that a server that pages wrong in two ways at
// a time is either seen through or refused: no pair makes a list end early
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

// walkUsers fails if a list of users ends without an error and is not the
// truth.
func walkUsers(source directory.Source, truth simulator.Truth) error {
	got := map[string]bool{}
	for cursor, pages := "", 0; ; pages++ {
		page, err := source.Users(context.Background(), cursor)
		if err != nil {
			return nil //nolint:nilerr // a clear failure is one of the two good ends
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
