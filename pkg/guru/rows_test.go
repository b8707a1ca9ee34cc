package guru

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/pkg/rest"
)

func TestUserRows(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name, row string
		// id is empty if the row is an error.
		id, display, login, detail, userID, status string
		disabled, service                          bool
	}{
		{
			name: "pending", row: `{"id":"a@example.com","user":{"id":"u1","status":"PENDING","email":"a@example.com"}}`,
			id: "a@example.com", display: "a@example.com", login: "a@example.com", detail: "PENDING", userID: "u1", status: "PENDING", disabled: true,
		},
		{
			name: "active in lower case", row: `{"id":"a@example.com","user":{"status":" active ","email":"a@example.com","firstName":" Ann ","lastName":" "}}`,
			id: "a@example.com", display: "Ann", login: "a@example.com", detail: "active", userID: "a@example.com", status: "active",
		},
		{
			name: "unknown status", row: `{"id":"a@example.com","user":{"status":"LOCKED","email":"a@example.com","lastName":"Lee"}}`,
			id: "a@example.com", display: "Lee", login: "a@example.com", detail: "LOCKED", userID: "a@example.com", status: "LOCKED", disabled: true,
		},
		{
			name: "missing status", row: `{"id":"a@example.com","user":{"email":"a@example.com","firstName":"Ann","lastName":"Lee"}}`,
			id: "a@example.com", display: "Ann Lee", login: "a@example.com", userID: "a@example.com", status: notStated,
		},
		{
			name: "agent without a name", row: `{"id":"Bot@example.com","user":{"id":"u2","status":"ACTIVE","email":"Bot@example.com","userType":"knowledge_agent","firstName":null}}`,
			id: "bot@example.com", display: "Bot@example.com", login: "Bot@example.com", detail: "ACTIVE", userID: "u2", status: "ACTIVE", service: true,
		},
		{
			name: "agent without an e-mail", row: `{"id":"agent-7","user":{"id":"u3","status":"ACTIVE","userType":"KNOWLEDGE_AGENT"}}`,
			id: "u3", display: "u3", detail: "ACTIVE", userID: "u3", status: "ACTIVE", service: true,
		},
		{
			name: "the row's id is the address", row: `{"id":"A@example.com","user":{"id":"u4","status":"ACTIVE"}}`,
			id: "a@example.com", display: "A@example.com", login: "A@example.com", detail: "ACTIVE", userID: "u4", status: "ACTIVE",
		},
		{
			name: "bare", row: `{"id":"u5","status":"PENDING","email":"A@example.com","firstName":"Ann","lastName":"Lee"}`,
			id: "a@example.com", display: "Ann Lee", login: "A@example.com", detail: "PENDING", userID: "u5", status: "PENDING", disabled: true,
		},
		{
			name: "bare without an e-mail", row: `{"id":"U6","status":"ACTIVE","firstName":"Ann"}`,
			id: "U6", display: "Ann", detail: "ACTIVE", userID: "U6", status: "ACTIVE",
		},
		{
			name: "numbers for ids", row: `{"id":90071992547409931234,"user":{"id":12,"status":"ACTIVE","email":"a@example.com"}}`,
			id: "a@example.com", display: "a@example.com", login: "a@example.com", detail: "ACTIVE", userID: "12", status: "ACTIVE",
		},
		{
			name: "odd values elsewhere", row: `{"id":"a@example.com","dateCreated":{},"userAttributes":[],"highestRole":7,"managedByScim":"maybe","user":{"status":"ACTIVE","email":"a@example.com","firstName":["x"]}}`,
			id: "a@example.com", display: "a@example.com", login: "a@example.com", detail: "ACTIVE", userID: "a@example.com", status: "ACTIVE",
		},
		{name: "user null", row: `{"id":"a@example.com","user":null}`},
		{name: "user missing", row: `{"id":"a@example.com","highestRole":"MEMBER"}`},
		{name: "user empty", row: `{"id":"a@example.com","user":{}}`},
		{
			name: "a user's id alone", row: `{"id":"  ","user":{"id":"u7","status":"ACTIVE","firstName":"Ann"}}`,
			id: "u7", display: "Ann", detail: "ACTIVE", userID: "u7", status: "ACTIVE",
		},
		{
			name: "the user's address before the row's id", row: `{"id":"b@example.com","user":{"id":"u8","status":"ACTIVE","email":" A@example.com "}}`,
			id: "a@example.com", display: "A@example.com", login: "A@example.com", detail: "ACTIVE", userID: "u8", status: "ACTIVE",
		},
		{
			name: "letters beyond ASCII are not folded", row: `{"id":"İK@example.com","user":{"status":"ACTIVE","email":"İK@example.com"}}`,
			id: "İK@example.com", display: "İK@example.com", login: "İK@example.com", detail: "ACTIVE", userID: "İK@example.com", status: "ACTIVE",
		},
		{
			name: "the row's own status", row: `{"id":"a@example.com","status":"PENDING","user":{"email":"a@example.com"}}`,
			id: "a@example.com", display: "a@example.com", login: "a@example.com", detail: "PENDING", userID: "a@example.com", status: "PENDING", disabled: true,
		},
		{
			name: "one status twice", row: `{"id":"a@example.com","status":"active","user":{"email":"a@example.com","status":"ACTIVE"}}`,
			id: "a@example.com", display: "a@example.com", login: "a@example.com", detail: "ACTIVE", userID: "a@example.com", status: "ACTIVE",
		},
		{
			name: "two statuses", row: `{"id":"a@example.com","status":"DISABLED","user":{"email":"a@example.com","status":"ACTIVE"}}`,
			id: "a@example.com", display: "a@example.com", login: "a@example.com", detail: "ACTIVE and DISABLED", userID: "a@example.com", status: "ACTIVE and DISABLED", disabled: true,
		},
		{name: "no key", row: `{"id":"7","user":{"status":"ACTIVE","firstName":"Ann"}}`},
		{name: "an e-mail address that is a list", row: `{"id":"a@example.com","user":{"status":"ACTIVE","email":["a@example.com"]}}`},
		{name: "a list for an id", row: `{"id":["a@example.com"],"user":{"status":"ACTIVE","email":"a@example.com"}}`},
		{name: "an object for a status", row: `{"id":"a@example.com","user":{"status":{"is":"PENDING"},"email":"a@example.com"}}`},
		{name: "true for a status", row: `{"id":"a@example.com","user":{"status":true,"email":"a@example.com"}}`},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			var one userRow
			if err := json.Unmarshal([]byte(r.row), &one); err != nil {
				t.Fatal(err)
			}
			if err := one.validate(); (err != nil) != (r.id == "") {
				t.Fatalf("key %q, %v", one.key, err)
			}
			if r.id == "" {
				return
			}
			u := one.user()
			if u.ID != r.id || u.DisplayName != r.display || u.Login != r.login || u.StatusDetail != r.detail || u.Disabled != r.disabled || u.Service != r.service ||
				u.Profile["user_id"] != r.userID || u.Profile["status"] != r.status {
				t.Errorf("%+v", u)
			}
			if (len(u.Emails) == 1) != (r.login != "") {
				t.Errorf("e-mails %v", u.Emails)
			}
		})
	}
}

