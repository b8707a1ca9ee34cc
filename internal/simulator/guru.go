package simulator

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

const (
	guruEmail = "admin@example.com"
	// guruToken holds characters that URLs and JSON escape.
	guruToken = "guru-0c5e+Vn/4Zr&="
	// GuruRowToken is a secret in some rows of Guru's list of members. It must
	// appear in no output.
	GuruRowToken = "row-token-5b1f+Kd/8Tq="

	// Rows per page (Guru's Swagger).
	guruMemberRows      = 50
	guruGroupMemberRows = 100
)

// Guru serves Guru's REST API, with the payloads of Guru's documentation.
type Guru struct{ *Server }

// NewGuru makes a server that does not listen yet.
func NewGuru(size Size, opts ...Option) *Guru {
	v := &guru{style: documentedLink}
	return &Guru{newServer(v, strings.ToLower, size, opts)}
}

// Start listens, as Server.Start does.
func (s *Guru) Start(tb TB) *Guru {
	s.Server.Start(tb)
	return s
}

// Email is the user name of the credential.
func (s *Guru) Email() string { return guruEmail }

// Token is the password of the credential.
func (s *Guru) Token() string { return guruToken }

// Env lists the environment variables for baton-guru.
func (s *Guru) Env() []string {
	return []string{"BATON_BASE_URL=" + s.URL(), "BATON_USER_EMAIL=" + s.Email(), "BATON_API_TOKEN=" + s.Token()}
}

type guru struct {
	*Server
	// Faults change the fields below.
	style      func(v *guru, w http.ResponseWriter, next, token string)
	onward     func(path string, first, last int, more bool) (after int, link bool)
	groupRows  int  // rows per page of groups; 0 for all
	memberRows int  // rows per page of a group's members; 0 for the documented number
	lenient    bool // reads a blank in a token as a plus
	emptyList  func(w http.ResponseWriter)
	// stateGroups makes the rows of /members name their users' groups.
	stateGroups bool
	// ownGroups changes those groups; nil changes nothing.
	ownGroups func(p *Person, groups []ownGroup) []ownGroup
}

// ownGroup is a group in a row of /members.
type ownGroup struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Role string `json:"role"`
}

// groupsOf returns the groups in a row of /members. They include All Members,
// as Guru documents.
func (v *guru) groupsOf(p *Person) []ownGroup {
	groups := []ownGroup{}
	if !v.stateGroups {
		return groups
	}
	v.dir.mu.RLock()
	defer v.dir.mu.RUnlock()
	for _, t := range v.dir.teams {
		in := func(m Member) bool { return !m.Nested && v.dir.fold(m.ID) == v.dir.fold(p.ID) }
		if t.Everyone || slices.ContainsFunc(t.Members, in) {
			groups = append(groups, ownGroup{t.ID, t.Name, "MEMBER"})
		}
	}
	if v.ownGroups != nil {
		groups = v.ownGroups(p, groups)
	}
	return groups
}

func (v *guru) prefix() string { return "/gateway/api/v1" }

func (v *guru) authorized(r *http.Request) bool {
	email, token, ok := r.BasicAuth()
	return ok && strings.EqualFold(email, guruEmail) && subtle.ConstantTimeCompare([]byte(token), []byte(guruToken)) == 1
}

func (v *guru) refuse(w http.ResponseWriter, status int) {
	message := "Request was unauthorized"
	if status == http.StatusMethodNotAllowed {
		message = "Method not allowed"
	}
	guruError(w, status, message)
}

