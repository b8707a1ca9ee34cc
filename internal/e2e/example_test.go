package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/conductorone/baton-connectors/internal/example"
	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// TestThirdConnector checks that a new vendor is one package: nothing else had
// to change for it.
func TestThirdConnector(t *testing.T) {
	t.Parallel()
	answers := map[string]string{
		"/users?page=1":            `{"rows":[{"id":"u1","name":"Ann"}],"last":2}`,
		"/users?page=2":            `{"rows":[{"id":"u2","name":"Bob","blocked":true}],"last":2}`,
		"/teams?page=1":            `{"rows":[{"id":"t1","name":"Staff"},{"id":"t2","name":"Empty"}],"last":1}`,
		"/teams/t1/members?page=1": `{"rows":[{"id":"u1"},{"id":"u2"}],"last":1}`,
		"/teams/t2/members?page=1": `{"rows":[],"last":1}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.URL.RequestURI()]
		if !ok {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	source, err := example.New(context.Background(), base, "token", rest.Options{Name: "baton-acme"})
	if err != nil {
		t.Fatal(err)
	}
	path, err := fixture.Sync(context.Background(), t, "baton-acme", source, fixture.SyncOptions{})
	if err != nil {
		t.Fatal(err)
	}
	fixture.CompareTruth(t, path, simulator.Truth{
		Users:  map[string]simulator.User{"u1": {Name: "Ann"}, "u2": {Name: "Bob", Disabled: true}},
		Groups: map[string]simulator.Group{"t1": {Name: "Staff"}, "t2": {Name: "Empty"}},
		Grants: map[simulator.Grant]bool{{Group: "t1", Principal: "u1"}: true, {Group: "t1", Principal: "u2"}: true},
	})
}