func TestARowsTokenIsNeverCopied(t *testing.T) {
	t.Parallel()
	var one userRow
	if err := json.Unmarshal([]byte(`{"id":"a@example.com","token":"row-secret","user":{"email":"a@example.com","token":"row-secret"}}`), &one); err != nil {
		t.Fatal(err)
	}
	if err := one.validate(); err != nil {
		t.Fatal(err)
	}
	if told, err := json.Marshal(one.user()); err != nil || strings.Contains(string(told), "row-secret") {
		t.Errorf("%s, %v", told, err)
	}
}

// TestARowNamesItsGroups: groups in a row that cannot be read state nothing,
// and do not fail the row.
func TestARowNamesItsGroups(t *testing.T) {
	t.Parallel()
	for groups, want := range map[string][]string{
		`[{"id":"g1","name":"Sales","role":"MEMBER"},{"id":"g2"}]`: {"g1", "g2"},
		`[]`: nil, `[ ]`: nil, `null`: nil, `"g1"`: nil, `7`: nil, `{}`: nil, `{"id":"g1"}`: nil,
		`[{"id":7}]`: nil, `[{"name":"Sales"}]`: nil, `[{"id":"g1"},{"id":""}]`: nil, `["g1"]`: nil, `[null]`: nil,
		`[{"id":"g1","members":[{"id":"x"}]}]`: {"g1"},
	} {
		var one userRow
		if err := json.Unmarshal([]byte(`{"id":"a@example.com","user":{"email":"a@example.com"},"groups":`+groups+`}`), &one); err != nil {
			t.Fatalf("%s: %v", groups, err)
		}
		if got := one.user().Groups; !slices.Equal(got, want) {
			t.Errorf("%s is read as %q", groups, got)
		}
	}
}

