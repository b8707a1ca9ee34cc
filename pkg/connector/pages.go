package connector

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

const (
	// enoughRows ends the merging of pages. A page costs the syncer three calls,
	// more than the 50 or 100 rows of a vendor's page do; pages of more rows
	// than this are no faster.
	enoughRows = 500
	// enoughTime ends the merging at a slow vendor, so that the syncer stores
	// the rows read so far.
	enoughTime = time.Second
	// maxRows and maxBytes bound a page. The SDK refuses answers above 4 MiB.
	maxRows  = 750
	maxBytes = 3 << 20
	// maxRestarts is how often one page may change while its parts are served.
	maxRestarts = 5
	// maxCached and maxCachedBytes bound the cache of split pages, which may
	// always hold one. maxCachedAge is longer than the syncer's pause between
	// two tries.
	maxCached      = 32
	maxCachedBytes = 64 << 20
	maxCachedAge   = 2 * time.Minute
)

// pages turns the pages of a source, of any size, into pages that the SDK
// accepts: it merges small ones and splits large ones.
//
// A large page is served in parts, ordered by the rows' fingerprints, so that
// other rows do not change a row's position. The rows that have not been served
// are cached in memory. If the cache has none, as in another process or after a
// restart, pages reads the source's page again. If that page has changed, rows
// may have moved to it from later pages, so it is served from its beginning: a
// row that comes twice does no harm, a missing row does.
type pages[T any] struct {
	now func() time.Time
	// key names a row. Rows of one set (the members of a group) stay together.
	// A page with other sets than before has changed.
	key func(*T) (set, id string)
	// size bounds the bytes of a row in an answer to the SDK.
	size func(*T) int

	mu    sync.Mutex
	cache map[uint64]splitPage[T]
}

// sortKey orders the rows of a page: the fingerprints of a row's set and id.
type sortKey [2]uint64

type sortedRow[T any] struct {
	key sortKey
	row T
}

// splitPage is the rest of a source's page: its last rows, in order, and the
// page without rows; or the whole page, if no row was served.
type splitPage[T any] struct {
	rows  []sortedRow[T]
	page  directory.Page[T]
	bytes int
	at    time.Time
}

// pageToken is the next position in a list: the source's page at Cursor or, with
// After, the rows of that page behind a key.
type pageToken struct {
	Cursor string   `json:"c,omitempty"`
	After  *sortKey `json:"a,omitempty"`
	// Rows identifies the page's sets of rows, Cached its entry in the cache.
	Rows   uint64 `json:"s,omitempty"`
	Cached uint64 `json:"r,omitempty"`
	// Restarts counts how often the page was served from its beginning because
	// it had changed.
	Restarts int `json:"n,omitempty"`
}

// reader reads a source's page.
type reader[T any] func(ctx context.Context, cursor string) (directory.Page[T], error)

// read returns the page at a token of the named list; the empty token is the
// first page. The cursors in the page are tokens. The error of a token that read
// did not make is directory.ErrCursor, and Aborted the error of a page that
// changes again and again.
func (p *pages[T]) read(ctx context.Context, list, token string, source reader[T]) (directory.Page[T], error) {
	var at pageToken
	if token != "" {
		var err error
		if at, err = directory.DecodeCursor[pageToken](list, token); err != nil {
			return directory.Page[T]{}, err
		}
		if at.After == nil && at != (pageToken{Cursor: at.Cursor, Cached: at.Cached}) || at.Restarts < 0 || at.Restarts > maxRestarts {
			return directory.Page[T]{}, directory.ErrCursor
		}
	}
	split, found := p.take(at.Cached)
	if found && at.After != nil {
		return p.part(list, at, split), nil
	}
	page := split.page
	if !found {
		var err error
		if page, err = source(ctx, at.Cursor); err != nil {
			return directory.Page[T]{}, err
		}
	}
	if at.After == nil && p.bytes(page) <= maxBytes && len(page.Rows) <= maxRows {
		return p.merge(ctx, list, page, source), nil
	}
	split = splitPage[T]{rows: p.order(page.Rows), page: page}
	split.page.Rows = nil
	for i := range page.Rows {
		split.bytes += p.size(&page.Rows[i])
	}
	if rows := identity(at.Cursor, split); at.After == nil || rows == at.Rows {
		at.Rows = rows
	} else {
		if at.Restarts++; at.Restarts > maxRestarts {
			return directory.Page[T]{}, errorf(codes.Aborted, "the list changed %d times while one page of it was read; run the sync again when the vendor is quieter", at.Restarts)
		}
		at.After, at.Rows = nil, rows
	}
	if at.After != nil {
		split.page.Siblings = nil // served with the first part
		next, _ := slices.BinarySearchFunc(split.rows, *at.After, func(r sortedRow[T], after sortKey) int {
			return cmp.Or(r.key.compare(after), -1) // behind the rows of that key
		})
		split.rows = split.rows[next:]
	}
	return p.part(list, at, split), nil
}

