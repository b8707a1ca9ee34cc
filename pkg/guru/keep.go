package guru

import (
	"cmp"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

// By documentation no page is larger than 100 rows. A server that sends more
// than directory.MaxRows at once costs memory for what is still to be handed
// out, up to these numbers of rows; beyond them it costs another request a
// slice.
const (
	maxKeptUsers   = 60_000
	maxKeptGroups  = 20_000
	maxKeptMembers = 200_000
	// maxKeptAge is how long rows wait to be handed out.
	maxKeptAge = 30 * time.Second
)

// hashed is a row with the hash of its key.
type hashed[T any] struct {
	hash uint64
	row  T
}

// byHash sorts rows by the hash of their keys. Of rows with one key the last
// stays, as in the store that they go to.
func byHash[T any](rows []T, key func(T) string) []hashed[T] {
	out := make([]hashed[T], len(rows))
	for i, r := range rows {
		out[i] = hashed[T]{directory.Fingerprint(key(r)), r}
	}
	slices.SortStableFunc(out, func(a, b hashed[T]) int {
		if a.hash != b.hash {
			return cmp.Compare(a.hash, b.hash)
		}
		return cmp.Compare(key(a.row), key(b.row))
	})
	n := 0
	for i := range out {
		if n > 0 && out[n-1].hash == out[i].hash && key(out[n-1].row) == key(out[i].row) {
			n--
		}
		out[n] = out[i]
		n++
	}
	return out[:n]
}

// following are the rows after a hash.
func following[T any](rows []hashed[T], after uint64) []hashed[T] {
	if after == 0 {
		return rows
	}
	return rows[sort.Search(len(rows), func(i int) bool { return rows[i].hash > after }):]
}

// keep holds the rest of large pages until the next slice is asked for. It is
// a shortcut: what it does not hold is fetched again.
type keep[T any] struct {
	now   func() time.Time
	limit int

	mu      sync.Mutex
	pending map[string]left[T]
	rows    int
}

// left is what is left of a page, and the cursor of the page after it.
type left[T any] struct {
	rows []hashed[T]
	next cursor
	at   time.Time
}

func newKeep[T any](now func() time.Time, limit int) *keep[T] {
	return &keep[T]{now: now, limit: limit, pending: map[string]left[T]{}}
}

// put holds rows for a cursor, unless they are too many.
func (k *keep[T]) put(cursor string, rows []hashed[T], next cursor) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	k.drop(cursor)
	for old, l := range k.pending {
		if now.Sub(l.at) > maxKeptAge {
			k.drop(old)
		}
	}
	if k.rows+len(rows) > k.limit {
		return
	}
	k.pending[cursor] = left[T]{rows, next, now}
	k.rows += len(rows)
}

// take returns what is held for a cursor and lets go of it.
func (k *keep[T]) take(cursor string) (left[T], bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l, ok := k.pending[cursor]
	k.drop(cursor)
	return l, ok && k.now().Sub(l.at) <= maxKeptAge
}

func (k *keep[T]) drop(cursor string) {
	k.rows -= len(k.pending[cursor].rows)
	delete(k.pending, cursor)
}
