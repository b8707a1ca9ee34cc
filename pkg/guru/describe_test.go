package guru

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/guru/config"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// A user who checks the settings sees who owns the token.
func TestDescribeSaysWhoseTokenItIs(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name               string
		whoAmI, userGroups int
		want               []directory.Fact
	}{
		{"all is shown", 200, 200, []directory.Fact{{Name: "token of", Value: "ann@example.com"}, {Name: "its role", Value: "AUTHOR"}, {Name: "team", Value: "Example"}, {Name: "groups path", Value: "/groups/usergroups"}}},
		{"no right to identity, the other path", 403, 404, []directory.Fact{{Name: "token of", Value: "not shown: the token lacks the right read:identity"}, {Name: "groups path", Value: "/groups"}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				code, body := http.StatusOK, `[]`
				switch r.URL.Path {
				case "/whoami":
					code, body = row.whoAmI, `{"user":{"email":"ann@example.com"},"team":{"name":"Example"}}`
				case "/members": // the owner of the token is on the second page
					body = array(memberJSON("bob@example.com"))
					if r.URL.Query().Get("token") != "" {
						body = array(strings.ReplaceAll(memberJSON("Ann@example.com"), "ADMIN", "AUTHOR"))
					} else {
						w.Header().Set("Link", toPage("members", "2"))
					}
				case "/groups/usergroups":
					code = row.userGroups
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(code)
				if strings.HasPrefix(r.URL.Path, "/groups") {
					body = `[{"id":"1","name":"All Members"}]`
				}
				fmt.Fprint(w, body)
			}))
			defer server.Close()
			source, err := New(context.Background(), &config.Guru{UserEmail: "ann@example.com", ApiToken: "token", BaseUrl: server.URL}, rest.Options{Name: "test"})
			if err != nil {
				t.Fatal(err)
			}
			got, err := any(source).(directory.Describer).Describe(context.Background())
			if err != nil || !slices.Equal(got, row.want) {
				t.Errorf("got %+v, %v, want %+v", got, err, row.want)
			}
		})
	}
}
