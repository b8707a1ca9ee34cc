package rudderstack

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// listResponse is a SCIM list (RFC 7644, section 3.4.2; nextCursor: RFC 9865,
// section 2). encoding/json takes attribute names in any case, as SCIM does.
// startIndex and itemsPerPage are not read: servers get them wrong, and
// nothing here depends on them.
type listResponse[T any] struct {
	Schemas      []string        `json:"schemas"`
	TotalResults *int64          `json:"totalResults"`
	Resources    []T             `json:"Resources"`
	NextCursor   string          `json:"nextCursor"`
	Error        json.RawMessage `json:"error"`
}

const (
	listSchema  = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	errorSchema = "urn:ietf:params:scim:api:messages:2.0:Error"
	// maxVendorCursor bounds a nextCursor: it becomes part of ours.
	maxVendorCursor = 4 << 10
)

// collection is a list of one kind of row.
type collection[T any] struct {
	path  string
	query url.Values
	// shape is what the attributes of a row must be; see reshape.
	shape *shape
	id    func(*T) string
	// check looks at a row that has an id; nil for no more to ask of it.
	check func(*T) error
	// nameless says that a row that was asked for by its id may lack it; nil
	// for never.
	nameless func(*T) bool
}

// page is one answer to a list request, in the order of the vendor.
type page[T any] struct {
	rows []T
	// total is totalResults, -1 where it is not stated.
	total  int
	cursor string
	bytes  int
}

// fetch reads the page that a query names. The place is for messages.
func fetch[T any](ctx context.Context, s *Source, c *collection[T], query url.Values, place string) (page[T], error) {
	var p page[T]
	err := s.client.Get(ctx, rest.Request{Path: []string{c.path}, Query: query}, func(a *rest.Answer) error {
		var err error
		p, err = decodeList(a, c, place)
		return err
	})
	return p, err
}

// decodeList reads a list response. What is not one is an error, never an
// empty list; each row of it has an id.
func decodeList[T any](a *rest.Answer, c *collection[T], place string) (page[T], error) {
	var list listResponse[T]
	if err := json.Unmarshal(a.Body, &list); err != nil {
		list = listResponse[T]{}
		top := &shape{kind: object, under: map[string]*shape{
			"schemas":      {kind: many, under: map[string]*shape{"": {kind: text}}},
			"totalresults": {kind: whole},
			"resources":    {kind: rows, under: map[string]*shape{"": c.shape}},
			"nextcursor":   {kind: text},
			"error":        {kind: anything},
		}}
		if err := reshape(a.Body, err, top, &list); err != nil {
			return page[T]{}, unfit(a, err, new(listResponse[T]))
		}
	}
	listed, failed := false, false
	for _, schema := range list.Schemas {
		listed = listed || strings.EqualFold(schema, listSchema)
		failed = failed || strings.EqualFold(schema, errorSchema)
	}
	switch {
	case a.First() != '{',
		!listed && list.TotalResults == nil && list.Resources == nil:
		return page[T]{}, a.Fault("the answer is not a SCIM list", "")
	case failed, len(list.Resources) == 0 && len(list.Error) > 0 && string(list.Error) != "null":
		return page[T]{}, a.Fault("the answer is an error, not a SCIM list", "the server reports a failure with a status of success")
	case list.TotalResults == nil && list.Resources == nil && list.NextCursor == "":
		return page[T]{}, a.Fault("the list states neither totalResults nor Resources", "the server's answer is incomplete")
	}
	p := page[T]{rows: list.Resources, total: -1, cursor: list.NextCursor, bytes: len(a.Body)}
	if list.TotalResults != nil && *list.TotalResults >= 0 {
		if *list.TotalResults > math.MaxInt32 {
			return page[T]{}, a.Errorf(codes.FailedPrecondition, vendorFault, "totalResults is %d, beyond any directory", *list.TotalResults)
		}
		p.total = int(*list.TotalResults)
	}
	switch {
	case len(p.cursor) > maxVendorCursor:
		return page[T]{}, a.Errorf(codes.FailedPrecondition, vendorFault, "nextCursor has %d bytes, more than %d", len(p.cursor), maxVendorCursor)
	case p.total == 0 && len(p.rows) > 0:
		return page[T]{}, a.Errorf(codes.FailedPrecondition, vendorFault, "the list states totalResults 0 and brings %d rows", len(p.rows))
	}
	for i := range p.rows {
		if fault := idFault(c.id(&p.rows[i])); fault != "" {
			return page[T]{}, a.Errorf(codes.Internal, vendorFault, "the row at index %d of %s %s", i, place, fault)
		}
		if c.check == nil {
			continue
		}
		if err := c.check(&p.rows[i]); err != nil {
			return page[T]{}, a.Errorf(codes.Internal, vendorFault, "the row at index %d of %s: %v", i, place, err)
		}
	}
	return p, nil
}

