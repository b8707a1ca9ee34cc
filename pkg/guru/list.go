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
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

const (
	// maxRestarts is how often a walk begins again because Guru no longer
	// knows its paging token, whose life is not documented.
	maxRestarts = 1
	// maxRepeats is how often the same rows may come round under fresh tokens
	// before the walk is taken for endless. A page that is served twice is no
	// harm.
	maxRepeats = 3
	// maxAheadBody is the largest answer behind which another is asked for
	// before it is read. Pages as documented have a tenth of it.
	maxAheadBody = 256 << 10
)

// list is one of Guru's lists, read a page at a time.
type list[T any] struct {
	// id is the fingerprint that the cursors of this list carry.
	id   uint64
	path func(route) []string
	// decode reads the rows of a page, which counts from 1.
	decode func(a *rest.Answer, page uint64) ([]T, error)
	// key is what a row is known by from one reading to the next.
	key  func(T) string
	kept *keep[T]
}

// start is the cursor of the first page.
func (l list[T]) start(via route) cursor {
	return cursor{list: l.id, route: via, page: 1}
}

// read returns the rows at a cursor, at most directory.MaxRows, and the cursor
// that follows.
func (l list[T]) read(ctx context.Context, client *rest.Client, c cursor) ([]T, string, error) {
	if c.after != 0 {
		if rest, ok := l.kept.take(c.String()); ok {
			return l.slice(ctx, client, c, rest.rows, rest.next)
		}
	}
	rows, next, err := l.fetch(ctx, client, c)
	if err != nil {
		if !forgotten(err, c) {
			return nil, "", err
		}
		// Rows that were read before are read again, which changes nothing.
		ctxzap.Extract(ctx).Warn("Guru does not know its paging token any more: the list is read from its start", zap.Uint64("page", c.page))
		again := l.start(c.route)
		again.restarts = c.restarts + 1
		return nil, again.String(), nil
	}
	if c.after == 0 && len(rows) <= directory.MaxRows {
		l.ahead(ctx, client, next)
		return rows, next.text(), nil
	}
	return l.slice(ctx, client, c, following(byHash(rows, l.key), c.after), next)
}

// slice hands out the first of the rows that are left of a page of more than
// directory.MaxRows rows. Rows go by the hash of their key, not by their place
// on the page: if the page has to be fetched again in between, and has changed,
// no row that was there both times is lost.
func (l list[T]) slice(ctx context.Context, client *rest.Client, c cursor, rows []hashed[T], next cursor) ([]T, string, error) {
	n := len(rows)
	if n > directory.MaxRows {
		n = directory.MaxRows
		for n > 0 && rows[n].hash == rows[n-1].hash {
			n--
		}
		if n == 0 {
			return nil, "", status.Errorf(codes.Internal, "more than %d rows have keys of one hash", directory.MaxRows)
		}
	}
	out := make([]T, n)
	for i := range out {
		out[i] = rows[i].row
	}
	if n == len(rows) {
		l.ahead(ctx, client, next)
		return out, next.text(), nil
	}
	c.after = rows[n-1].hash
	text := c.String()
	l.kept.put(text, rows[n:], next)
	return out, text, nil
}

// ahead asks for the page that is surely read next, and as it comes for the
// one after it: each page alone names the next, so a list takes as long as all
// its answers one after the other, and nothing else may add to that. Only the
// paging token of what comes is looked at, and whether it is small enough for
// several to wait in memory.
func (l list[T]) ahead(ctx context.Context, client *rest.Client, at cursor) {
	if at.page == 0 {
		return
	}
	client.Prefetch(ctx, l.request(at), func(a *rest.Answer) {
		token, err := nextToken(a.Header.Values("Link"))
		if err != nil || token == "" || len(a.Body) > maxAheadBody {
			return // whoever reads the page says what is wrong with it
		}
		at.token = token
		l.ahead(ctx, client, at)
	})
}

func (l list[T]) request(c cursor) rest.Request {
	r := rest.Request{Path: l.path(c.route)}
	if c.token != "" {
		r.Query = url.Values{"token": {c.token}}
	}
	return r
}

