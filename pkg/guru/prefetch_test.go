package guru

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conductorone/baton-connectors/internal/simulator"
	"github.com/conductorone/baton-connectors/pkg/guru/config"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// inMemory starts a simulator without sockets, for a test in a bubble, and a
// source that reads it.
func inMemory(t *testing.T, size simulator.Size, latency time.Duration) (*simulator.Guru, *Source) {
	t.Helper()
	server := simulator.NewGuru(size, simulator.WithMemory(), simulator.WithLatency(latency, 0)).Start(t)
	source, err := New(context.Background(), &config.Guru{UserEmail: server.Email(), ApiToken: server.Token(), BaseUrl: server.URL()},
		rest.Options{Name: "test", Version: "0", Prefetch: true, Transport: server.Transport()})
	if err != nil {
		t.Fatal(err)
	}
	return server, source
}

// TestASyncTakesAsLongAsTheChainOfUsers checks that the members of all groups
// are read during the list of users. That list cannot be shortened, because
// each of its answers names the next. The bubble's clock measures the time.
func TestASyncTakesAsLongAsTheChainOfUsers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const latency, pages, groups, workers = 20 * time.Millisecond, 100, 125, 4
		sizes := make([]int, groups)
		for i := range sizes {
			sizes[i] = 50
			if i%10 == 0 {
				sizes[i] = 150 // two pages
			}
		}
		server, source := inMemory(t, simulator.Size{Users: 50 * pages, GroupSizes: sizes, WithoutAllMembers: true}, latency)
		begun := time.Now()
		var listed []string
		var lists sync.WaitGroup
		lists.Add(2)
		go func() {
			defer lists.Done()
			if _, err := source.usersOf(t); err != nil {
				t.Error(err)
			}
		}()
		go func() {
			defer lists.Done()
			found, err := source.groupsOf(t)
			if err != nil {
				t.Error(err)
			}
			for _, page := range found {
				for _, group := range page {
					listed = append(listed, group.ID)
				}
			}
		}()
		lists.Wait()
		todo := make(chan string, len(listed))
		for _, id := range listed {
			todo <- id
		}
		close(todo)
		var mu sync.Mutex
		found := 0
		var all sync.WaitGroup
		for range workers {
			all.Add(1)
			go func() {
				defer all.Done()
				for id := range todo {
					pages, err := source.membersOf(t, id)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					for _, page := range pages {
						found += len(page)
					}
					mu.Unlock()
				}
			}()
		}
		all.Wait()
		chain := pages * latency
		if took := time.Since(begun); took > chain*115/100 {
			t.Errorf("took %s, the chain alone %s", took, chain)
		}
		if want := len(server.Truth().Grants); found != want {
			t.Errorf("%d members were found, not %d", found, want)
		}
		if n, want := len(server.Requests()), pages+groups+(groups+9)/10+2; n > want {
			t.Errorf("%d requests were sent, at least %d are needed", n, want)
		}
	})
}

// TestASyncAfterAnotherReadsMembersAnew checks that a user who leaves a group
// after an aborted sync is not a member in the next sync of the same process.
func TestASyncAfterAnotherReadsMembersAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, source := inMemory(t, simulator.Size{Users: 3, GroupSizes: []int{3}, WithoutAllMembers: true}, time.Millisecond)
		group := server.GroupIDs()[0]
		if _, err := source.Groups(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // the members are there, and the sync ends
		if n := len(server.Requests()); n < 2 {
			t.Fatalf("%d requests were sent: nothing was prefetched", n)
		}
		server.RemoveMember(group, server.UserIDs()[1])

		if err := source.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		page, err := source.Members(t.Context(), group, "")
		if err != nil || len(page.Rows) != 2 {
			t.Errorf("the group has the members %v, not 2 (%v)", page.Rows, err)
		}
	})
}
