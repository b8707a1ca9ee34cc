package rudderstack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

const listOpen = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":1,"Resources":[`

// An answer that is not a list must not pass for an empty one: that would
// revoke every user's access.
func TestOnlyAListIsAList(t *testing.T) {
	for _, test := range []struct {
		name, body string
		code       codes.Code
	}{
		{"HTML", "<html><body>Please log in</body></html>", codes.FailedPrecondition},
		{"text", "OK", codes.FailedPrecondition},
		{"nothing", "", codes.FailedPrecondition},
		{"null", "null", codes.FailedPrecondition},
		{"an array", "[]", codes.FailedPrecondition},
		{"an array of rows", `[{"id":"1"}]`, codes.FailedPrecondition},
		{"an empty object", "{}", codes.FailedPrecondition},
		{"an error", `{"error":"oops"}`, codes.FailedPrecondition},
		{"an error beside a total", `{"error":{"message":"oops"},"totalResults":0}`, codes.FailedPrecondition},
		{"errors beside a total", `{"errors":[{"code":"scim.down"}],"totalResults":0,"Resources":[]}`, codes.FailedPrecondition},
		{"a message beside a total", `{"Message":"SCIM is not enabled","totalResults":0}`, codes.FailedPrecondition},
		{"a detail beside a total", `{"detail":"not for you","totalResults":0,"Resources":null}`, codes.FailedPrecondition},
		{"rows of another name", `{"totalResults":0,"Resources":[],"Users":[{"id":"1"}]}`, codes.FailedPrecondition},
		{"a SCIM error without more", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"detail":"oops","status":"500"}`, codes.FailedPrecondition},
		{"a SCIM error", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":400,"totalResults":0}`, codes.FailedPrecondition},
		{"a user", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"id":"1"}`, codes.FailedPrecondition},
		{"a list that says nothing", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"]}`, codes.FailedPrecondition},
		{"an object for rows", `{"totalResults":1,"Resources":{"id":"1"}}`, codes.FailedPrecondition},
		{"text for rows", `{"totalResults":1,"Resources":"none"}`, codes.FailedPrecondition},
		{"a total without rows", `{"totalResults":5}`, codes.FailedPrecondition},
		{"rows without a total", `{"totalResults":0,"Resources":[{"id":"1"}]}`, codes.FailedPrecondition},
		{"an absurd total", `{"totalResults":99999999999,"Resources":[{"id":"1"}]}`, codes.FailedPrecondition},
		{"an absurd exponent", `{"totalResults":1e99999999999,"Resources":[{"id":"1"}]}`, codes.FailedPrecondition},
		{"cut off in a row", listOpen + `{"id":"1","userName":"a`, codes.Unavailable},
		{"cut off after a row", listOpen + `{"id":"1"}`, codes.Unavailable},
		{"broken", listOpen + `{"id":"1"},}]} `, codes.FailedPrecondition},
		{"a row without id", listOpen + `{"userName":"a@example.com"}]}`, codes.Internal},
		{"a row with a blank id", listOpen + `{"id":" "}]}`, codes.Internal},
		{"a row with an object for an id", listOpen + `{"id":{"a":1}}]}`, codes.Internal},
		{"a row with a broken id", listOpen + "{\"id\":\"a\xffb\"}]}", codes.Internal},
		{"a row with an endless id", listOpen + `{"id":"` + strings.Repeat("x", 1025) + `"}]}`, codes.Internal},
		{"a row that is null", listOpen + `null]}`, codes.Internal},
		{"a row that is a text", listOpen + `"1"]}`, codes.FailedPrecondition},
		{"a status that is no boolean", listOpen + `{"id":"1","active":"perhaps"}]}`, codes.Internal},
		{"deep nesting", strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000), codes.FailedPrecondition},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := &scim{other: func(w http.ResponseWriter, _ *http.Request) bool {
				_, _ = w.Write([]byte(test.body))
				return true
			}}
			page, err := server.start(t).Users(t.Context(), "")
			if codeOf(err) != test.code || err == nil || len(page.Rows) > 0 {
				t.Fatalf("code %s, want %s: %v", codeOf(err), test.code, err)
			}
			if text := err.Error(); strings.ContainsAny(text, "\n<") || len(text) > 700 || !strings.HasPrefix(text, "GET "+server.url+"/Users: ") {
				t.Errorf("%q", text)
			}
		})
	}
}

func TestAFaultyRowIsNamed(t *testing.T) {
	server := &scim{users: ids("u", 150)}
	server.users[120] = ""
	_, err := walkUsers(t, server.start(t))
	if codeOf(err) != codes.Internal || !strings.Contains(err.Error(), "the row at index 25 of the page at startIndex 96: has no id") {
		t.Errorf("%v", err)
	}
}