func TestAMemberNeedsItsIDOnly(t *testing.T) {
	t.Parallel()
	for row, want := range map[string]string{
		`{"id":"A@example.com","user":null}`:                    "a@example.com",
		`{"id":"A@example.com"}`:                                "a@example.com",
		`{"id":"A@example.com","user":{}}`:                      "a@example.com",
		`{"user":{"email":" A@example.com"}}`:                   "a@example.com",
		`{"id":17,"user":{}}`:                                   "",
		`{"id":17}`:                                             "17",
		`{"id":"U1 ","user":{"id":" U2"}}`:                      " U2",
		`{"id":"7","type":"Group"}`:                             "",
		`{"id":"7","group":{"id":"g1"}}`:                        "",
		`{"id":"7","numberOfMembers":3}`:                        "",
		`{"id":true,"user":{"email":"a@example.com"}}`:          "",
		`{"user":{"id":"7f6b1a52-1111-4222-8333-44445555666"}}`: "7f6b1a52-1111-4222-8333-44445555666",
		`{}`: "",
	} {
		var one memberRow
		if err := json.Unmarshal([]byte(row), &one); err != nil {
			t.Fatal(err)
		}
		if key, err := one.member(); key != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", row, key, err)
		}
	}
}

func TestDates(t *testing.T) {
	t.Parallel()
	noon := time.Date(2014, 1, 2, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2014-01-02T12:00:00.000+0000":     noon,
		"2014-01-02T14:00:00.000+0200":     noon,
		"2014-01-02T14:00:00+02:00":        noon,
		"2014-01-02T12:00:00Z":             noon,
		"2014-01-02T12:00:00.000Z":         noon,
		" 2014-01-02T12:00:00 ":            noon,
		"2014-01-02 12:00:00":              noon,
		"2014-01-02":                       noon.Add(-12 * time.Hour),
		"1388664000":                       noon,
		"1388664000000":                    noon,
		"":                                 {},
		"yesterday":                        {},
		"0000-01-01":                       {},
		"-5":                               {},
		"12":                               {},
		"9223372036854775807":              {},
		strings.Repeat("2", 1<<20):         {},
		"2014-13-45T12:00:00.000+0000":     {},
		"2014-01-02T12:00:00.000+0000 UTC": {},
	} {
		if got := date(text); !got.Equal(want) {
			t.Errorf("%.40q is %s, want %s", text, got, want)
		}
	}
}

