package guru

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

const (
	// maxPages ends a walk over a list without end. At Guru's page sizes it is a
	// quarter of a million users, or half a million members of one group.
	maxPages = 5_000
	// maxRestarts is how often a walk may restart because Guru no longer knows
	// its paging token or sends no rows. The lifetime of tokens is not
	// documented.
	maxRestarts = 1
	// maxRepeats is how often the same rows may repeat under new tokens before
	// the walk counts as endless. A page that comes twice does no harm.
	maxRepeats = 3
	// maxPrefetchBody is the largest answer, in bytes, after which the next page
	// is prefetched. Documented pages have a tenth of it.
	maxPrefetchBody = 256 << 10
)

// list is one of Guru's lists. Only the Link header of a page names the next page,
// so the pages are read one after the other.
type list[T any] struct {
	// name is unique: other lists refuse its cursors. It ends in the version of
	// the cursor's fields.
	name string
	// path is the path of the list.
	path func(route) []string
	// decode reads the rows of a page. Pages count from 1.
	decode func(a *rest.Answer, page int) ([]T, error)
	// key identifies a row.
	key func(T) string
}

// route is the path, one of two, by which a walk reads the list of groups.
type route int

const (
	unrouted route = iota
	viaUserGroups
	viaGroups
	// afterUserGroups reads groups after groups/usergroups, for the groups that
	// the latter lacks.
	afterUserGroups
)

// cursor is a position in a walk. Page 0 is behind the last page.
type cursor struct {
	Route route `json:"route,omitempty"`
	// Page counts from 1.
	Page int `json:"page"`
	// Token is Guru's paging token, empty for page 1.
	Token []byte `json:"token,omitempty"`
	// Restarts counts the restarts of the walk.
	Restarts int `json:"restarts,omitempty"`
	// Tokens detects a cycle of tokens, Rows one of rows. Repeats counts the
	// pages whose rows had come before.
	Tokens  directory.CycleDetector `json:"tokens"`
	Rows    directory.CycleDetector `json:"rows"`
	Repeats int                     `json:"repeats,omitempty"`
}

// start is the cursor of the first page.
func (l list[T]) start(via route) cursor { return cursor{Route: via, Page: 1} }

// encode returns the cursor as text, empty for the end of the list.
func (l list[T]) encode(c cursor) string {
	if c.Page == 0 {
		return ""
	}
	return directory.EncodeCursor(l.name, c)
}

// parse reads the text of a cursor. An empty text is an error.
func (l list[T]) parse(text string) (cursor, error) {
	c, err := directory.DecodeCursor[cursor](l.name, text)
	switch {
	case err != nil:
		return cursor{}, err
	case c.Route < unrouted, c.Route > afterUserGroups, c.Page < 1, c.Page > maxPages, len(c.Token) > maxToken,
		(c.Page == 1) != (len(c.Token) == 0), c.Restarts < 0, c.Restarts > maxRestarts, c.Repeats < 0, c.Repeats > maxRepeats:
		return cursor{}, directory.ErrCursor
	}
	return c, nil
}

// read returns the rows of the page at a cursor and the cursor of the next page,
// which it prefetches. It begins the list again if Guru does not know the token any
// more or the page has no rows.
func (l list[T]) read(ctx context.Context, client *rest.Client, c cursor) ([]T, cursor, error) {
	rows, next, err := l.fetch(ctx, client, c)
	if tokenRefused(err, c) && c.Restarts < maxRestarts {
		// Rows that come twice do no harm.
		ctxzap.Extract(ctx).Warn("Guru no longer accepts its paging token: reading the list again", zap.Int("page", c.Page))
		again := l.start(c.Route)
		again.Restarts = c.Restarts + 1
		return nil, again, nil
	}
	if err != nil {
		return nil, cursor{}, err
	}
	if endsEarly(rows, c) { // its rows may have been deleted: a second reading shows that
		ctxzap.Extract(ctx).Warn("Guru announced a page but sent none: reading the list again", zap.Int("page", c.Page))
		again := l.start(c.Route)
		again.Restarts = c.Restarts + 1
		return nil, again, nil
	}
	l.prefetch(ctx, client.Prefetch, next)
	return rows, next, nil
}

// endsEarly reports whether a page has no rows although an earlier page announced
// it, or although the list had rows on an earlier reading.
func endsEarly[T any](rows []T, c cursor) bool {
	return len(rows) == 0 && (c.Page > 1 || c.Restarts > 0)
}

// tokenRefused reports whether Guru does not know the paging token: it answers 400.
func tokenRefused(err error, c cursor) bool {
	return len(c.Token) > 0 && rest.StatusOf(err) == http.StatusBadRequest
}

// prefetch prefetches a page and, as soon as its answer is there, the next one: a
// list takes as long as all its answers one after the other, and nothing else
// should add to that. It stops at an answer that is too large for several to wait
// in memory. It reads only the paging token of an answer.
func (l list[T]) prefetch(ctx context.Context, ask func(context.Context, rest.Request, ...func(*rest.Answer)), at cursor) {
	if at.Page == 0 {
		return
	}
	ask(ctx, l.request(at), func(a *rest.Answer) {
		token, err := nextToken(a.Header.Values("Link"))
		if err != nil || token == "" || len(a.Body) > maxPrefetchBody {
			return // read reports the fault of the page
		}
		at.Token = []byte(token)
		l.prefetch(ctx, ask, at)
	})
}