// fetch reads one whole page and the cursor of the next.
func (l list[T]) fetch(ctx context.Context, client *rest.Client, c cursor) (rows []T, next cursor, err error) {
	err = client.Get(ctx, l.request(c), func(a *rest.Answer) error {
		var err error
		if rows, err = l.decode(a, c.page); err != nil {
			return err
		}
		token, err := nextToken(a.Header.Values("Link"))
		if err != nil {
			return a.Errorf(codes.FailedPrecondition, rest.Advice{
				Cause: "a proxy changed the header or Guru's API has changed, and what follows cannot be read",
				Next:  "check the base URL; if it is right, report this message",
			}, "the Link header of page %d cannot be followed: %v", c.page, err)
		}
		if token == "" {
			return nil
		}
		place := ""
		if len(rows) > 0 {
			place = fmt.Sprintf("%d\x00%s\x00%s", len(rows), l.key(rows[0]), l.key(rows[len(rows)-1]))
		}
		if next, err = c.advance(token, place); err != nil {
			return a.Errorf(codes.FailedPrecondition, rest.Advice{
				Cause: "the vendor or a proxy serves pages without end",
				Next:  "check the base URL; if it is right, report this message",
			}, "the list does not end after page %d: %v", c.page, err)
		}
		return nil
	})
	if err != nil {
		return nil, cursor{}, err
	}
	return rows, next, nil
}

var (
	errRepeats = errors.New("the same rows come round under new paging tokens")
	errPages   = fmt.Errorf("the limit is %d pages", maxPages)
)

// text is the cursor as a Page.Next: empty where nothing follows.
func (c cursor) text() string {
	if c.page == 0 {
		return ""
	}
	return c.String()
}

// advance is the cursor of the next page, whose token the page at c has told.
// The place stands for the rows of the page at c, empty for none.
func (c cursor) advance(token, place string) (cursor, error) {
	c.page++
	c.token = token
	c.after = 0
	if c.page > maxPages {
		return cursor{}, errPages
	}
	if err := c.tokens.Step(token); err != nil {
		return cursor{}, err
	}
	if place != "" && c.rows.Step(place) != nil {
		if c.repeats++; c.repeats > maxRepeats {
			return cursor{}, errRepeats
		}
	}
	return c, nil
}

// forgotten says whether a walk may begin again: Guru answers 400 to a paging
// token that it cannot decode.
func forgotten(err error, c cursor) bool {
	return c.token != "" && c.restarts < maxRestarts && httpStatus(err) == http.StatusBadRequest
}

// httpStatus is the status that an error comes from, 0 for none.
func httpStatus(err error) int {
	var e *rest.Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// notListError marks an answer that is no JSON array.
type notListError struct{ err error }

func (e *notListError) Error() string { return e.err.Error() }
func (e *notListError) Unwrap() error { return e.err }

// emptiness says which answers without a body are an empty list.
type emptiness int

const (
	noneIsEmpty emptiness = iota
	noContentIsEmpty
	bodylessIsEmpty
)

// decodeList reads a JSON array of rows.
func decodeList[R any](a *rest.Answer, page uint64, empty emptiness) ([]R, error) {
	switch {
	case a.Status == http.StatusNoContent && empty >= noContentIsEmpty,
		a.Status == http.StatusOK && a.First() == 0 && empty >= bodylessIsEmpty:
		return nil, nil
	case a.Status != http.StatusOK && a.Status != http.StatusNoContent:
		return nil, a.Fault(fmt.Sprintf("the answer has the status %d, which no list has", a.Status), "")
	case a.First() == 0:
		return nil, &notListError{a.Fault("an empty answer where a list belongs", "")}
	case a.First() != '[':
		return nil, &notListError{a.Fault("the answer is not a JSON list", "")}
	}
	var rows []R
	err := a.JSON(&rows)
	if err == nil {
		return rows, nil
	}
	// The whole is JSON and a list: find the row that is not as it should be.
	var raw []json.RawMessage
	if json.Unmarshal(a.Body, &raw) == nil {
		for i := range raw {
			var one R
			if json.Unmarshal(raw[i], &one) != nil {
				return nil, incomplete(a, page, i, "the shape of a row")
			}
		}
	}
	return nil, err
}

// incomplete is the error about a row that lacks something; its index counts
// from 0, as in the JSON. Nothing is dropped in silence.
func incomplete(a *rest.Answer, page uint64, index int, missing string) error {
	return a.Errorf(codes.Internal, rest.Advice{
		Cause: "Guru's API answers otherwise than it documents",
		Next:  "look at that row in Guru and report this message",
	}, "page %d: the row at index %d lacks %s", page, index, missing)
}