// FuzzMemberRow: no panic; a row is complete or an error, and both lists know
// its user by the same key.
func FuzzMemberRow(f *testing.F) {
	for _, seed := range []string{
		memberJSON("Ann@Example.com"), groupMemberJSON("ann@example.com"),
		`{"id":"u","email":"A@b.example.com","status":"PENDING"}`, `{"id":"a@example.com","user":null}`, `{"id":7,"user":{"email":"x"}}`,
		`{"ID":"\ud800","user":{"status":{},"email":[]}}`, `{"user":"ann"}`, `null`, `[]`, `7`, `{"id":"\u0130@example.com","user":{"userType":"KNOWLEDGE_AGENT"}}`,
		`{"dateCreated":1e400,"userAttributes":{"BILLING_TYPE":{}},"managedByScim":"TRUE","id":"a","user":{"status":"x"}}`, "{\"id\":\"\xff\",\"email\":\"\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var team userRow
		var group memberRow
		teamErr, groupErr := json.Unmarshal(raw, &team), json.Unmarshal(raw, &group)
		if groupErr == nil {
			key, err := group.member()
			if (key == "") != (err != nil) && err == nil {
				t.Errorf("key %q, %v", key, err)
			}
		}
		if teamErr != nil || team.validate() != nil {
			return
		}
		if key, err := group.member(); groupErr != nil || err != nil || key != team.key {
			t.Errorf("the team knows %q, its group %q (%v, %v)", team.key, key, groupErr, err)
		}
		u := team.user()
		if u.ID == "" || u.ID != team.key || u.DisplayName == "" || !utf8.ValidString(u.ID) || len(u.Emails) > 1 || u.Profile["user_id"] == "" || u.Profile["status"] == "" {
			t.Errorf("not complete: %+v", u)
		}
		if u.Disabled && u.StatusDetail == "" {
			t.Error("disabled without the vendor's word")
		}
		if s := u.CreatedAt; !s.IsZero() && (s.Unix() < -62135596800 || s.Unix() > math.MaxInt32*100) {
			t.Errorf("created at %s", s)
		}
	})
}

