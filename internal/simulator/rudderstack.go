package simulator

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/elimity-com/scim"
	scimerrors "github.com/elimity-com/scim/errors"
	"github.com/elimity-com/scim/optional"
	"github.com/elimity-com/scim/schema"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

// rudderStackToken holds characters that URLs escape.
const rudderStackToken = "rs-org-7f3a+Wm/9Qx=="

// RudderStack serves RudderStack's SCIM 2.0 API with a SCIM library from
// outside this project. It honours excludedAttributes=members, which the
// library leaves to the store.
type RudderStack struct{ *Server }

// NewRudderStack makes a server that does not listen yet.
func NewRudderStack(size Size, opts ...Option) *RudderStack {
	return &RudderStack{newServer(&rudderstack{}, func(id string) string { return id }, size, opts)}
}

// Start listens, as Server.Start does.
func (s *RudderStack) Start(tb TB) *RudderStack {
	s.Server.Start(tb)
	return s
}

// Token is the credential.
func (s *RudderStack) Token() string { return rudderStackToken }

// Env lists the environment variables for baton-rudderstack.
func (s *RudderStack) Env() []string {
	return []string{"BATON_RUDDERSTACK_SCIM_BASE_URL=" + s.URL(), "BATON_RUDDERSTACK_SCIM_TOKEN=" + s.Token()}
}

type rudderstack struct {
	*Server
	library *scim.Server
}

func (v *rudderstack) prefix() string { return "/tenant-7/scim/v2" }

func (v *rudderstack) authorized(r *http.Request) bool {
	return subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+rudderStackToken)) == 1
}

func (v *rudderstack) refuse(w http.ResponseWriter, status int) {
	detail := "The access token is missing, malformed or has been revoked."
	if status == http.StatusMethodNotAllowed {
		detail = "The method is not allowed."
	}
	scimError(w, status, detail)
}

