package rudderstack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// listResponse is a SCIM list (RFC 7644, section 3.4.2; nextCursor: RFC 9865,
// section 2). encoding/json accepts attribute names in any letter case, as SCIM
// does. startIndex and itemsPerPage are not read: servers get them wrong.
type listResponse[T any] struct {
	Schemas      rest.OneOrMany[rest.Text] `json:"schemas"`
	TotalResults rest.Int                  `json:"totalResults"`
	Resources    []T                       `json:"Resources"`
	NextCursor   rest.Text                 `json:"nextCursor"`
}

const (
	listSchema  = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	errorSchema = "urn:ietf:params:scim:api:messages:2.0:Error"
)

// collection is a list of one kind of row.
type collection[T any] struct {
	path  string
	query url.Values
	id    func(*T) string
	// check returns an error for a row that cannot be understood; nil for none.
	check func(*T) error
}

// page is one answer to a list request, in the order of the vendor.
type page[T any] struct {
	rows []T
	// total is totalResults, -1 if it is not stated.
	total int
	// bytes is the size of the answer.
	bytes int
}

// fetch reads the page at a query. The place names it in errors.
func fetch[T any](ctx context.Context, s *Source, c *collection[T], query url.Values, place string) (page[T], error) {
	return rest.Get(ctx, s.client, rest.Request{Path: []string{c.path}, Query: query}, func(a *rest.Answer) (page[T], error) {
		return decodeList(a, c, place)
	})
}

// decodeList reads a list response and checks its rows. Anything else is an error,
// never an empty list.
func decodeList[T any](a *rest.Answer, c *collection[T], place string) (page[T], error) {
	var none page[T]
	list, err := rest.JSON[listResponse[T]](a)
	if err != nil {
		return none, err
	}
	listed, failed := false, false
	for _, schema := range list.Schemas {
		listed = listed || strings.EqualFold(schema.Value, listSchema)
		failed = failed || strings.EqualFold(schema.Value, errorSchema)
	}
	total, stated := list.TotalResults, list.TotalResults.Stated || list.TotalResults.Invalid
	switch {
	case failed:
		return none, a.Fault("the answer is an error, not a SCIM list", "the server reports a failure with a status of success")
	case a.First() != '{', !listed && !stated && list.Resources == nil:
		return none, a.Fault("the answer is not a SCIM list", "")
	case list.NextCursor.Value != "" || list.NextCursor.Invalid:
		return none, a.Errorf(codes.FailedPrecondition, rest.Advice{
			Cause: "the server pages by cursor, and this connector pages by index (RFC 7644)",
			Next:  "report this message to RudderStack support and to the maintainers of the connector",
		}, "the list has a nextCursor (RFC 9865)")
	case !stated && list.Resources == nil:
		return none, a.Fault("the list states neither totalResults nor Resources", "the server's answer is incomplete")
	case total.Invalid, total.Value > math.MaxInt32:
		return none, a.Errorf(codes.FailedPrecondition, vendorFault, "totalResults is not a number of rows")
	case total.Stated && total.Value == 0 && len(list.Resources) > 0:
		return none, a.Errorf(codes.FailedPrecondition, vendorFault, "the list states totalResults 0 but has %d rows", len(list.Resources))
	case len(list.Resources) == 0 && saysMore(a.Body):
		return none, a.Fault("the list has no rows, but an error or another list beside them", "the server reports a failure as an empty list, or names its rows otherwise than RFC 7644")
	}
	p := page[T]{rows: list.Resources, total: -1, bytes: len(a.Body)}
	if total.Stated {
		p.total = max(-1, int(total.Value))
	}
	for i := range p.rows {
		if err := c.fault(&p.rows[i]); err != nil {
			return none, a.Errorf(codes.Internal, vendorFault, "the row at index %d of %s: %v", i, place, err)
		}
	}
	return p, nil
}

// saysMore reports whether a list without rows has an error, or has rows in an
// attribute of another name, such as Users. If such an answer passed for an
// empty list, it would revoke every user's access.
func saysMore(body []byte) bool {
	var attributes map[string]json.RawMessage
	if json.Unmarshal(body, &attributes) != nil {
		return false
	}
	for name, value := range attributes {
		text := strings.ToLower(string(bytes.Join(bytes.Fields(value), nil)))
		if slices.Contains([]string{"null", `""`, "[]", "{}", "false", "0"}, text) {
			continue
		}
		switch strings.ToLower(name) {
		case "error", "errors", "message", "detail", "details", "scimtype":
			return true
		}
		if text[0] == '[' && strings.Contains(text, `"id":`) { // links and other arrays have none
			return true
		}
	}
	return false
}