func TestAListOfNoneIsATruth(t *testing.T) {
	for _, body := range []string{
		`{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":0}`,
		`{"SCHEMAS":["URN:ietf:params:scim:api:messages:2.0:LISTRESPONSE"],"TOTALRESULTS":"0","RESOURCES":null}`,
		`{"schemas":"urn:ietf:params:scim:api:messages:2.0:ListResponse","totalResults":0,"Resources":[],"error":null}`,
		`{"totalResults":0,"Resources":[],"errors": [ ],"message":"","startIndex":1,"itemsPerPage":0,"requestId":"7f","links":[{"rel":"self","href":"/Groups"}],"meta":{"resourceType":"ListResponse"}}`,
	} {
		server := &scim{other: func(w http.ResponseWriter, _ *http.Request) bool {
			fmt.Fprint(w, body)
			return true
		}}
		page, err := server.start(t).Users(t.Context(), "")
		if err != nil || len(page.Rows) > 0 || page.Next != "" {
			t.Errorf("%s: %+v, %v", body, page, err)
		}
	}
}

// answers returns a function that puts another body into an answer that came
// over HTTP. Such an answer knows which secrets an error must hide.
func answers(t testing.TB) func(body []byte) *rest.Answer {
	t.Helper()
	var one rest.Answer
	source := (&scim{users: ids("u", 1)}).start(t)
	err := source.client.Get(context.Background(), rest.Request{Path: []string{usersPath}}, func(a *rest.Answer) error {
		one = *a
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return func(body []byte) *rest.Answer {
		a := one
		a.Body = body
		return &a
	}
}

func decodeUser(answer func([]byte) *rest.Answer, row string) (directory.User, error) {
	p, err := decodeList(answer([]byte(listOpen+row+"]}")), users, "the page")
	if err != nil {
		return directory.User{}, err
	}
	if len(p.rows) == 0 {
		return directory.User{}, errors.New("no row")
	}
	return p.rows[0].user(), nil
}

func TestAUserIsTakenAsTheVendorSaysIt(t *testing.T) {
	answer := answers(t)
	profile := func(more ...string) map[string]any {
		out := map[string]any{"user_id": "1", "active": "not stated"}
		for i := 0; i < len(more); i += 2 {
			out[more[i]] = more[i+1]
		}
		return out
	}
	mail := func(address string, primary bool) directory.Email {
		return directory.Email{Address: address, Primary: primary}
	}
	for _, test := range []struct {
		name, row string
		want      directory.User
	}{
		{
			"all that there is", `{"schemas":["x"],"id":"1","externalId":"e1","userName":"ann@example.com","displayName":"Ann Lee","title":"Dr","userType":"Employee",
			"name":{"formatted":"Dr Ann Lee","givenName":"Ann","familyName":"Lee"},"active":true,"meta":{"created":"2024-02-03T04:05:06.7Z"},"unknown":{"a":[1]},
			"emails":[{"value":"ann@home.example.com","type":"home"},{"value":"ann@example.com","primary":true}],
			"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"employeeNumber":"7","costCenter":"c","organization":"o","division":"d","department":"p","manager":{"value":"2"}}}`,
			directory.User{
				Login: "ann@example.com", DisplayName: "Ann Lee", EmployeeID: "7",
				Emails:    []directory.Email{mail("ann@home.example.com", false), mail("ann@example.com", true)},
				CreatedAt: time.Date(2024, 2, 3, 4, 5, 6, 700_000_000, time.UTC),
				Profile: profile("active", "true", "user_name", "ann@example.com", "display_name", "Ann Lee", "first_name", "Ann", "last_name", "Lee",
					"external_id", "e1", "title", "Dr", "user_type", "Employee", "employee_number", "7", "cost_center", "c", "organization", "o", "division", "d", "department", "p"),
			},
		},
		{"only an id", `{"id":"1"}`, directory.User{DisplayName: "1", Profile: profile()}},
		{"all null", `{"id":"1","userName":null,"name":null,"emails":null,"active":null,"meta":null,"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":null}`, directory.User{DisplayName: "1", Profile: profile()}},
		{
			"odd case", `{"ID":"1","USERNAME":"a","Name":{"GIVENNAME":"Ann"},"ACTIVE":false}`,
			directory.User{Login: "a", DisplayName: "Ann", Disabled: true, Profile: profile("user_name", "a", "first_name", "Ann", "active", "false")},
		},
		{"formatted", `{"id":"1","displayName":" ","name":{"formatted":" Ann Lee "}}`, directory.User{DisplayName: "Ann Lee", Profile: profile()}},
		{"given alone", `{"id":"1","name":{"givenName":"Ann","familyName":""}}`, directory.User{DisplayName: "Ann", Profile: profile("first_name", "Ann")}},
		{"family alone", `{"id":"1","name":{"familyName":"Ann Lee"}}`, directory.User{DisplayName: "Ann Lee", Profile: profile("last_name", "Ann Lee")}},
		{"userName", `{"id":"1","userName":"ann@example.com"}`, directory.User{Login: "ann@example.com", DisplayName: "ann@example.com", Profile: profile("user_name", "ann@example.com")}},
		{
			"first e-mail", `{"id":"1","emails":[{"value":""},{"value":"a@example.com"}]}`,
			directory.User{DisplayName: "a@example.com", Emails: []directory.Email{mail("a@example.com", true)}, Profile: profile()},
		},
		{
			"two primaries", `{"id":"1","displayName":"A","emails":[{"value":"a@example.com","primary":true},{"value":"b@example.com","primary":true}]}`,
			directory.User{DisplayName: "A", Emails: []directory.Email{mail("a@example.com", true), mail("b@example.com", false)}, Profile: profile("display_name", "A")},
		},
		{
			"no primary: the login", `{"id":"1","userName":"B@example.com","emails":[{"value":"a@example.com"},{"value":"b@example.com"}]}`,
			directory.User{Login: "B@example.com", DisplayName: "B@example.com", Emails: []directory.Email{mail("a@example.com", false), mail("b@example.com", true)}, Profile: profile("user_name", "B@example.com")},
		},
		{
			"plain e-mails", `{"id":"1","displayName":"A","emails":["a@example.com",null,"b@example.com"]}`,
			directory.User{DisplayName: "A", Emails: []directory.Email{mail("a@example.com", true), mail("b@example.com", false)}, Profile: profile("display_name", "A")},
		},
		{
			"one e-mail, no array", `{"id":"1","displayName":"A","emails":{"value":"a@example.com","primary":"True"}}`,
			directory.User{DisplayName: "A", Emails: []directory.Email{mail("a@example.com", true)}, Profile: profile("display_name", "A")},
		},
		{
			"one plain e-mail, no array", `{"id":"1","displayName":"A","emails":"a@example.com"}`,
			directory.User{DisplayName: "A", Emails: []directory.Email{mail("a@example.com", true)}, Profile: profile("display_name", "A")},
		},
		{
			"booleans as text", `{"id":"1","displayName":"A","active":"False","emails":[{"value":"a@example.com","primary":"no idea"}]}`,
			directory.User{DisplayName: "A", Disabled: true, Emails: []directory.Email{mail("a@example.com", true)}, Profile: profile("display_name", "A", "active", "false")},
		},
		{"active as text", `{"id":"1","active":"TRUE"}`, directory.User{DisplayName: "1", Profile: profile("active", "true")}},
		{"name as text", `{"id":"1","userName":"a","name":"Ann Lee"}`, directory.User{Login: "a", DisplayName: "a", Profile: profile("user_name", "a")}},
		{"odd shapes", `{"id":"1","name":[1],"meta":"x","title":{"a":1},"displayName":7}`, directory.User{DisplayName: "7", Profile: profile("display_name", "7")}},
		{"a date that is none", `{"id":"1","meta":{"created":"yesterday"}}`, directory.User{DisplayName: "1", Profile: profile()}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := decodeUser(answer, test.row)
			test.want.ID = "1"
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("%v\n got %+v\nwant %+v", err, got, test.want)
			}
		})
	}
}

