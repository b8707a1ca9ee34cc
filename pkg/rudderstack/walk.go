package rudderstack

import (
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

const (
	// pageRows is the count of a request. Servers refuse more than they like
	// (400 tooMany) or cap it in silence; 100 is accepted everywhere seen.
	pageRows = 100
	// maxNear is how many ids of rows received last a walk remembers.
	maxNear = 8
	// maxBack is how often a walk may step back, and once more for every 50
	// rows of the list. To begin anew counts as five where the order of the
	// rows is in doubt.
	maxBack = 20
	// maxSeen ends a walk through a list without end, after 20,000 requests.
	maxSeen = 2_000_000
	// maxGrowth is by how many rows a list may be longer than ten times its
	// first total. Totals may count no further than to 1,000, or active users
	// alone.
	maxGrowth = 10_000
	// maxBlank is how many pages in a row may bring a nextCursor and no rows.
	maxBlank = 100
)

// walk is a place in a SCIM list, which is read from its first row to its last,
// a page at a time.
//
// Paging is stateless (RFC 7644, section 3.4.2.4): startIndex counts the rows
// as they are at the time of the request. When a row goes, those behind it move
// up by one, and a client that goes on at the next index misses one in silence.
//
// What is assumed: rows keep their order among themselves while they are read.
// They may come and go anywhere, pages may have any length, and totalResults
// may count the list or something else.
//
// How it goes on: each page after the first overlaps the one before by the last
// row received, which costs no request, as a page of 101 rows brings 100 new
// ones. The walk knows the last eight rows (Near) and looks for them (find):
//   - the last one comes first, or some are further on, together: the rows
//     behind them are those that follow, wherever the indexes are by now;
//   - none is there: it steps back by a page, until it finds them or is at the
//     beginning, from where all is read anew (back);
//   - some are there, but apart: the order has changed, so it begins anew
//     (again);
//   - nothing is behind them: the list has ended, or the server does not do as
//     it was asked (barren).
//
// Where it ends: at a page that brings nothing new, or at once where the total
// has been reached and the page is shorter than the longest so far. A page as
// long as that may have been cut off by a limit, and the total may stop there,
// too: servers count the page, or no further than to 1,000. So a list that fits
// into one page, or fills its last one, takes one request more.
//
// What it cannot notice: a server in no order at all that by chance has the
// expected row in the expected place; and, where the server does not let pages
// overlap (Plain), as many rows that came as went between two pages.
type walk struct {
	// Seen is how many rows have been received and are still in the list, as
	// far as is known: never more than the index of the last one.
	Seen int `json:"n,omitempty"`
	// Start is the startIndex of the next request.
	Start int `json:"s"`
	// Near are fingerprints of the ids received last, the newest at the end.
	Near []uint64 `json:"a,omitempty"`
	// First is the fingerprint of the first row of all.
	First uint64 `json:"f,omitempty"`
	// Moved says that a page from elsewhere than the beginning has come.
	Moved bool `json:"m,omitempty"`
	// Plain says that pages do not overlap, because the server rounds
	// startIndex down to a page of its own.
	Plain bool `json:"p,omitempty"`
	// Sure says that totalResults counts the list, not the page: they have
	// differed.
	Sure bool `json:"u,omitempty"`
	// Less says that the server refuses a count above pageRows.
	Less bool `json:"l,omitempty"`
	// Bare says that the server refuses excludedAttributes.
	Bare bool `json:"e,omitempty"`
	// Total is the last totalResults, -1 for none that counts the list. With
	// vendor cursors it is the smallest.
	Total int `json:"t"`
	// Began is the first totalResults that is sure, 0 for none.
	Began int `json:"o,omitempty"`
	// Full is the most rows that a page has brought, up to pageRows+1.
	Full int `json:"h,omitempty"`
	// Low is the smallest totalResults, 0 for none.
	Low int `json:"q,omitempty"`
	// Back counts the steps back and the new beginnings.
	Back int `json:"b,omitempty"`
	// Cursor is the server's own cursor of the next page (RFC 9865).
	Cursor string `json:"c,omitempty"`
	// Rest says that the next request repeats the last one, because its page
	// had more rows than a page of ours may have.
	Rest bool `json:"r,omitempty"`
	// Blank counts pages without rows.
	Blank int `json:"z,omitempty"`
	// Trail notices circles.
	Trail directory.Trail `json:"y"`
}

func newWalk() walk { return walk{Start: 1, Total: -1} }

// begins says that the walk has received nothing yet.
func (w *walk) begins() bool { return w.Start == 1 && w.Seen == 0 && w.Cursor == "" && !w.Rest }

// valid says whether a walk that came in a cursor can be one of ours.
func (w *walk) valid() bool {
	within := func(n, low, high int) bool { return n >= low && n <= high }
	return within(w.Seen, 0, maxSeen) && within(w.Start, 1, maxSeen) && within(len(w.Near), 0, maxNear) &&
		within(w.Total, -1, math.MaxInt32) && within(w.Began, 0, math.MaxInt32) && within(w.Low, 0, math.MaxInt32) &&
		within(w.Full, 0, pageRows+1) && within(w.Blank, 0, maxBlank) && w.Back >= 0 && !w.spent() &&
		len(w.Cursor) <= maxVendorCursor && (w.Seen == 0) == (len(w.Near) == 0) && (w.Seen == 0 || w.Start > 1 || !w.Plain)
}

// endsByCursor says that the list is complete although the server refuses to
// go on by index. It pages by cursors alone, and its only page had no
// nextCursor (RFC 9865, section 2.1); it had all the rows of its total or, as
// such a server need not state one, a length that no limit would have caused.
// The total must be one of the list, not of the page.
func (w *walk) endsByCursor() bool {
	if w.Seen == 0 || w.Moved || w.Plain || w.Back > 0 {
		return false
	}
	return w.Total == w.Seen || w.Total < 0 && w.Seen < pageRows && !usualLimit(w.Seen)
}

// usualLimit says that servers limit their pages to so many rows, if to none
// that was asked for. Smaller ones are usual as well, but so are directories
// of that size at servers that do not page.
func usualLimit(n int) bool { return n == 50 || n == 100 || n == 200 || n == 500 || n == 1000 }

// count is the count of the next request.
func (w *walk) count() int {
	if w.Start == 1 || w.Plain || w.Less || w.Cursor != "" {
		return pageRows
	}
	return pageRows + 1
}

// age is 0 for the id received last, 1 for the one before, -1 for none.
func (w *walk) age(id uint64) int {
	for age := range w.Near {
		if w.Near[len(w.Near)-1-age] == id {
			return age
		}
	}
	return -1
}

// move is what one page does to a walk.
type move struct {
	// from and to are the rows of the page to hand on.
	from, to int
	next     walk
	done     bool
	// stride is by how much the start of the pages that surely follow grows;
	// 0 where only the next is sure.
	stride int
}

// lead are the startIndexes that the walk will ask for next if the server
// goes on as it does, at most so many and never beyond the total.
func (m *move) lead(limit int) []int {
	w := &m.next
	if w.Cursor != "" || w.Rest || w.Plain || w.Total <= w.Seen {
		return nil
	}
	starts := make([]int, 0, limit)
	for start := w.Start; len(starts) < limit && start < w.Total; start += m.stride {
		starts = append(starts, start)
		if m.stride == 0 {
			break
		}
	}
	return starts
}

// walkError says why a walk cannot go on.
type walkError struct {
	code   codes.Code
	what   string
	advice rest.Advice
}

func (e *walkError) Error() string { return e.what }

func (w *walk) changed() error {
	return &walkError{
		codes.Aborted,
		fmt.Sprintf("the rows received last cannot be found again after %d rows", w.Seen),
		rest.Advice{
			Cause: "the directory changed too much while it was read, or the server has no stable order",
			Next:  "run the sync again; if it fails again, report this message to RudderStack support",
		},
	}
}

func (w *walk) broken(format string, args ...any) error {
	return &walkError{
		codes.FailedPrecondition, fmt.Sprintf(format, args...),
		rest.Advice{
			Cause: "the server's paging is not that of RFC 7644, so that rows would be missing",
			Next:  "run the sync again; if it fails again, report this message to RudderStack support",
		},
	}
}

// again is the walk from the beginning, keeping what it learned of the
// server. The cost is what it takes from the bound on such moves.
func (w *walk) again(cost int) (move, error) {
	next := newWalk()
	next.Plain, next.Less, next.Bare = w.Plain, w.Less, w.Bare
	next.Began = w.Began
	if next.Back = w.Back + cost; next.spent() {
		return move{}, w.changed()
	}
	return move{next: next}, nil
}

// spent says that the walk has stepped back too often.
func (w *walk) spent() bool { return w.Back > maxBack+w.Began/50 }

// match is where the rows received last are in a page.
type match int

const (
	absent    match = iota // nowhere, or too few to be sure
	aligned                // together and in order
	scattered              // there, but not as they were
)

// find looks for the rows received last in a page: at is the index of the
// newest that is there, and age its age.
func (w *walk) find(ids []uint64) (how match, at, age int) {
	if len(ids) > 0 && w.age(ids[0]) == 0 {
		return aligned, 0, 0 // right where it is expected
	}
	found, together := 0, true
	for i, id := range ids {
		a := w.age(id)
		if a < 0 {
			continue
		}
		// A row may have come in between two.
		together = together && (found == 0 || i-at <= 2 && a <= age)
		found++
		at, age = i, a
	}
	switch {
	case found > 0 && together && found >= min(3, len(w.Near)):
		return aligned, at, age
	case found >= 2 && !together:
		return scattered, at, age
	}
	// A single one may have been moved there from somewhere else.
	return absent, -1, 0
}

// sight is what a walk makes of a page.
type sight struct {
	// n is how many rows the page has.
	n int
	// total is the totalResults to go by, -1 for none.
	total int
	// how, at and age say where the rows received last are.
	how     match
	at, age int
	// wrapped says that the page is the first one again, not the one asked for.
	wrapped bool
}

func (w *walk) look(ids []uint64, total int) sight {
	s := sight{n: len(ids), total: total}
	s.how, s.at, s.age = w.find(ids)
	s.wrapped = s.n > 0 && w.Start > 1 && ids[0] == w.First
	if s.n > 1 && total == s.n && !s.wrapped && (w.Start > 1 || !w.Sure) {
		// Behind the beginning a page is shorter than the list, so this total
		// counts the page and says nothing. At the beginning it may be so.
		s.total = -1
	}
	return s
}

// advance takes a page, given by the fingerprints of its ids, its total (-1
// for none) and its nextCursor, and says which rows are to be handed on and
// how the walk continues.
func (w *walk) advance(ids []uint64, total int, cursor string) (move, error) {
	if w.Cursor != "" || w.Rest || cursor != "" {
		return w.follow(ids, total, cursor)
	}
	s := w.look(ids, total)
	switch {
	case w.Seen == 0 && s.n == 0 && total > 0:
		return move{}, w.broken("the list states totalResults %d and brings no row", total)
	case w.Seen == 0 && s.n == 0 && total < 0:
		return move{}, w.broken("the list brings no row and does not state totalResults, so that it may be none")
	case w.Seen == 0 && s.n == 0:
		return move{done: true}, nil
	case w.Plain && s.total >= 0 && s.total < w.Total:
		// Rows went, so others may have moved up past the place of the walk.
		return w.again(1)
	case s.how == scattered:
		return w.again(maxBack / 4)
	case s.how == aligned || w.Plain || w.Seen == 0:
		// The place of the page is known.
	case s.n == 0 && total >= w.Start:
		return move{}, w.broken("a page is empty after %d rows although totalResults is %d", w.Seen, total)
	case w.Start > 1:
		return w.back()
	case s.n == 0:
		return move{}, w.changed()
	}

	m := move{to: s.n, next: *w}
	next := &m.next
	switch {
	case s.how == aligned:
		m.from = s.at + 1
		// Either rows moved, or the server answers with an earlier window than
		// the one asked for. The lower of the two places is safe: it can only
		// bring a row twice.
		next.Seen = max(1, min(w.Seen-s.age, w.Start+s.at)) + s.n - m.from
	case w.Plain && s.wrapped:
		m.from = s.n
	case w.Plain:
		next.Seen = w.Seen + s.n
	default: // the first page, or the way back has come to the beginning
		next.Seen, next.Near = s.n, nil
	}
	if s.n > 0 && next.Seen > s.total {
		s.total = -1 // more rows have come than there should be
	}
	w.learn(next, s, total)
	if w.Start == 1 {
		next.First = ids[0]
	}
	if next.Seen > maxSeen || next.Began > 0 && next.Seen > 10*next.Began+maxGrowth {
		return move{}, w.broken("the list has no end after %d rows", w.Seen)
	}
	if m.from == s.n {
		return w.barren(m, s)
	}
	return w.take(m, s, ids)
}

// learn keeps what a page tells of the list and of the server.
func (w *walk) learn(next *walk, s sight, total int) {
	next.Full = max(w.Full, min(s.n, pageRows+1))
	next.Total = s.total
	if s.total > 0 && (w.Low == 0 || s.total < w.Low) {
		next.Low = s.total
	}
	if w.Start > 1 || total < s.n {
		return
	}
	next.Total = total
	if total > s.n && w.Began == 0 {
		next.Began = total
	}
	// A server that sends more rows than it was asked for does not page.
	next.Sure = w.Sure || total > s.n || s.n > pageRows && !usualLimit(s.n)
}

// take hands on the new rows of a page and goes on to the next.
func (w *walk) take(m move, s sight, ids []uint64) (move, error) {
	next := &m.next
	if s.n-m.from > directory.MaxRows {
		m.to = m.from + directory.MaxRows
		next.Seen -= s.n - m.to
	}
	next.remember(ids[m.from:m.to])
	next.Moved = w.Moved || w.Start > 1 && !s.wrapped
	if err := next.Trail.Step(places(ids[m.from:m.to])); err != nil {
		return move{}, w.broken("%v after %d rows", err, w.Seen)
	}
	shorter := s.n == 1 || s.n < min(w.Full, w.count())
	m.done = m.to == s.n && s.total >= 0 && next.Seen >= s.total && shorter
	next.Start = next.Seen
	switch {
	case next.Plain:
		next.Start = next.Seen + 1
	case s.how == aligned && !s.wrapped:
		next.Start = w.Start + m.to - 1
		if s.at == 0 && m.to == s.n {
			m.stride = s.n - 1
		}
	}
	if s.at > 0 && s.n <= directory.MaxRows {
		// Rows that came in before the known ones are handed on as well.
		m.from = 0
	}
	return m, nil
}

// barren judges a page that brings nothing new: the end of the list, or a
// server that does not do as it was asked. If it has rows, the last is the one
// received last.
func (w *walk) barren(m move, s sight) (move, error) {
	next := &m.next
	exact := s.n == 1 && s.at == 0
	switch {
	case s.wrapped && !w.Moved && !w.Sure && (s.total < 0 || s.total == s.n) && (s.n == w.count() || usualLimit(s.n)):
		// A server that ignores startIndex and counts the page answers like
		// this, and so does one that does not page and has exactly so many
		// rows. That is a rare coincidence, while the other would hide all the
		// rows beyond its limit from every sync.
		return move{}, &walkError{
			codes.FailedPrecondition, fmt.Sprintf("every answer is the same %d rows", s.n),
			rest.Advice{
				Cause: fmt.Sprintf("the server ignores startIndex, and %d is a usual limit, so that there may be more rows that cannot be read", s.n),
				Next:  fmt.Sprintf("count them at RudderStack: if there are exactly %d, the sync works again with one more; if not, report this message to RudderStack support", s.n),
			},
		}
	case s.total >= 0 && next.Seen >= s.total, exact && s.total < 0:
		m.done = true
	case exact && w.Start > next.Seen && w.Start >= s.total:
		// This is the end, but there are rows before it that have not come.
		// They may have come in behind the walk, if the list has grown by so
		// many. If not, the rows have no stable order.
		if next.Seen < w.Low {
			again, err := w.again(maxBack / 4)
			if err != nil {
				err = w.broken("the list ends after %d rows but states totalResults %d", next.Seen, w.Low)
			}
			return again, err
		}
		m.done = true
	case !w.Plain && s.n > 1 && !s.wrapped && w.Start+s.at > w.Seen:
		// Rows came in before this place and moved the known ones on: go where
		// the last of them is now, to see whether it is the end.
		if next.Back++; next.spent() {
			return move{}, w.changed()
		}
		next.Start = w.Start + s.at
	case !w.Plain && min(w.Start, next.Seen) < w.Seen:
		// On the way back no more than the place was to be found.
		next.Start = next.Seen
	case !w.Plain:
		next.Plain = true
		next.Start = next.Seen + 1
	case s.total >= 0:
		return move{}, w.broken("the list ends after %d rows but states totalResults %d", next.Seen, s.total)
	default:
		m.done = true
	}
	return m, nil
}

// back is the step back from a page in which nothing is known: by a page as
// long as the server makes them, so that no row is left out between.
func (w *walk) back() (move, error) {
	next := *w
	if next.Back++; next.spent() {
		return move{}, w.changed()
	}
	next.Start = max(1, w.Start-max(1, min(w.Full-1, pageRows)))
	next.Trail = directory.Trail{}
	return move{next: next}, nil
}

// follow is advance for a server with cursors of its own (RFC 9865).
func (w *walk) follow(ids []uint64, total int, cursor string) (move, error) {
	n := len(ids)
	m := move{to: n, next: *w}
	next := &m.next
	if w.Rest {
		for i, id := range ids {
			if a := w.age(id); a == 0 {
				m.from = i + 1
			}
		}
		if m.from == 0 {
			// The page has changed and is read anew.
			if next.Back++; next.spent() {
				return move{}, w.changed()
			}
		}
	}
	if w.Total >= 0 && total >= 0 && total < w.Total && total != n {
		// Rows went. A cursor may stand for an index, and others have moved up
		// past it.
		return w.again(1)
	}
	if total >= 0 && (w.Total < 0 || total < w.Total) {
		next.Total = total
	}
	if w.begins() && total > n && w.Began == 0 {
		next.Began = total
	}
	if w.Cursor == "" && w.Seen > 0 && n > 0 && w.age(ids[0]) == 0 {
		m.from = max(m.from, 1) // the overlap
	}
	next.Seen += n - m.from
	if next.Rest = n-m.from > directory.MaxRows; next.Rest {
		m.to = m.from + directory.MaxRows
		next.Seen -= n - m.to
	}
	next.remember(ids[m.from:m.to])
	if next.Seen > maxSeen {
		return move{}, w.broken("the list has no end after %d rows", w.Seen)
	}
	if next.Rest {
		return m, nil
	}
	if next.Cursor = cursor; cursor == "" {
		if next.Total > next.Seen {
			return move{}, w.broken("the list ends after %d rows but states totalResults %d", next.Seen, next.Total)
		}
		m.done = true
		return m, nil
	}
	if next.Blank++; n > 0 {
		next.Blank = 0
	}
	if next.Blank >= maxBlank {
		return move{}, w.broken("%d pages in a row bring no row but a nextCursor", maxBlank)
	}
	if err := next.Trail.Step(cursor); err != nil {
		return move{}, w.broken("%v (nextCursor after %d rows)", err, next.Seen)
	}
	return m, nil
}

// remember notes the ids received last.
func (w *walk) remember(ids []uint64) {
	near := append(append(make([]uint64, 0, len(w.Near)+maxNear), w.Near...), ids[max(0, len(ids)-maxNear):]...)
	w.Near = near[max(0, len(near)-maxNear):]
}

// places is a text that identifies rows.
func places(ids []uint64) string {
	text := make([]byte, 0, 8*len(ids))
	for _, id := range ids {
		text = binary.LittleEndian.AppendUint64(text, id)
	}
	return string(text)
}