func guruError(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"code":%d,"message":%q}`, status, message)
}

func (v *guru) groupID(i int) string { return uuid("group", i) }

func (v *guru) everyone() *Team {
	return &Team{ID: uuid("everyone", 0), Name: "All Members", Everyone: true, Created: epoch}
}

func (v *guru) person(i int) *Person {
	first, last := firsts[i%len(firsts)], lasts[i%len(lasts)]
	p := &Person{
		ID: fmt.Sprintf("user%d@example.com", i), UUID: uuid("user", i), First: first, Last: last,
		Status: "ACTIVE", Role: []string{"MEMBER", "AUTHOR", "COLL_ADMIN"}[i%3], Created: epoch.Add(time.Duration(i) * time.Minute),
	}
	switch i % 11 {
	case 0:
		if i == 0 {
			p.ID, p.Role = guruEmail, "ADMIN"
		}
	case 3:
		p.ID = fmt.Sprintf("User%d@Example.com", i)
	case 5:
		p.Status = "PENDING"
		p.First, p.Last = "", ""
	case 7:
		p.Status = "PENDING"
	case 8:
		p.ID = fmt.Sprintf("agent%d@agents.example.com", i)
		p.Agent, p.First, p.Last = true, "", ""
	case 9:
		p.Last = ""
	}
	p.Login = p.ID
	return p
}

func (v *guru) present(p *Person) User {
	email := p.Login
	if email == "" {
		email = p.ID
	}
	u := User{
		Login: shown(email), Name: shown(joined(p.First, p.Last), email), Emails: []directory.Email{{Address: email, Primary: true}},
		Disabled: p.Status != "" && !strings.EqualFold(p.Status, "ACTIVE"), Detail: p.Status, Service: p.Agent, CreatedAt: p.Created, Profile: map[string]any{},
	}
	status := p.Status
	if status == "" {
		status = "not stated"
	}
	stated(u.Profile, map[string]string{
		"user_id": p.UUID, "first_name": p.First, "last_name": p.Last, "status": status,
		"user_type": p.guruUser().UserType, "highest_role": p.Role, "billing_type": guruBilling,
	})
	u.Profile["managed_by_scim"] = p.managed()
	return u
}

func (v *guru) presentTeam(t *Team) Group {
	g := Group{Name: shown(t.Name, t.ID), CreatedAt: t.Created, Profile: map[string]any{
		"group_id": t.ID, "modifiable": !t.Everyone, "managed_by_scim": false,
	}}
	stated(g.Profile, map[string]string{"group_identifier": t.guruIdentifier()})
	return g
}

// guruBilling is every user's billing type.
const guruBilling = "CORE"

// managed reports whether Guru got the user from a customer's directory.
func (p *Person) managed() bool { return p.seq%4 == 0 }

// guruIdentifier is the group's name in links.
func (t *Team) guruIdentifier() string {
	if t.Everyone {
		return "team"
	}
	return strings.ToLower(strings.ReplaceAll(t.Name, " ", "-"))
}

func (v *guru) serve(w http.ResponseWriter, r *http.Request) {
	segments := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), v.prefix()+"/"), "/")
	for i, escaped := range segments {
		segments[i], _ = url.PathUnescape(escaped) // net/http has already parsed it
	}
	d := v.dir
	d.mu.RLock()
	people, teams := d.people, d.teams
	var team *Team
	if len(segments) > 1 && segments[0] == "groups" {
		team = d.team[segments[1]]
	}
	var members []Member
	if team != nil {
		members = team.Members
	}
	d.mu.RUnlock()
	switch {
	case slices.Equal(segments, []string{"whoami"}):
		v.whoami(w)
	case slices.Equal(segments, []string{"members"}):
		listPage(v, w, r, people, guruMemberRows, func(p *Person) int { return p.seq }, v.memberRow)
	case slices.Equal(segments, []string{"groups"}), slices.Equal(segments, []string{"groups", "usergroups"}):
		listPage(v, w, r, teams, v.groupRows, func(t *Team) int { return t.seq }, v.groupRow)
	case team == nil:
		guruError(w, http.StatusNotFound, "Resource could not be found")
	case len(segments) == 2:
		w.Header().Set("Content-Type", "application/json;charset=utf-8")
		_, _ = w.Write(v.groupRow(team))
	case len(segments) == 3 && segments[2] == "members":
		rows := guruGroupMemberRows
		if v.memberRows != 0 {
			rows = v.memberRows
		}
		listPage(v, w, r, members, rows, func(m Member) int { return m.seq }, v.groupMemberRow)
	default:
		guruError(w, http.StatusNotFound, "Resource could not be found")
	}
}

// listPage answers with the rows after the row in the token. Deleted rows do
// not shift the others.
func listPage[T any](v *guru, w http.ResponseWriter, r *http.Request, all []T, size int, seq func(T) int, render func(T) []byte) {
	q := r.URL.Query()
	after := 0
	if q.Has("token") {
		var ok bool
		if after, ok = v.readToken(pathOf(r), q.Get("token")); !ok {
			guruError(w, http.StatusBadRequest, "Unable to decode paging token.  Paging tokens are generated by the system and can not be altered.")
			return
		}
	}
	from, _ := slices.BinarySearchFunc(all, after+1, func(row T, want int) int { return seq(row) - want })
	rows, link, next := all[from:], false, 0
	if size > 0 && len(rows) > size {
		rows = rows[:size]
		link, next = true, seq(rows[size-1])
	}
	if v.onward != nil && len(rows) > 0 {
		next, link = v.onward(pathOf(r), seq(rows[0]), seq(rows[len(rows)-1]), link)
	}
	// Seen at Guru: a size parameter suppresses the header.
	if link && !q.Has("maxResults") && !q.Has("pageSize") && !q.Has("limit") && !q.Has("size") && !q.Has("count") {
		scheme := "http"
		if r.TLS != nil {
			scheme = "https"
		}
		v.style(v, w, scheme+"://"+r.Host+r.URL.EscapedPath(), v.makeToken(pathOf(r), next))
	}
	// Documented for the members of an empty group.
	if len(rows) == 0 && strings.HasSuffix(pathOf(r), "/members") && pathOf(r) != "/members" {
		if v.emptyList != nil {
			v.emptyList(w)
			return
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	var body bytes.Buffer
	body.WriteByte('[')
	for i, row := range rows {
		if i > 0 {
			body.WriteByte(',')
		}
		body.Write(render(row))
	}
	body.WriteByte(']')
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	_, _ = w.Write(body.Bytes())
}

// documentedLink sends the header as Guru documents it, with its blanks.
func documentedLink(_ *guru, w http.ResponseWriter, next, token string) {
	w.Header().Add("Link", "< "+next+"?token="+url.QueryEscape(token)+` >; rel="next-page"`)
}

// makeToken returns an opaque token that holds a position in one list. Its text
// always has a plus, a slash and an equals sign.
func (v *guru) makeToken(path string, seq int) string {
	raw := []byte{0xfb, 0xff}
	check := directory.Fingerprint(fmt.Sprint("token of ", path, " at ", seq))
	raw = binary.BigEndian.AppendUint64(raw, check)
	raw = binary.BigEndian.AppendUint32(raw, uint32(seq)^uint32(check)) //nolint:gosec // seq is small
	return base64.StdEncoding.EncodeToString(raw)
}

func (v *guru) readToken(path, token string) (seq int, ok bool) {
	if v.lenient {
		token = strings.ReplaceAll(token, " ", "+")
	}
	raw, err := base64.StdEncoding.DecodeString(token)
	if err != nil || len(raw) != 14 {
		return 0, false
	}
	seq = int(binary.BigEndian.Uint32(raw[10:]) ^ uint32(binary.BigEndian.Uint64(raw[2:10]))) //nolint:gosec // the lower half
	return seq, v.makeToken(path, seq) == token
}

// guruDate is the layout of Guru's dates.
const guruDate = "2006-01-02T15:04:05.000-0700"

type guruUser struct {
	ID            string `json:"id,omitempty"`
	Status        string `json:"status,omitempty"`
	Email         string `json:"email"`
	FirstName     string `json:"firstName,omitempty"`
	LastName      string `json:"lastName,omitempty"`
	ProfilePicURL string `json:"profilePicUrl,omitempty"`
	UserType      string `json:"userType,omitempty"`
}

func (p *Person) guruUser() guruUser {
	u := guruUser{ID: p.UUID, Status: p.Status, Email: p.Login, FirstName: p.First, LastName: p.Last, UserType: "USER"}
	if p.Agent {
		u.UserType = "KNOWLEDGE_AGENT"
	}
	return u
}

func guruTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(guruDate)
}

func (v *guru) memberRow(p *Person) []byte {
	slot := &p.rows[0]
	if v.stateGroups { // the groups change while the person does not
		slot = new([]byte)
	}
	return v.dir.row(slot, func() []byte {
		row := struct {
			ID             string            `json:"id"`
			DateCreated    string            `json:"dateCreated,omitempty"`
			User           guruUser          `json:"user"`
			Groups         []ownGroup        `json:"groups"`
			UserAttributes map[string]string `json:"userAttributes"`
			HighestRole    string            `json:"highestRole,omitempty"`
			Token          string            `json:"token,omitempty"`
			ManagedBySCIM  bool              `json:"managedByScim"`
		}{
			ID: p.ID, DateCreated: guruTime(p.Created), User: p.guruUser(), Groups: v.groupsOf(p),
			UserAttributes: map[string]string{"BILLING_TYPE": guruBilling}, HighestRole: p.Role, ManagedBySCIM: p.managed(),
		}
		row.User.ProfilePicURL = "https://pics.example.com/" + p.UUID
		if p.seq%6 == 1 {
			row.Token = GuruRowToken
		}
		return encode(row)
	})
}

func (v *guru) groupMemberRow(m Member) []byte {
	v.dir.mu.RLock()
	p := v.dir.person[v.dir.fold(m.ID)]
	v.dir.mu.RUnlock()
	if p == nil { // joined since the list of members was read
		p = &Person{ID: m.ID, Login: m.ID, First: "New", Last: "Member", Status: "ACTIVE", UUID: uuid("unlisted", m.seq), Created: epoch}
	}
	return v.dir.row(&p.rows[1], func() []byte {
		return encode(map[string]any{
			"id": p.ID, "dateCreated": guruTime(p.Created), "user": p.guruUser(), "managedByScim": p.managed(),
		})
	})
}

func (v *guru) groupRow(t *Team) []byte {
	return v.dir.row(&t.rows[0], func() []byte {
		row := map[string]any{
			"id": t.ID, "name": t.Name, "groupIdentifier": t.guruIdentifier(),
			"numberOfMembers": len(t.Members), "modifiable": true, "userModifiable": true, "singleUser": false, "managedByScim": false,
		}
		if !t.Created.IsZero() {
			row["dateCreated"] = guruTime(t.Created)
		}
		if t.Everyone {
			row["numberOfMembers"], row["modifiable"], row["userModifiable"] = 0, false, false
		}
		return encode(row)
	})
}

func (v *guru) whoami(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	_, _ = w.Write(encode(map[string]any{
		"user":      guruUser{ID: uuid("user", 0), Status: "ACTIVE", Email: guruEmail, FirstName: firsts[0], LastName: lasts[0]},
		"tokenType": "API",
		"team":      map[string]any{"id": uuid("team", 0), "name": "Example Team", "status": "ACTIVE"},
	}))
}

func encode(value any) []byte {
	body, err := json.Marshal(value)
	if err != nil {
		panic("simulator: " + err.Error())
	}
	return body
}