// fault returns an error if a row has no good id or cannot be understood.
func (c *collection[T]) fault(row *T) error {
	if err := directory.CheckID(c.id(row)); err != nil {
		return err
	}
	if c.check == nil {
		return nil
	}
	return c.check(row)
}

// probe fails if the first row of a collection cannot be read.
func probe[T any](ctx context.Context, s *Source, c *collection[T]) error {
	one := url.Values{"startIndex": {"1"}, "count": {"1"}}
	_, err := fetch(ctx, s, c, with(one, c.query), "the first page")
	if refused(err) && len(c.query) > 0 {
		_, err = fetch(ctx, s, c, one, "the first page")
	}
	return err
}

// read is the result of one step of a walk over a collection.
type read[T any] struct {
	// rows has all rows that the walk did not have before, and perhaps others.
	rows []T
	// next is the walk after this step; nil at the end of the list.
	next *walk
	// total is the vendor's own count, 0 for none.
	total int
}

// readPage reads the next page of a walk over a collection, and prefetches the
// pages after it. If the server refuses the collection's parameters, it makes a
// second request, and the walk continues without them.
func readPage[T any](ctx context.Context, s *Source, c *collection[T], w walk) (read[T], error) {
	place := fmt.Sprintf("the page at startIndex %d", w.Start)
	p, err := fetch(ctx, s, c, w.query(c.query), place)
	if w.begins() && !w.Bare && len(c.query) > 0 && (refused(err) || rest.StatusOf(err) == http.StatusNotImplemented) {
		w.Bare = true
		p, err = fetch(ctx, s, c, w.query(c.query), place)
	}
	if err != nil {
		return read[T]{}, err
	}
	ids := make([]uint64, len(p.rows))
	for i := range p.rows {
		ids[i] = directory.Fingerprint(c.id(&p.rows[i]))
	}
	step, err := w.advance(ids, p.total)
	if err != nil {
		return read[T]{}, s.walkFailed(c.path, err)
	}
	out := read[T]{rows: p.rows[step.from:], total: max(p.total, 0)}
	if !step.done {
		out.next = &step.next
		prefetch(ctx, s, c, step, p)
	}
	return out, nil
}

const (
	// maxPrefetch is the number of pages to prefetch.
	maxPrefetch = 8
	// prefetchBytes bounds their bodies, estimated from the last page.
	prefetchBytes = 4 << 20
)

// prefetch prefetches the walk's next pages, on the assumption that the server
// pages as before: none beyond the total, and only one if the others are
// uncertain.
func prefetch[T any](ctx context.Context, s *Source, c *collection[T], step step, p page[T]) {
	next := step.next
	for n := min(maxPrefetch, max(1, prefetchBytes/(p.bytes+1))); n > 0 && next.Start < p.total; n-- {
		s.client.Prefetch(ctx, rest.Request{Path: []string{c.path}, Query: next.query(c.query)})
		if step.stride == 0 {
			return
		}
		next.Start += step.stride
	}
}

// query returns the parameters of the walk's next request.
func (w *walk) query(fixed url.Values) url.Values {
	query := url.Values{"startIndex": {strconv.Itoa(w.Start)}, "count": {strconv.Itoa(pageRows)}}
	if w.Bare {
		return query
	}
	return with(query, fixed)
}

// with joins two queries.
func with(query, more url.Values) url.Values {
	out := make(url.Values, len(query)+len(more))
	for _, part := range []url.Values{query, more} {
		for name, values := range part {
			out[name] = values
		}
	}
	return out
}

// decodeWalk returns the walk at a cursor of a list; a new walk for an empty one.
func decodeWalk(list, cursor string) (walk, error) {
	if cursor == "" {
		return newWalk(), nil
	}
	w, err := directory.DecodeCursor[walk](list, cursor)
	if err == nil && !w.valid() {
		err = directory.ErrCursor
	}
	return w, err
}
