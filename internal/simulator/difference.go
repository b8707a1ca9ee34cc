package simulator

import (
	"fmt"
	"reflect"
	"slices"
	"time"
)

// Difference lists, in at most 20 lines, how a sync's rows differ from the
// truth. It returns nothing if they agree. In a profile it compares only the
// keys that the truth names.
func (t Truth) Difference(got Truth) []string {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	profile := func(kind, id string, have, want map[string]any) {
		for key, value := range want {
			if !reflect.DeepEqual(have[key], value) {
				say("%s %q: profile %q is %#v, not %#v", kind, id, key, have[key], value)
			}
		}
	}
	created := func(kind, id string, have, want time.Time) {
		if !have.Equal(want) {
			say("%s %q: created at %v, not %v", kind, id, have, want)
		}
	}
	for id, want := range t.Users {
		have, held := got.Users[id]
		switch {
		case t.Passing[id]:
		case !held:
			say("user %q is missing", id)
		default:
			profile("user", id, have.Profile, want.Profile)
			created("user", id, have.CreatedAt, want.CreatedAt)
			have.Profile, have.CreatedAt = want.Profile, want.CreatedAt
			if len(have.Emails) == 0 && len(want.Emails) == 0 {
				have.Emails = want.Emails
			}
			if !reflect.DeepEqual(have, want) {
				say("user %q is %+v, not %+v", id, have, want)
			}
		}
	}
	for id := range got.Users {
		if _, known := t.Users[id]; !known && !t.Passing[id] {
			say("user %q does not exist", id)
		}
	}
	for id, want := range t.Groups {
		have, held := got.Groups[id]
		switch {
		case t.Passing[id]:
		case !held:
			say("group %q is missing", id)
		default:
			profile("group", id, have.Profile, want.Profile)
			created("group", id, have.CreatedAt, want.CreatedAt)
			if have.Name != want.Name || have.Description != want.Description {
				say("group %q is %+v, not %+v", id, have, want)
			}
		}
	}
	for id := range got.Groups {
		if _, known := t.Groups[id]; !known && !t.Passing[id] {
			say("group %q does not exist", id)
		}
	}
	passing := func(g Grant) bool {
		return t.PassingGrants[g] || t.Passing[g.Group] || t.Passing[g.Principal]
	}
	for g := range t.Grants {
		if !got.Grants[g] && !passing(g) {
			say("%+v is missing", g)
		}
	}
	for g := range got.Grants {
		if !t.Grants[g] && !passing(g) {
			say("%+v does not exist", g)
		}
	}
	slices.Sort(lines)
	if more := len(lines) - 20; more > 0 {
		lines = append(lines[:20], fmt.Sprintf("and %d more", more))
	}
	return lines
}