// An id that went through a float64 becomes another id.
func TestANumericIDKeepsAllItsDigits(t *testing.T) {
	answer := answers(t)
	for _, id := range []string{"9007199254740993", "18014398509481985", "123456789012345678901234567890"} {
		if got, err := decodeUser(answer, `{"id":`+id+`}`); err != nil || got.ID != id {
			t.Errorf("%s became %s: %v", id, got.ID, err)
		}
	}
}

func TestACursorOfElsewhereIsRefused(t *testing.T) {
	source := (&scim{users: ids("u", 300), groups: ids("g", 300)}).start(t)
	page, err := source.Users(t.Context(), "")
	if err != nil || page.Next == "" {
		t.Fatal(err)
	}
	encode := func(state any) string { return directory.EncodeCursor("users", state) }
	for _, cursor := range []string{
		"garbage!", "AAAA", page.Next + "A", page.Next[:len(page.Next)-3], strings.Repeat("A", 1<<20), encode(nil), encode(walk{}), encode(walk{Start: -5}),
		encode(walk{Start: 100}), encode(walk{Start: 1, Back: 1000}), encode(walk{Start: 1, Repeats: 3}), directory.EncodeCursor("groups", newWalk()),
	} {
		if _, err := source.Users(t.Context(), cursor); !errors.Is(err, directory.ErrCursor) {
			t.Errorf("users: %.60q: %v", cursor, err)
		}
	}
	w := newWalk()
	for _, cursor := range []string{
		page.Next, directory.EncodeCursor(memberships, membershipsCursor{}), directory.EncodeCursor(memberships, membershipsCursor{Walk: &walk{}}),
		directory.EncodeCursor(memberships, membershipsCursor{Walk: &w, Groups: []string{"g00001"}}),
	} {
		if _, err := source.Groups(t.Context(), cursor); !errors.Is(err, directory.ErrCursor) {
			t.Errorf("groups: %v", err)
		}
		if _, err := source.Memberships(t.Context(), cursor); !errors.Is(err, directory.ErrCursor) {
			t.Errorf("memberships: %v", err)
		}
		if _, err := source.Members(t.Context(), "g00001", cursor); !errors.Is(err, directory.ErrCursor) {
			t.Errorf("members: %v", err)
		}
	}
}