var vendorFault = rest.Advice{
	Cause: "the SCIM server does not keep to RFC 7643 and 7644",
	Next:  "report this message to RudderStack support",
}

// idFault says what is wrong with an id, nothing if it can be kept.
func idFault(id string) string {
	switch {
	case strings.TrimSpace(id) == "":
		return "has no id"
	case len(id) > directory.MaxID:
		return fmt.Sprintf("has an id of %d bytes, more than %d", len(id), directory.MaxID)
	case strings.ContainsRune(id, utf8.RuneError):
		// The decoder puts this character for bytes that are not UTF-8, and
		// two broken ids could become one.
		return "has an id that is not valid UTF-8"
	}
	return ""
}

// probe reads the first row of a collection, to see that it can be read.
func probe[T any](ctx context.Context, s *Source, c *collection[T]) error {
	query := url.Values{"startIndex": {"1"}, "count": {"1"}}
	for name, values := range c.query {
		query[name] = values
	}
	_, err := fetch(ctx, s, c, query, "the first page")
	if refused(err) && len(c.query) > 0 {
		_, err = fetch(ctx, s, c, url.Values{"startIndex": {"1"}, "count": {"1"}}, "the first page")
	}
	return err
}

// read is what one step of a walk over a collection brings.
type read[T any] struct {
	// rows are all that the walk has not had, and at most directory.MaxRows.
	// Some may come again.
	rows []T
	// mark identifies the rows.
	mark uint64
	// next is the walk after this step; nil at the end.
	next *walk
	// total is the vendor's own count, 0 for none.
	total int
}

// step reads one page of a collection. It is one request, or one more where
// the server refuses a parameter that can be done without; the walk remembers
// that.
func step[T any](ctx context.Context, s *Source, c *collection[T], w walk) (read[T], error) {
	var p page[T]
	for {
		var err error
		p, err = fetch(ctx, s, c, w.query(c.query), w.place())
		if err == nil {
			break
		}
		if answered(err, http.StatusNotImplemented) && len(c.query) > 0 && !w.Bare && w.begins() {
			w.Bare = true // it may be the parameter that is not implemented
			continue
		}
		if !refused(err) {
			return read[T]{}, err
		}
		switch {
		case w.Cursor != "":
			// The vendor's cursors expire (RFC 9865, section 2.3): begin anew.
			m, spent := w.again(1)
			if spent != nil {
				return read[T]{}, err
			}
			return read[T]{next: &m.next}, nil
		case len(c.query) > 0 && !w.Bare && w.begins():
			w.Bare = true
		case w.count() > pageRows:
			w.Less = true
		case w.endsByCursor():
			if w.Total < 0 || w.Sure {
				return read[T]{}, nil
			}
			// One row tells whether totalResults counts the list or the page.
			one, failed := fetch(ctx, s, c, url.Values{"startIndex": {"1"}, "count": {"1"}}, "the first page")
			switch {
			case failed != nil:
				return read[T]{}, failed
			case one.total == w.Total:
				return read[T]{}, nil
			}
			return read[T]{}, err
		default:
			return read[T]{}, err
		}
	}
	ids := make([]uint64, len(p.rows))
	for i := range p.rows {
		ids[i] = directory.Fingerprint(c.id(&p.rows[i]))
	}
	m, err := w.advance(ids, p.total, p.cursor)
	if err != nil {
		return read[T]{}, s.walkFailed(c.path, err)
	}
	out := read[T]{rows: p.rows[m.from:m.to], total: max(p.total, 0)}
	for i := range out.rows {
		out.mark = out.mark*31 + directory.Fingerprint(c.id(&out.rows[i]))
	}
	if !m.done {
		out.next = &m.next
		// Bodies of all the pages ahead together stay within a few MiB.
		lead := min(maxLead, max(1, leadBytes/(p.bytes+1)))
		for _, start := range m.lead(lead) {
			ahead := m.next
			ahead.Start = start
			s.client.Prefetch(ctx, rest.Request{Path: []string{c.path}, Query: ahead.query(c.query)})
		}
	}
	return out, nil
}

const (
	// maxLead is how many pages are asked for ahead.
	maxLead = 8
	// leadBytes bounds their bodies, judged by the page that has come.
	leadBytes = 4 << 20
)

// query is the next request of the walk.
func (w *walk) query(fixed url.Values) url.Values {
	query := make(url.Values, len(fixed)+2)
	if w.Cursor != "" {
		query.Set("cursor", w.Cursor)
	} else {
		query.Set("startIndex", strconv.Itoa(w.Start))
	}
	query.Set("count", strconv.Itoa(w.count()))
	if !w.Bare {
		for name, values := range fixed {
			query[name] = values
		}
	}
	return query
}

// place names the page for a message.
func (w *walk) place() string {
	if w.Cursor != "" {
		return fmt.Sprintf("the page after %d rows", w.Seen)
	}
	return fmt.Sprintf("the page at startIndex %d", w.Start)
}
