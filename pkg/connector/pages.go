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
	// enoughRows is when a page is large enough for the SDK. A page costs the
	// syncer three calls, which is more than the 50 or 100 rows of a vendor's
	// page cost; from here on larger ones gain nothing.
	enoughRows = 500
	// enoughTime ends a page at a slow vendor, so that what has been read is
	// stored now and then.
	enoughTime = time.Second
	// maxRows and maxBytes bound a page. The SDK refuses answers above 4 MiB.
	maxRows  = 750
	maxBytes = 3 << 20
	// maxAgain is how often one page may change while its parts are served.
	maxAgain = 5
	// maxKept and maxKeptBytes bound the remainders that a list keeps; one may
	// always be kept. maxKeptAge is longer than the syncer's pause between two
	// tries.
	maxKept      = 32
	maxKeptBytes = 64 << 20
	maxKeptAge   = 2 * time.Minute
)

// pages reads one kind of list in pages that the SDK can take, whatever the
// sizes of the source's: it merges small ones and splits large ones.
//
// The parts of a large page follow the order of the rows' fingerprints, which
// other rows do not change. What has not been served is kept in memory; where
// it is not found there, in another process or after a restart, the source is
// asked for the page again. If other rows are on it by then, rows may have
// moved to it from the pages behind it, so it is served from its beginning: a
// row that comes twice does no harm, a missing one does.
type pages[T any] struct {
	now func() time.Time
	// key names a row: rows of one set (the members of a group) stay together.
	// The sets of a page tell whether it is still the same.
	key func(*T) (set, id string)
	// size is the most bytes that a row takes in an answer to the SDK.
	size func(*T) int

	mu   sync.Mutex
	kept map[uint64]remainder[T]
}

// rank is the place of a row among those of its page.
type rank [2]uint64

type rankedRow[T any] struct {
	rank rank
	row  T
}

// remainder is what is still to be served of a page: rows in order and a page
// without rows, or a whole page that nothing has been served of.
type remainder[T any] struct {
	rows  []rankedRow[T]
	page  directory.Page[T]
	bytes int
	at    time.Time
}

// pageToken is where a list goes on: with the source's page at a cursor or,
// with After, behind that row of it.
type pageToken struct {
	Cursor string `json:"c,omitempty"`
	After  *rank  `json:"a,omitempty"`
	// Rows identifies the rows that the page had, Read the remainder that is
	// kept of it.
	Rows uint64 `json:"s,omitempty"`
	Read uint64 `json:"r,omitempty"`
	// Again counts how often the page was served from its beginning.
	Again int `json:"n,omitempty"`
}

// reader reads a source's page.
type reader[T any] func(ctx context.Context, cursor string) (directory.Page[T], error)

// read returns the page at a token, the empty one for the first, with tokens
// of the list that is named for its cursors.
func (p *pages[T]) read(ctx context.Context, list, token string, source reader[T]) (directory.Page[T], error) {
	var at pageToken
	if token != "" {
		var err error
		if at, err = directory.DecodeCursor[pageToken](list, token); err != nil {
			return directory.Page[T]{}, err
		}
		if at.After == nil && at != (pageToken{Cursor: at.Cursor, Read: at.Read}) || at.Again < 0 || at.Again > maxAgain {
			return directory.Page[T]{}, directory.ErrCursor
		}
	}
	left, found := p.take(at.Read)
	if found && at.After != nil {
		return p.part(list, at, left), nil
	}
	page := left.page
	if !found {
		var err error
		if page, err = source(ctx, at.Cursor); err != nil {
			return directory.Page[T]{}, err
		}
	}
	if at.After == nil && p.bytes(page) <= maxBytes && len(page.Rows) <= maxRows {
		return p.merge(ctx, list, page, source), nil
	}
	left = remainder[T]{rows: p.order(page.Rows), page: page}
	left.page.Rows = nil
	for i := range page.Rows {
		left.bytes += p.size(&page.Rows[i])
	}
	if rows := identity(at.Cursor, left); at.After == nil || rows == at.Rows {
		at.Rows = rows
	} else {
		if at.Again++; at.Again > maxAgain {
			return directory.Page[T]{}, errorf(codes.Aborted, "the list changed %d times while one page of it was read; run the sync again when the vendor is quieter", at.Again)
		}
		at.After, at.Rows = nil, rows
	}
	if at.After != nil {
		left.page.Siblings = nil // the first part had them
		next, _ := slices.BinarySearchFunc(left.rows, *at.After, func(r rankedRow[T], after rank) int {
			return cmp.Or(r.rank.compare(after), -1) // behind the rows of that rank
		})
		left.rows = left.rows[next:]
	}
	return p.part(list, at, left), nil
}