func FuzzListDecode(f *testing.F) {
	for _, seed := range []string{
		listOpen + `{"id":"1","userName":"a"}]}`, listOpen + `{"id":1,"emails":"a","active":"True","name":"x"}]}`, `{"totalResults":"1","Resources":[{"id":1e400}]}`,
		`null`, `[]`, `{}`, `{"Resources":[null]}`, `{"totalResults":1e30}`, `{"nextCursor":5,"Resources":[]}`, `{"error":1}`, "{\"Resources\":[{\"id\":\"\xff\"}]}",
		`{"totalResults":1,"Resources":[{"id":"g","members":[{"value":"u"},"v",5,null]}]}`, listOpen,
		listOpen + `{"id":"g","displayName":" ","externalId":7,"meta":{"created":"x"}}]}`, listOpen + `{"ID":5,"DisplayName":null,"meta":"x"}]}`,
	} {
		f.Add([]byte(seed))
	}
	answer := answers(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := decodeList(answer(body), users, "the page")
		if err == nil {
			for i := range p.rows {
				if u := p.rows[i].user(); directory.CheckID(u.ID) != nil || u.DisplayName == "" {
					t.Errorf("an incomplete row: %+v", u)
				}
			}
			if p.total < -1 || !json.Valid(body) {
				t.Errorf("%+v", p)
			}
		}
		g, err := decodeList(answer(body), groupNames, "the page")
		if err == nil {
			for i := range g.rows {
				if group := g.rows[i].group(); directory.CheckID(group.ID) != nil || strings.TrimSpace(group.Name) == "" {
					t.Errorf("an incomplete group: %+v", group)
				}
			}
		}
		q, err := decodeList(answer(body), groupMembers, "the page")
		if err == nil {
			for i := range q.rows {
				for _, m := range q.rows[i].Members {
					if directory.CheckID(m.Value) != nil || m.kind() == kindUnknown {
						t.Errorf("an incomplete member: %+v", m)
					}
				}
			}
		}
	})
}

func FuzzUserDecode(f *testing.F) {
	for _, seed := range []string{
		`{"id":"1","emails":[{"value":"a@example.com","primary":true},{"value":"b","primary":true}]}`, `{"id":1,"emails":["a"]}`, `{"id":"x","name":5,"active":"maybe"}`,
		`{"id":"1","ID":"2"}`, `{"id":true}`, `{"id":"1","emails":[[["a"]]]}`,
	} {
		f.Add([]byte(seed))
	}
	answer := answers(f)
	f.Fuzz(func(t *testing.T, row []byte) {
		u, err := decodeUser(answer, string(row))
		if err != nil {
			return
		}
		primaries := 0
		for _, email := range u.Emails {
			if email.Address == "" {
				t.Error("an e-mail without address")
			}
			if email.Primary {
				primaries++
			}
		}
		if primaries != min(1, len(u.Emails)) || directory.CheckID(u.ID) != nil || u.DisplayName == "" || !utf8.ValidString(u.DisplayName) {
			t.Errorf("%+v", u)
		}
	})
}

func FuzzCursor(f *testing.F) {
	w := walk{Start: 96, Recent: []uint64{1, 2, 3}, Seen: 100, Full: 100, Low: 300}
	for _, list := range []string{"users", "groups"} {
		f.Add(directory.EncodeCursor(list, w), list)
	}
	f.Add("", "users")
	f.Add("AAAA", "groups")
	f.Fuzz(func(t *testing.T, written, list string) {
		w, err := decodeWalk(list, written)
		if err != nil {
			if !errors.Is(err, directory.ErrCursor) {
				t.Error(err)
			}
			return
		}
		// From any position, a page either moves the walk to a valid one or
		// fails.
		for _, ids := range [][]uint64{nil, {1}, {7, 8, 9}, w.Recent} {
			for _, total := range []int{-1, 0, 1, 1000} {
				if step, err := w.advance(ids, total); err == nil && !step.done && !step.next.valid() {
					t.Errorf("%+v leads to %+v", w, step.next)
				}
			}
		}
	})
}