// FuzzGroupRow: no panic; a row is complete or an error.
func FuzzGroupRow(f *testing.F) {
	for _, seed := range []string{groupJSON("g1"), `{"id":1}`, `{"id":""}`, `{"name":"x"}`, `null`, `{"id":"a","name":7,"dateCreated":null}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var one groupRow
		if json.Unmarshal(raw, &one) != nil {
			return
		}
		if g, err := one.group(); (g.ID == "") != (err != nil) || err == nil && (g.Name == "" || g.Profile["group_id"] != g.ID || !utf8.ValidString(g.ID)) {
			t.Errorf("not complete: %+v", g)
		}
	})
}

// TestFieldNamesAreExact: encoding/json reads a field STATUS as status.
func TestFieldNamesAreExact(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`[{"status":"ACTIVE","STATUS":"X","Id":1}]`:    `[{"status":"ACTIVE","~~~~~~":"X","~~":1}]`,
		`{"\u0053tatus" : "X","s\u0074atus":"ACTIVE"}`: `{"~~~~~~~~~~~" : "X","s\u0074atus":"ACTIVE"}`,
		`{"ſtatus":"X"}`: `{"~~~~~~~":"X"}`,
		`{"name":"STATUS","note":"say \"Status\": no"}`:      `{"name":"STATUS","note":"say \"Status\": no"}`,
		`{"profilePicUrl":"https://x","Folders":[],"":"Id"}`: `{"profilePicUrl":"https://x","Folders":[],"":"Id"}`,
		`{"STATUS`: `{"STATUS`, `{"STATUS"`: `{"STATUS"`, ``: ``, `"\`: `"\`,
	} {
		if got := string(exactNames([]byte(text))); got != want {
			t.Errorf("%s is read as %s", text, got)
		}
	}
}

// TestTwoAccountsAreNeverOne: otherwise one account would seem to have the
// other's access.
func TestTwoAccountsAreNeverOne(t *testing.T) {
	t.Parallel()
	row := func(id, userID string) string {
		return fmt.Sprintf(`{"id":%q,"user":{"id":%q,"email":%q,"status":"ACTIVE"}}`, id, userID, id)
	}
	for name, r := range map[string]struct {
		first, second string
		code          codes.Code
	}{
		"one account twice":               {row("a@example.com", "u1"), row("a@example.com", "u1"), codes.OK},
		"one account in two spellings":    {row("a@example.com", "u1"), row(" A@example.com", "u1"), codes.OK},
		"one address, two accounts":       {row("a@example.com", "u1"), row("a@example.com", "u2"), codes.FailedPrecondition},
		"two spellings, two accounts":     {row("a@example.com", "u1"), row("A@example.com", "u2"), codes.FailedPrecondition},
		"two spellings, no id of a user":  {row("a@example.com", ""), row("A@example.com", ""), codes.FailedPrecondition},
		"no id of a user the second time": {row("a@example.com", "u1"), row("a@example.com", ""), codes.OK},
	} {
		for where, v := range map[string]answers{
			"one page":  {"members": say(array(r.first, r.second))},
			"two pages": {"members": linked(say(array(r.first)), toPage("members", "2")), "members?token=2": say(array(r.second))},
		} {
			s := newVendor(t, v).source(t, rest.Options{})
			_, err := s.usersOf(t)
			if status.Code(err) != r.code {
				t.Errorf("%s on %s: %v", name, where, err)
			}
			if err != nil {
				wantError(t, err, r.code, "/members", "an earlier account", "GET ")
			}
			if _, again := s.usersOf(t); status.Code(again) != r.code {
				t.Errorf("%s on %s, again: %v", name, where, again)
			}
		}
	}
	groups, err := newVendor(t, answers{"groups/usergroups": say(array(groupJSON("g1"), groupJSON("G1"), groupJSON("g1 ")))}).source(t, rest.Options{}).groupsOf(t)
	if err != nil || len(groups[0]) != 3 || groups[0][2].ID != "g1 " || groups[0][1].ID != "G1" {
		t.Errorf("%+v, %v", groups, err)
	}
}

// TestEveryShapeOfTheTwoLists pairs the known and the likely forms of rows in
// the list of members with those in a group's list of members. The member must
// be the user, or an id that no user has, which ends a sync.
func TestEveryShapeOfTheTwoLists(t *testing.T) {
	t.Parallel()
	const uuid = "7f6b1a52-1111-4222-8333-444455556666"
	team := []string{
		`{"id":"Ann@example.com","user":{"id":"` + uuid + `","email":"Ann@example.com","status":"ACTIVE"}}`,
		`{"id":"Ann@example.com","user":{"email":"ann@example.com","status":"ACTIVE"}}`,
		`{"id":"Ann@example.com","user":{"id":"` + uuid + `","status":"ACTIVE"}}`,
		`{"id":"` + uuid + `","user":{"id":"` + uuid + `","email":"ann@example.com","status":"ACTIVE"}}`,
		`{"id":"membership-1","user":{"id":"` + uuid + `","email":"ann@example.com","status":"ACTIVE"}}`,
		`{"user":{"id":"` + uuid + `","email":" Ann@example.com","status":"ACTIVE"}}`,
		`{"id":"` + uuid + `","email":"ann@example.com","status":"ACTIVE"}`,
		`{"id":"ann@example.com","email":"ann@example.com","status":"ACTIVE"}`,
		`{"id":"ann@example.com","status":"ACTIVE"}`,
	}
	group := []string{
		`{"id":"ann@example.com","user":{"id":"` + uuid + `","email":"ann@example.com"}}`,
		`{"id":"ANN@example.com","user":{"email":"Ann@example.com"}}`,
		`{"id":"ann@example.com","user":{"id":"` + uuid + `"}}`,
		`{"id":"` + uuid + `","user":{"id":"` + uuid + `","email":"ann@example.com"}}`,
		`{"id":"membership-2","user":{"email":"ann@example.com"}}`,
		`{"user":{"email":"ann@example.com "}}`,
		`{"id":"` + uuid + `","email":"ann@example.com"}`,
		`{"id":"ann@example.com","user":null}`,
		`{"id":"ann@example.com"}`,
		`{"id":"` + uuid + `","user":{"id":"` + uuid + `"}}`,
		`{"id":"` + uuid + `"}`,
	}
	right := 0
	for _, a := range team {
		for _, b := range group {
			s := newVendor(t, answers{"members": say(array(a)), "groups/g1/members": say(array(b))}).source(t, rest.Options{})
			users, err := s.usersOf(t)
			if err != nil {
				t.Errorf("%s: %v", a, err)
				continue
			}
			members, err := s.membersOf(t, "g1")
			switch {
			case err != nil:
			case members[0][0].ID == users[0][0].ID:
				right++
			case members[0][0].ID != uuid:
				t.Errorf("%s and %s: user %q, member %q", a, b, users[0][0].ID, members[0][0].ID)
			}
		}
	}
	if right != 81 {
		t.Errorf("%d of 99 pairs are right; the 18 with nothing but the user's id in the group are not", right)
	}
}