// merge appends the following pages until there are enough rows, no more pages,
// or enough time has passed. At a page that cannot be read it returns the rows
// before it; the next call begins with that page and returns its error. A page
// that is too large to be appended is cached for the next call.
func (p *pages[T]) merge(ctx context.Context, list string, page directory.Page[T], source reader[T]) directory.Page[T] {
	start, bytes, own := p.now(), p.bytes(page), false
	for page.Next != "" && len(page.Rows) < enoughRows && p.now().Sub(start) < enoughTime {
		more, err := source(ctx, page.Next)
		if err != nil {
			break
		}
		added := p.bytes(more)
		if len(page.Rows)+len(more.Rows) > maxRows || bytes+added > maxBytes || len(page.Siblings)+len(more.Siblings) > directory.MaxSiblings {
			at := pageToken{Cursor: page.Next, Cached: newCacheKey()}
			p.store(at.Cached, splitPage[T]{page: more, bytes: added})
			page = encodeCursors(list, page)
			page.Next = directory.EncodeCursor(list, at)
			return page
		}
		if !own { // the first page's rows belong to the source
			page.Rows = append(make([]T, 0, maxRows), page.Rows...)
			own = true
		}
		page.Rows = append(page.Rows, more.Rows...)
		page.Siblings = slices.Concat(page.Siblings, more.Siblings)
		page.Next = more.Next
		if more.Total != page.Total {
			page.Total = 0 // it does not count the whole list
		}
		bytes += added
	}
	return encodeCursors(list, page)
}

// part returns the first rows of a split page and caches the others.
func (p *pages[T]) part(list string, at pageToken, split splitPage[T]) directory.Page[T] {
	bytes := p.bytes(directory.Page[T]{Siblings: split.page.Siblings})
	end := 0
	for end < len(split.rows) && end < maxRows {
		if bytes += p.size(&split.rows[end].row); bytes > maxBytes && end > 0 {
			break
		}
		end++
	}
	// Rows of one key stay together, because a token continues behind a key.
	if end < len(split.rows) && split.rows[end-1].key == split.rows[end].key {
		first := end
		for end > 0 && split.rows[end-1].key == split.rows[first].key {
			end--
		}
		if end == 0 { // only ids made to collide fill a page with one key
			for end = first; end < len(split.rows) && split.rows[end].key == split.rows[0].key; {
				end++
			}
		}
	}
	page := split.page
	page.Rows = make([]T, end)
	for i := range page.Rows {
		page.Rows[i] = split.rows[i].row
		split.bytes -= p.size(&page.Rows[i])
	}
	page = encodeCursors(list, page)
	if end < len(split.rows) {
		at.After, at.Cached = &split.rows[end-1].key, newCacheKey()
		page.Next = directory.EncodeCursor(list, at)
		split.rows, split.page.Siblings = split.rows[end:], nil
		p.store(at.Cached, split)
	}
	return page
}

// encodeCursors replaces the source's cursors by tokens of a list.
func encodeCursors[T any](list string, page directory.Page[T]) directory.Page[T] {
	if page.Next != "" {
		page.Next = directory.EncodeCursor(list, pageToken{Cursor: page.Next})
	}
	siblings := make([]string, len(page.Siblings))
	for i, cursor := range page.Siblings {
		siblings[i] = directory.EncodeCursor(list, pageToken{Cursor: cursor})
	}
	page.Siblings = siblings
	return page
}

// order sorts rows by key. Rows with the same key keep their order, so the
// syncer stores the last of them last.
func (p *pages[T]) order(rows []T) []sortedRow[T] {
	out := make([]sortedRow[T], len(rows))
	for i := range rows {
		set, id := p.key(&rows[i])
		out[i] = sortedRow[T]{sortKey{directory.Fingerprint(set), directory.Fingerprint(id)}, rows[i]}
	}
	slices.SortStableFunc(out, func(a, b sortedRow[T]) int { return a.key.compare(b.key) })
	return out
}

// identity is a number that differs for pages with other sets of rows or other
// siblings. It is 0 for the only page of a list, to which no row can move.
func identity[T any](cursor string, split splitPage[T]) uint64 {
	if cursor == "" && split.page.Next == "" && len(split.page.Siblings) == 0 {
		return 0
	}
	sum := uint64(1)
	for i := range split.rows {
		if i == 0 || split.rows[i].key[0] != split.rows[i-1].key[0] {
			sum = sum*31 + split.rows[i].key[0]
		}
	}
	for _, sibling := range split.page.Siblings {
		sum = sum*31 + directory.Fingerprint(sibling)
	}
	return sum
}

// bytes bounds the size of a page in an answer to the SDK. Siblings' tokens are
// longer than their cursors.
func (p *pages[T]) bytes(page directory.Page[T]) int {
	sum := 0
	for i := range page.Rows {
		sum += p.size(&page.Rows[i])
	}
	for _, cursor := range page.Siblings {
		sum += 64 + 2*len(cursor)
	}
	return sum
}

// newCacheKey returns a random key, so that no other sync finds the entry.
func newCacheKey() uint64 { return rand.Uint64() | 1 } //nolint:gosec // not a secret

// store caches a split page and drops old entries that exceed the bounds.
func (p *pages[T]) store(key uint64, split splitPage[T]) {
	split.at = p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cache == nil {
		p.cache = map[uint64]splitPage[T]{}
	}
	p.cache[key] = split
	total := 0
	for other, r := range p.cache {
		if split.at.Sub(r.at) > maxCachedAge {
			delete(p.cache, other)
			continue
		}
		total += r.bytes
	}
	for len(p.cache) > 1 && (len(p.cache) > maxCached || total > maxCachedBytes) {
		oldest := key
		for other, r := range p.cache {
			if other != key && (oldest == key || r.at.Before(p.cache[oldest].at)) {
				oldest = other
			}
		}
		total -= p.cache[oldest].bytes
		delete(p.cache, oldest)
	}
}

// take removes a split page from the cache and returns it.
func (p *pages[T]) take(key uint64) (splitPage[T], bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	split, ok := p.cache[key]
	delete(p.cache, key)
	return split, ok && p.now().Sub(split.at) <= maxCachedAge
}

func (k sortKey) compare(other sortKey) int {
	if by := cmp.Compare(k[0], other[0]); by != 0 {
		return by
	}
	return cmp.Compare(k[1], other[1])
}