// scimError sends an error as RFC 7644, section 3.12, defines it.
func scimError(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/scim+json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"detail":%q,"status":"%d"}`, detail, status)
}

func (v *rudderstack) groupID(i int) string { return ksuid("group", i) }

func (v *rudderstack) everyone() *Team { return nil }

func (s *Server) newPerson(i int, email string) *Person {
	p := s.vendor.person(i)
	if _, isGuru := s.vendor.(*guru); isGuru {
		p.ID = email
	}
	p.Login, p.Emails, p.Status = email, []directory.Email{{Address: email, Primary: true}}, "ACTIVE"
	return p
}

func (v *rudderstack) person(i int) *Person {
	first, last := firsts[i%len(firsts)], lasts[i%len(lasts)]
	p := &Person{
		ID: ksuid("user", i), Login: fmt.Sprintf("user%d@example.com", i), First: first, Last: last,
		Display: first + " " + last, Status: "ACTIVE", Created: epoch.Add(time.Duration(i) * time.Minute).Truncate(time.Second),
	}
	p.Emails = []directory.Email{{Address: p.Login, Primary: true}}
	switch i % 10 {
	case 1: // RudderStack lets users change only the display name
		p.First, p.Last = "", ""
	case 2: // the full name in one field
		p.First, p.Last, p.Display = "", p.Display, ""
	case 3:
		p.First, p.Last, p.Display, p.Formatted = "", "", "", "Dr. "+p.Display
	case 4:
		p.First, p.Last, p.Display = "", "", ""
	case 5:
		p.Display = ""
		p.Emails = append(p.Emails, directory.Email{Address: fmt.Sprintf("user%d@home.example.com", i)})
		p.Title, p.External = "Head of Data", fmt.Sprintf("hr-%d", i)
	case 6:
		p.Emails = slices.Insert(p.Emails, 0, directory.Email{Address: fmt.Sprintf("old%d@example.com", i)})
	case 7:
		p.Status = ""
	case 9:
		p.Status = "INACTIVE"
	}
	return p
}

func (v *rudderstack) present(p *Person) User {
	u := User{
		Login: shown(p.Login), Name: shown(p.Display, p.Formatted, joined(p.First, p.Last), p.Login, p.ID), Emails: onePrimary(p.Emails, p.Login),
		Disabled: p.Status != "" && p.Status != "ACTIVE", CreatedAt: p.Created, Profile: map[string]any{"user_id": p.ID},
	}
	active := "not stated"
	if p.Status != "" {
		active = strconv.FormatBool(!u.Disabled)
	}
	stated(u.Profile, map[string]string{
		"first_name": p.First, "last_name": p.Last, "display_name": p.Display, "user_name": p.Login,
		"active": active, "title": p.Title, "external_id": p.External,
	})
	return u
}

func (v *rudderstack) presentTeam(t *Team) Group {
	return Group{Name: shown(t.Name, t.ID), CreatedAt: t.Created.Truncate(time.Second), Profile: map[string]any{"group_id": t.ID}}
}

func (v *rudderstack) resourceTypes() []scim.ResourceType {
	return []scim.ResourceType{
		{
			ID: optional.NewString("User"), Name: "User", Endpoint: "/Users", Schema: schema.CoreUserSchema(),
			Handler: resources{
				v, func() int { return len(v.dir.people) }, func(i int, _ *http.Request) scim.Resource { return v.user(v.dir.people[i]) },
				func(id string, _ *http.Request) (scim.Resource, bool) {
					p, ok := v.dir.person[id]
					if !ok {
						return scim.Resource{}, false
					}
					return v.user(p), true
				},
			},
		},
		{
			ID: optional.NewString("Group"), Name: "Group", Endpoint: "/Groups", Schema: schema.CoreGroupSchema(),
			Handler: resources{
				v, func() int { return len(v.dir.teams) }, func(i int, r *http.Request) scim.Resource { return v.group(v.dir.teams[i], r) },
				func(id string, r *http.Request) (scim.Resource, bool) {
					t, ok := v.dir.team[id]
					if !ok {
						return scim.Resource{}, false
					}
					return v.group(t, r), true
				},
			},
		},
	}
}

func (v *rudderstack) user(p *Person) scim.Resource {
	a := scim.ResourceAttributes{"userName": p.Login}
	name := map[string]any{}
	for key, value := range map[string]string{"givenName": p.First, "familyName": p.Last, "formatted": p.Formatted} {
		if value != "" {
			name[key] = value
		}
	}
	if len(name) > 0 {
		a["name"] = name
	}
	if p.Display != "" {
		a["displayName"] = p.Display
	}
	if p.Title != "" {
		a["title"] = p.Title
	}
	if p.Emails != nil {
		emails := make([]any, len(p.Emails))
		for i, e := range p.Emails {
			email := map[string]any{"value": e.Address}
			if e.Primary {
				email["primary"], email["type"] = true, "work"
			}
			emails[i] = email
		}
		a["emails"] = emails
	}
	if p.Status != "" {
		a["active"] = p.Status == "ACTIVE"
	}
	user := scim.Resource{ID: p.ID, Attributes: a, Meta: stamp(p.Created)}
	if p.External != "" {
		user.ExternalID = optional.NewString(p.External)
	}
	return user
}

func (v *rudderstack) group(t *Team, r *http.Request) scim.Resource {
	a := scim.ResourceAttributes{"displayName": t.Name}
	if !withoutMembers(r) {
		members := make([]any, len(t.Members))
		for i, m := range t.Members {
			row := map[string]any{"value": m.ID, "type": "User"}
			switch {
			case m.Nested:
				row["type"] = "Group"
				if inner := v.dir.team[m.ID]; inner != nil {
					row["display"] = inner.Name
				}
			case v.dir.person[m.ID] != nil:
				row["display"] = v.dir.person[m.ID].Login
			}
			members[i] = row
		}
		a["members"] = members
	}
	return scim.Resource{ID: t.ID, Attributes: a, Meta: stamp(t.Created)}
}

func stamp(at time.Time) scim.Meta {
	if at.IsZero() {
		return scim.Meta{}
	}
	return scim.Meta{Created: &at, LastModified: &at}
}

// withoutMembers reports whether a request excludes members (RFC 7644, section 3.9).
func withoutMembers(r *http.Request) bool {
	return slices.ContainsFunc(strings.Split(r.URL.Query().Get("excludedAttributes"), ","), func(name string) bool {
		return strings.EqualFold(strings.TrimSpace(name), "members")
	})
}

// resources is one collection in the form that the library needs.
type resources struct {
	v    *rudderstack
	size func() int
	at   func(i int, r *http.Request) scim.Resource
	by   func(id string, r *http.Request) (scim.Resource, bool)
}

func (c resources) GetAll(r *http.Request, params scim.ListRequestParams) (scim.Page, error) {
	c.v.dir.mu.RLock()
	defer c.v.dir.mu.RUnlock()
	page := scim.Page{TotalResults: c.size(), Resources: []scim.Resource{}}
	for i := params.StartIndex - 1; i < c.size() && len(page.Resources) < params.Count; i++ {
		page.Resources = append(page.Resources, c.at(i, r))
	}
	return page, nil
}

func (c resources) Get(r *http.Request, id string) (scim.Resource, error) {
	c.v.dir.mu.RLock()
	defer c.v.dir.mu.RUnlock()
	if one, ok := c.by(id, r); ok {
		return one, nil
	}
	return scim.Resource{}, scimerrors.ScimErrorResourceNotFound(id)
}

var errReadOnly = scimerrors.ScimError{Status: http.StatusNotImplemented, Detail: "read only"}

func (c resources) Create(*http.Request, scim.ResourceAttributes) (scim.Resource, error) {
	return scim.Resource{}, errReadOnly
}

func (c resources) Replace(*http.Request, string, scim.ResourceAttributes) (scim.Resource, error) {
	return scim.Resource{}, errReadOnly
}

func (c resources) Patch(*http.Request, string, []scim.PatchOperation) (scim.Resource, error) {
	return scim.Resource{}, errReadOnly
}

func (c resources) Delete(*http.Request, string) error { return errReadOnly }

// maxCount is the largest number of rows in a page. The fault cap-100 makes it 100.
const maxCount = 200

func newLibrary(v *rudderstack) *scim.Server {
	server, err := scim.NewServer(&scim.ServerArgs{
		ServiceProviderConfig: &scim.ServiceProviderConfig{MaxResults: maxCount},
		ResourceTypes:         v.resourceTypes(),
	})
	if err != nil {
		panic("simulator: " + err.Error())
	}
	return &server
}

// onePrimary marks a primary address if the vendor marks none: the address that
// equals the login, else the first. Programs that show one address of a user,
// such as an export, show the primary.
func onePrimary(emails []directory.Email, login string) []directory.Email {
	if len(emails) == 0 || slices.ContainsFunc(emails, func(e directory.Email) bool { return e.Primary }) {
		return emails
	}
	emails = slices.Clone(emails)
	at := max(0, slices.IndexFunc(emails, func(e directory.Email) bool { return e.Address == login }))
	emails[at].Primary = true
	return emails
}

func (v *rudderstack) serve(w http.ResponseWriter, r *http.Request) {
	path := pathOf(r)
	if v.options.fast && (path == "/Users" || path == "/Groups") && v.page(w, r, path) {
		return
	}
	v.ask(w, r, path)
}

func (v *rudderstack) ask(w http.ResponseWriter, r *http.Request, path string) {
	inner := r.Clone(r.Context())
	inner.URL.Path, inner.URL.RawPath = "/v2"+path, ""
	v.library.ServeHTTP(w, inner)
}

// page answers a list with rows that the library rendered before. It leaves
// unusual requests to the library.
func (v *rudderstack) page(w http.ResponseWriter, r *http.Request, path string) bool {
	q := r.URL.Query()
	start, count := 1, maxCount
	for name, into := range map[string]*int{"startIndex": &start, "count": &count} {
		if text := q.Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 {
				return false
			}
			*into = n
		}
	}
	count = min(count, maxCount)
	if q.Has("filter") {
		return false
	}
	rows, total := v.rows(r, path, start, count)
	var body bytes.Buffer
	size := 200
	for _, row := range rows {
		size += len(row) + 1
	}
	body.Grow(size)
	body.WriteString(`{"Resources":[`)
	body.Write(bytes.Join(rows, []byte(",")))
	_, _ = fmt.Fprintf(&body, `],"itemsPerPage":%d,"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"startIndex":%d,"totalResults":%d}`, count, start, total)
	w.Header().Set("Content-Type", "application/scim+json")
	_, _ = w.Write(body.Bytes())
	return true
}

func (v *rudderstack) rows(r *http.Request, path string, start, count int) (rows [][]byte, total int) {
	v.dir.mu.RLock()
	people, teams := v.dir.people, v.dir.teams
	v.dir.mu.RUnlock()
	render := func(id string) func() []byte {
		return func() []byte {
			one := r.Clone(r.Context())
			recorder := httptest.NewRecorder()
			// The library unescapes the path a second time, after net/http.
			v.ask(recorder, one, path+"/"+url.PathEscape(id))
			return recorder.Body.Bytes()
		}
	}
	if path == "/Users" {
		for i := start - 1; i < len(people) && len(rows) < count; i++ {
			rows = append(rows, v.dir.row(&people[i].rows[0], render(people[i].ID)))
		}
		return rows, len(people)
	}
	slot := 0
	if withoutMembers(r) {
		slot = 1
	}
	for i := start - 1; i < len(teams) && len(rows) < count; i++ {
		rows = append(rows, v.dir.row(&teams[i].rows[slot], render(teams[i].ID)))
	}
	return rows, len(teams)
}