func (l list[T]) request(c cursor) rest.Request {
	r := rest.Request{Path: l.path(c.Route)}
	if len(c.Token) > 0 {
		r.Query = url.Values{"token": {string(c.Token)}}
	}
	return r
}

// fetch returns the rows of one page and the cursor of the next.
func (l list[T]) fetch(ctx context.Context, client *rest.Client, c cursor) ([]T, cursor, error) {
	var next cursor
	rows, err := rest.Get(ctx, client, l.request(c), func(a *rest.Answer) ([]T, error) {
		rows, err := l.decode(a, c.Page)
		if err != nil {
			return nil, err
		}
		if endsEarly(rows, c) && c.Restarts >= maxRestarts {
			return nil, a.Errorf(codes.FailedPrecondition, rest.Advice{
				Cause: "Guru or a proxy left out the rest of the list",
				Next:  "run the sync again; if it fails again, report this message",
			}, "page %d has no rows although the list announced more, and that on a second reading", c.Page)
		}
		token, err := nextToken(a.Header.Values("Link"))
		if err != nil {
			return nil, a.Errorf(codes.FailedPrecondition, rest.Advice{
				Cause: "a proxy changed the header or Guru's API has changed, and what follows cannot be read",
				Next:  "check the base URL; if it is right, report this message",
			}, "the Link header of page %d cannot be followed: %v", c.Page, err)
		}
		if token == "" {
			return rows, nil
		}
		if next, err = c.advance(token, l.identity(rows)); err != nil {
			return nil, a.Errorf(codes.FailedPrecondition, rest.Advice{
				Cause: "the vendor or a proxy serves pages without end",
				Next:  "check the base URL; if it is right, report this message",
			}, "the list does not end after page %d: %v", c.Page, err)
		}
		return rows, nil
	})
	if err != nil {
		return nil, cursor{}, err
	}
	return rows, next, nil
}

// sequence records whether this process has read all pages of a list.
type sequence struct {
	// at is the cursor of the page that was read last, next the cursor after it,
	// empty after the last page.
	at, next string
	// whole is set if this process has read all pages so far, some perhaps twice.
	whole bool
}

// step records the page at a cursor, which is empty for the first page.
func (q *sequence) step(cursor, next string) {
	switch {
	case cursor == "":
		q.whole = true
	case cursor != q.next && cursor != q.at:
		q.whole = false
	}
	q.at, q.next = cursor, next
}

// complete reports whether this process has read all pages of the list.
func (q *sequence) complete() bool { return q.whole && q.next == "" }

// identity is a text that differs for pages with other rows; empty for no rows.
func (l list[T]) identity(rows []T) string {
	if len(rows) == 0 {
		return ""
	}
	return fmt.Sprintf("%d\x00%s\x00%s", len(rows), l.key(rows[0]), l.key(rows[len(rows)-1]))
}

var (
	errRepeats = errors.New("the same rows return under new paging tokens")
	errPages   = fmt.Errorf("the limit is %d pages", maxPages)
)

// advance returns the cursor of the next page. The page at c has named the token,
// and identity is its identity.
func (c cursor) advance(token, identity string) (cursor, error) {
	c.Page++
	c.Token = []byte(token)
	if c.Page > maxPages {
		return cursor{}, errPages
	}
	if err := c.Tokens.Step(token); err != nil {
		return cursor{}, err
	}
	if identity != "" && c.Rows.Step(identity) != nil {
		if c.Repeats++; c.Repeats > maxRepeats {
			return cursor{}, errRepeats
		}
	}
	return c, nil
}

// notListError is the error of an answer that is not a JSON array.
type notListError struct{ err error }

func (e *notListError) Error() string { return e.err.Error() }
func (e *notListError) Unwrap() error { return e.err }

// decodeList reads a JSON array of rows. 204 is a list without rows; if bodyless is
// set, so is an empty body. The caller decides whether a list may have no rows.
func decodeList[R any](a *rest.Answer, page int, bodyless bool) ([]R, error) {
	switch {
	case a.Status == http.StatusNoContent, a.Status == http.StatusOK && a.First() == 0 && bodyless:
		return nil, nil
	case a.Status != http.StatusOK:
		return nil, a.Fault(fmt.Sprintf("the answer has the status %d, which no list has", a.Status), "")
	case a.First() == 0:
		return nil, &notListError{a.Fault("an empty answer where a list belongs", "")}
	case a.First() != '[':
		return nil, &notListError{a.Fault("the answer is not a JSON list", "")}
	}
	exact := *a
	exact.Body = exactNames(a.Body)
	rows, err := rest.JSON[[]R](&exact)
	if err == nil {
		return rows, nil
	}
	// The answer is a JSON array: find the row that cannot be decoded.
	var raw []json.RawMessage
	if json.Unmarshal(exact.Body, &raw) == nil {
		for i := range raw {
			if json.Unmarshal(raw[i], new(R)) != nil {
				return nil, badRow(a, page, i, errors.New("does not have the shape of a row"))
			}
		}
	}
	return nil, err
}
