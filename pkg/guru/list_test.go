package guru

import (
	"errors"
	"strings"
	"testing"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

var testList = list[string]{name: "a list"}

func TestACursorComesBackAsItWas(t *testing.T) {
	t.Parallel()
	for _, want := range []cursor{
		{Page: 1},
		{Page: 1, Route: viaGroups, Restarts: maxRestarts},
		{Page: 2, Token: []byte("a+b/c==")},
		{Page: maxPages, Token: []byte(strings.Repeat("\xff", maxToken)), Tokens: directory.CycleDetector{Steps: 7, Mark: 5}, Rows: directory.CycleDetector{Steps: 3, Mark: 9}, Repeats: maxRepeats, Route: viaUserGroups},
	} {
		text := testList.encode(want)
		got, err := testList.parse(text)
		if err != nil || testList.encode(got) != text || len(text) > directory.MaxCursor/2 {
			t.Errorf("%+v came back as %+v, %v", want, got, err)
		}
	}
	if text := testList.encode(cursor{}); text != "" {
		t.Errorf("the end of a list is %q", text)
	}
}

// TestACursorOfAnotherPlaceIsRefused: a cursor from a damaged checkpoint must
// not skip rows.
func TestACursorOfAnotherPlaceIsRefused(t *testing.T) {
	t.Parallel()
	token := []byte("t")
	for name, text := range map[string]string{
		"empty":              "",
		"a vendor's own URL": "https://api.getguru.com/api/v1/members?token=a",
		"another list":       list[string]{name: "another"}.encode(cursor{Page: 2, Token: token}),
		"page 0":             directory.EncodeCursor(testList.name, cursor{Token: token}),
		"too many pages":     testList.encode(cursor{Page: maxPages + 1, Token: token}),
		"page 2, no token":   testList.encode(cursor{Page: 2}),
		"page 1, token":      testList.encode(cursor{Page: 1, Token: token}),
		"an unknown route":   testList.encode(cursor{Page: 2, Token: token, Route: afterUserGroups + 1}),
		"a token too long":   testList.encode(cursor{Page: 2, Token: []byte(strings.Repeat("t", maxToken+1))}),
		"too many restarts":  testList.encode(cursor{Page: 1, Restarts: maxRestarts + 1}),
		"too many repeats":   testList.encode(cursor{Page: 1, Repeats: maxRepeats + 1}),
	} {
		if got, err := testList.parse(text); !errors.Is(err, directory.ErrCursor) {
			t.Errorf("%s was read as %+v, %v", name, got, err)
		}
	}
}

// A cursor of another list would skip rows. The group's members are another list
// for each group.
func TestEachListRefusesTheCursorOfAnother(t *testing.T) {
	t.Parallel()
	v := newVendor(t, answers{})
	s := v.source(t, rest.Options{})
	other := memberList("another group").encode(cursor{Page: 2, Token: []byte("t")})
	_, users := s.Users(t.Context(), other)
	_, groups := s.Groups(t.Context(), other)
	_, members := s.Members(t.Context(), "a group", other)
	for name, err := range map[string]error{"users": users, "groups": groups, "members": members} {
		if !errors.Is(err, directory.ErrCursor) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if asked := v.requests(); len(asked) > 0 {
		t.Errorf("Guru was asked for %q", asked)
	}
}
