package rows_test

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/conductorone/baton-connectors/internal/bench/rows"
	"github.com/conductorone/baton-connectors/internal/memory"
	"github.com/conductorone/baton-connectors/pkg/directory"
)

// TestRowsSurvive takes a directory through every step of the floor: a floor
// that serves less than the vendor would be too fast.
func TestRowsSurvive(t *testing.T) {
	t.Parallel()
	from := &memory.Source{
		UserRows: []directory.User{
			{ID: "a", Login: "a@example.com", DisplayName: "A", Emails: []directory.Email{{Address: "a@example.com", Primary: true}}, CreatedAt: time.Unix(1, 5).UTC(), Profile: map[string]any{"user_id": "a", "scim": true, "n": 1.5, "more": []any{map[string]any{"x": "y"}}}},
			{ID: "b", DisplayName: "B", Disabled: true, StatusDetail: "gone", Service: true},
		},
		GroupRows:  []directory.Group{{ID: "empty", Name: "Empty"}, {ID: "large", Name: "Large"}, {ID: "outer", Name: "Outer"}},
		MemberRows: map[string][]directory.Member{"outer": {{ID: "large", IsGroup: true}, {ID: "a"}}},
	}
	// More pages than one page may name.
	for i := range 220 * 750 {
		from.MemberRows["large"] = append(from.MemberRows["large"], directory.Member{ID: fmt.Sprint(i)})
	}
	for name, source := range map[string]directory.Source{"group by group": from, "all at once": &memory.ManySource{Source: *from}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, err := rows.Read(t.Context(), source)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "rows")
			if err := first.Save(path); err != nil {
				t.Fatal(err)
			}
			loaded, err := rows.Load(path)
			if err != nil {
				t.Fatal(err)
			}
			again, err := rows.Read(t.Context(), loaded.Source())
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(again.Users, from.UserRows) || !reflect.DeepEqual(again.Groups, from.GroupRows) {
				t.Errorf("users or groups differ: %+v %+v", again.Users, again.Groups)
			}
			for i, g := range from.GroupRows {
				var got []directory.Member
				for _, at := range again.Members[i] {
					got = append(got, again.Principals[at])
				}
				if !slices.Equal(sorted(got), sorted(from.MemberRows[g.ID])) {
					t.Errorf("group %s: the members differ", g.ID)
				}
			}
		})
	}
}

func sorted(members []directory.Member) []string {
	var out []string
	for _, m := range members {
		out = append(out, fmt.Sprint(m.ID, m.IsGroup))
	}
	slices.Sort(out)
	return out
}
