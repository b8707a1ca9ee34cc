package fidelity

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator"
	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// TestChangesBetweenSlicesLoseNobody checks a body that the source returns in
// slices and reads again for each slice. The body may change in between. Every
// row that is in all versions must arrive.
func TestChangesBetweenSlicesLoseNobody(t *testing.T) {
	t.Parallel()
	for vendor, opts := range map[string][]simulator.Option{
		ofRudderStack: nil,
		ofGuru:        {simulator.WithFault("members-in-one-body")},
	} {
		for name, read := range map[string]func(*reading, context.Context, directory.Source) error{
			"connector": (*reading).ofConnector, "source": (*reading).ofSource,
		} {
			t.Run(vendor+"/"+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					server := fixture.Start(t, vendor, simulator.Size{Users: 2000, GroupSizes: []int{0, 1600, 1, 750, 751}},
						append(opts, simulator.WithFast(), simulator.WithMemory())...)
					defer server.Close()
					seeded := rand.New(rand.NewPCG(3, 4)) // the same changes in every run
					var mu sync.Mutex
					changes := 0
					server.OnRequest(func(_ int, r *http.Request) {
						if !members.asked(r) {
							return
						}
						mu.Lock()
						defer mu.Unlock()
						people, teams := server.UserIDs(), server.GroupIDs()
						for _, team := range teams {
							for range 5 {
								changes++
								server.RemoveMember(team, people[seeded.IntN(len(people))])
								server.AddMember(team, people[seeded.IntN(len(people))])
							}
						}
					})
					r := &reading{name: server.Connector, workers: 1}
					if err := read(r, context.Background(), coldly(func() directory.Source { return server.Source(t, rest.Options{}) })); err != nil {
						t.Fatal(err)
					}
					if changes == 0 {
						t.Fatal("nothing changed")
					}
					r.isTrue(t, server.Truth())
				})
			})
		}
	}
}
