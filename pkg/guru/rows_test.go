package guru

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestUserRows(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name, row string
		// id is empty where the row is an error.
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
			id: "agent-7", display: "agent-7", detail: "ACTIVE", userID: "u3", status: "ACTIVE", service: true,
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
			id: "u6", display: "Ann", detail: "ACTIVE", userID: "U6", status: "ACTIVE",
		},
		{
			name: "numbers for ids", row: `{"id":90071992547409931234,"user":{"id":12,"status":"ACTIVE","email":"a@example.com"}}`,
			id: "90071992547409931234", display: "a@example.com", login: "a@example.com", detail: "ACTIVE", userID: "12", status: "ACTIVE",
		},
		{
			name: "odd values elsewhere", row: `{"id":"a@example.com","dateCreated":{},"userAttributes":[],"highestRole":7,"managedByScim":"maybe","user":{"status":"ACTIVE","email":"a@example.com","firstName":["x"]}}`,
			id: "a@example.com", display: "a@example.com", login: "a@example.com", detail: "ACTIVE", userID: "a@example.com", status: "ACTIVE",
		},
		{name: "user null", row: `{"id":"a@example.com","user":null}`},
		{name: "user missing", row: `{"id":"a@example.com","highestRole":"MEMBER"}`},
		{name: "user empty", row: `{"id":"a@example.com","user":{}}`},
		{name: "no id, no e-mail", row: `{"user":{"id":"u7","status":"ACTIVE","firstName":"Ann"}}`},
		{name: "blank id", row: `{"id":"  ","user":{"id":"u7","status":"ACTIVE"}}`},
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

func TestAMemberNeedsItsIDOnly(t *testing.T) {
	t.Parallel()
	for row, want := range map[string]string{
		`{"id":"A@example.com","user":null}`:                    "a@example.com",
		`{"id":"A@example.com"}`:                                "a@example.com",
		`{"id":"A@example.com","user":{}}`:                      "a@example.com",
		`{"user":{"email":" A@example.com"}}`:                   "a@example.com",
		`{"id":17,"user":{}}`:                                   "17",
		`{"id":true,"user":{"email":"a@example.com"}}`:          "",
		`{"user":{"id":"7f6b1a52-1111-4222-8333-44445555666"}}`: "",
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
			if (key == "") != (err != nil) && err == nil || key != strings.ToLower(strings.TrimSpace(key)) {
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