// merge adds the pages that follow: until there are enough rows, or no more,
// or enough time has passed. If a page cannot be read, the ones before it are
// returned; the next call begins with that page and meets the error. A page
// that is too large to be added is kept for the next call.
func (p *pages[T]) merge(ctx context.Context, list string, page directory.Page[T], source reader[T]) directory.Page[T] {
	start, bytes, own := p.now(), p.bytes(page), false
	for page.Next != "" && len(page.Rows) < enoughRows && p.now().Sub(start) < enoughTime {
		more, err := source(ctx, page.Next)
		if err != nil {
			break
		}
		added := p.bytes(more)
		if len(page.Rows)+len(more.Rows) > maxRows || bytes+added > maxBytes || len(page.Siblings)+len(more.Siblings) > directory.MaxSiblings {
			at := pageToken{Cursor: page.Next, Read: newReading()}
			p.keep(at.Read, remainder[T]{page: more, bytes: added})
			page = onward(list, page)
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
			page.Total = 0 // it counts not the whole list
		}
		bytes += added
	}
	return onward(list, page)
}

// part serves the first of the rows that are left and keeps the others.
func (p *pages[T]) part(list string, at pageToken, left remainder[T]) directory.Page[T] {
	bytes := p.bytes(directory.Page[T]{Siblings: left.page.Siblings})
	end := 0
	for end < len(left.rows) && end < maxRows {
		if bytes += p.size(&left.rows[end].row); bytes > maxBytes && end > 0 {
			break
		}
		end++
	}
	// Rows of one rank stay together: behind it, none of them is served.
	if end < len(left.rows) && left.rows[end-1].rank == left.rows[end].rank {
		first := end
		for end > 0 && left.rows[end-1].rank == left.rows[first].rank {
			end--
		}
		if end == 0 { // only ids made to collide fill a page with one rank
			for end = first; end < len(left.rows) && left.rows[end].rank == left.rows[0].rank; {
				end++
			}
		}
	}
	page := left.page
	page.Rows = make([]T, end)
	for i := range page.Rows {
		page.Rows[i] = left.rows[i].row
		left.bytes -= p.size(&page.Rows[i])
	}
	page = onward(list, page)
	if end < len(left.rows) {
		at.After, at.Read = &left.rows[end-1].rank, newReading()
		page.Next = directory.EncodeCursor(list, at)
		left.rows, left.page.Siblings = left.rows[end:], nil
		p.keep(at.Read, left)
	}
	return page
}

// onward writes the source's cursors as tokens of a list.
func onward[T any](list string, page directory.Page[T]) directory.Page[T] {
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

// order sorts rows by rank. Rows of one key stay in their order, so that the
// last of them is the last to be stored.
func (p *pages[T]) order(rows []T) []rankedRow[T] {
	out := make([]rankedRow[T], len(rows))
	for i := range rows {
		set, id := p.key(&rows[i])
		out[i] = rankedRow[T]{rank{directory.Fingerprint(set), directory.Fingerprint(id)}, rows[i]}
	}
	slices.SortStableFunc(out, func(a, b rankedRow[T]) int { return a.rank.compare(b.rank) })
	return out
}

// identity tells pages with other sets of rows, or other siblings, apart. It
// is 0 for the only page of a list, to which no rows can move from another.
func identity[T any](cursor string, left remainder[T]) uint64 {
	if cursor == "" && left.page.Next == "" && len(left.page.Siblings) == 0 {
		return 0
	}
	sum := uint64(1)
	for i := range left.rows {
		if i == 0 || left.rows[i].rank[0] != left.rows[i-1].rank[0] {
			sum = sum*31 + left.rows[i].rank[0]
		}
	}
	for _, sibling := range left.page.Siblings {
		sum = sum*31 + directory.Fingerprint(sibling)
	}
	return sum
}

// bytes is the most that a page takes in an answer to the SDK. Tokens of
// siblings are longer than their cursors.
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

// newReading is a number by which a remainder is found: a random one, so that
// no other sync finds it.
func newReading() uint64 { return rand.Uint64() | 1 } //nolint:gosec // not a secret

// keep holds a remainder under the number of its reading, at the cost of the
// oldest ones.
func (p *pages[T]) keep(read uint64, left remainder[T]) {
	left.at = p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept == nil {
		p.kept = map[uint64]remainder[T]{}
	}
	p.kept[read] = left
	total := 0
	for other, r := range p.kept {
		if left.at.Sub(r.at) > maxKeptAge {
			delete(p.kept, other)
			continue
		}
		total += r.bytes
	}
	for len(p.kept) > 1 && (len(p.kept) > maxKept || total > maxKeptBytes) {
		oldest := read
		for other, r := range p.kept {
			if other != read && (oldest == read || r.at.Before(p.kept[oldest].at)) {
				oldest = other
			}
		}
		total -= p.kept[oldest].bytes
		delete(p.kept, oldest)
	}
}

// take returns a remainder and lets go of it.
func (p *pages[T]) take(read uint64) (remainder[T], bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	left, ok := p.kept[read]
	delete(p.kept, read)
	return left, ok && p.now().Sub(left.at) <= maxKeptAge
}

func (r rank) compare(other rank) int {
	if by := cmp.Compare(r[0], other[0]); by != 0 {
		return by
	}
	return cmp.Compare(r[1], other[1])
}
