package rudderstack

import (
	"fmt"
	"slices"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

const (
	// pageRows is the count of every request. Servers refuse a larger one (400
	// tooMany) or cap it in silence; 100 is accepted everywhere seen.
	pageRows = 100
	// minRows is the shortest limit of a page that a long list is read with.
	minRows = 4
	// overlapRows is the number of rows of a page that the next request asks
	// for again, and the number of rows that may sort alike without harm.
	overlapRows = 5
	// recentRows is the number of last received rows that a walk remembers: the
	// overlap and the rows before it that an early window brings.
	recentRows = 16
	// maxBetween is the largest number of new rows between the recent ones.
	maxBetween = 8
	// maxBack is the number of requests without new rows that a walk may make,
	// in addition to one for each page that brought rows. A restart because the
	// list was reordered counts as reorderedCost of them.
	maxBack       = 20
	reorderedCost = 5
	// maxRows and maxGrowth end a walk over a list without end: at so many rows,
	// or at ten times the first total and maxGrowth more. (A total may count
	// only to 1,000, or only active users.)
	maxRows   = 2_000_000
	maxGrowth = 10_000
)

// walk is a position in a SCIM list that is read from its first row to its last.
//
// Paging is stateless (RFC 7644, section 3.4.2.4): startIndex counts the rows
// as they are at the time of a request. When a row is deleted, the rows behind
// it move up, and a client that asks for the next index misses one in silence.
//
// The model. Rows keep their order while they are read, except that up to
// overlapRows neighbours that sort alike may be in another order each time. Rows
// may come and go anywhere. A page is a stretch of the list, up to the server's
// limit, and may begin near startIndex, not exactly there. totalResults may
// count anything.
//
// The rule. Each request begins overlapRows before the end of the rows
// received. Suppose an answer has overlapRows of the recent rows, close together
// and in order. Fewer rows than that sort like the last one, so one of those
// found stands before every row not yet received: the answer's unknown rows
// follow without a gap. Any other answer proves nothing. The walk then steps
// back by half a page until it finds the recent rows again, or reads the list
// anew from its beginning.
//
// The end. The list ends at an answer that has the last overlapRows and no
// more. A server that answers with more, none of it new, is asked again where
// the last row is now, and then behind that row. A stated total never ends a
// list; it fails a list that twice brought fewer rows.
//
// The cost. A list of n rows takes ⌈(n-5)/95⌉+1 requests, but at least 2, and 1
// if it has none.
type walk struct {
	// Start is the startIndex of the next request.
	Start int `json:"s"`
	// Recent are fingerprints of the ids received last, the newest at the end;
	// First is the first row's fingerprint.
	Recent []uint64 `json:"a,omitempty"`
	First  uint64   `json:"f,omitempty"`
	// Seen counts the rows received since the walk last began.
	Seen int `json:"n,omitempty"`
	// Full is the length of the longest page, at most pageRows.
	Full int `json:"h,omitempty"`
	// Low is the smallest totalResults stated, 0 for none. Varied is set if
	// totalResults has changed. Began is the first totalResults that is larger
	// than its page and so counts the list, 0 for none.
	Low    int  `json:"q,omitempty"`
	Varied bool `json:"v,omitempty"`
	Began  int  `json:"o,omitempty"`
	// Pages counts the pages behind the beginning that brought rows, Back the
	// requests in vain.
	Pages int `json:"m,omitempty"`
	Back  int `json:"b,omitempty"`
	// Repeats counts pages in a row, longer than the overlap, without a new row.
	Repeats int `json:"z,omitempty"`
	// Doubted is set once the list is read anew because it seemed broken.
	Doubted bool `json:"l,omitempty"`
	// Bare is set if the server refuses the parameters of the collection.
	Bare bool `json:"e,omitempty"`
	// Cycle finds out that the list repeats itself.
	Cycle directory.CycleDetector `json:"y"`
}

func newWalk() walk { return walk{Start: 1} }

// begins reports whether the walk has received nothing yet.
func (w *walk) begins() bool { return w.Start == 1 && w.Seen == 0 && w.Back == 0 }

// valid reports whether a walk from a cursor can be one of ours.
func (w *walk) valid() bool {
	within := func(n, low, high int) bool { return n >= low && n <= high }
	return within(w.Start, 1, 2*maxRows) && len(w.Recent) <= recentRows && within(w.Seen, 0, maxRows) &&
		within(w.Full, 0, pageRows) && w.Low >= 0 && w.Began >= 0 && within(w.Pages, 0, maxRows) &&
		within(w.Back, 0, maxBack+w.Pages) && within(w.Repeats, 0, 2) && (w.Start == 1 || w.Full > 0 && len(w.Recent) > 0)
}

// overlapLen is the number of rows that the next page repeats: at most half a
// page, so that a page that repeats all rows is not taken for the end.
func (w *walk) overlapLen() int { return max(1, min(overlapRows, w.Full/2)) }

// step is the outcome of one page.
type step struct {
	// from is the index of the page's first new row.
	from int
	// next is the walk after the page. If done, the list has ended.
	next walk
	done bool
	// stride is the distance between the starts of the pages after the next, if
	// the server pages as before; 0 if that is unknown.
	stride int
}

// advance takes a page: the fingerprints of its ids and its totalResults, -1 for
// none. It returns the next step. The error is a *walkError: Aborted for a list
// that changes too much, FailedPrecondition for a server whose paging would lose
// rows.
func (w *walk) advance(ids []uint64, total int) (step, error) {
	n, found := len(ids), w.find(ids)
	s := step{next: *w}
	next := &s.next
	if total >= 0 {
		next.Varied = w.Varied || w.Low > 0 && total != w.Low
		if total < w.Low || w.Low == 0 {
			next.Low = total
		}
	}
	switch {
	case w.Start == 1 && n == 0 && total == 0:
		s.done = true
		return s, nil
	case w.Start == 1 && n == 0 && total > 0:
		return s, broken("the list states totalResults %d but has no row", total)
	case w.Start == 1 && n == 0:
		return s, broken("the list brings no row and does not state totalResults, so that it may be none")
	case w.Start == 1:
		found = overlap{} // the beginning needs no proof
	case found.reordered:
		return w.again(reorderedCost)
	case found.rows >= min(w.overlapLen(), len(w.Recent)):
	case w.Repeats == 2 && found.rows == 0 && (n == 0 || ids[0] != w.First):
		return w.doubt("the server rounds startIndex down to whole pages (there are %d rows before the one asked for)", w.Seen)
	case n == 0 && total >= w.Start:
		return w.doubt("a page is empty after %d rows although totalResults is %d", w.Seen, total)
	default:
		return w.back()
	}

	unknown := slices.DeleteFunc(slices.Clone(ids[min(n, found.first+found.blur):]), func(id uint64) bool { return w.age(id) >= 0 })
	next.Seen += len(unknown)
	if w.Start == 1 {
		next.Seen, next.First = n, ids[0]
		if total > n && w.Began == 0 {
			next.Began = total
		}
	}
	next.Full = max(w.Full, min(n, pageRows))
	start := w.Start
	if ids[0] == w.First {
		start = 1 // the server sent page one
	}
	for s.from < n && w.age(ids[s.from]) >= 0 {
		s.from++ // the overlap
	}
	if len(unknown) == 0 {
		return w.repeated(s, start, n)
	}

	if w.Start > 1 && next.Full < minRows {
		return w.doubt("a page has at most %d rows, too few to notice rows that move", next.Full)
	}
	if next.Seen > maxRows || next.Began > 0 && next.Seen > 10*next.Began+maxGrowth {
		return s, broken("the list has no end after %d rows", w.Seen)
	}
	if err := next.Cycle.Step(fmt.Sprint(unknown)); err != nil {
		return s, broken("%v after %d rows", err, w.Seen)
	}
	next.Recent = slices.Concat(w.Recent, unknown)
	next.Recent = slices.Clone(next.Recent[max(0, len(next.Recent)-recentRows):])
	next.Start, next.Repeats = max(1, start+n-next.overlapLen()), 0
	if w.Start > 1 {
		next.Pages++
	}
	if n == next.Full && s.from <= next.overlapLen() {
		s.stride = n - next.overlapLen()
	}
	return s, nil
}

// repeated handles a page without a new row: the end of the list, if the server
// pages as it should.
func (w *walk) repeated(s step, start, n int) (step, error) {
	next := &s.next
	last := start + n - next.overlapLen() // where this page has the last rows
	switch {
	case n <= w.overlapLen():
		return w.end(s)
	case w.Repeats == 2 && start == 1 && w.Pages == 0 && next.Low <= n && usualLimit(n):
		// Either the server ignores startIndex and counts the page, or it does
		// not page and has exactly so many rows. The latter is rare; the former
		// would hide all rows beyond its limit from every sync.
		return s, everyAnswerTheSame(n)
	case w.Repeats == 2:
		return w.end(s)
	case w.Repeats == 0 && last != w.Start:
		next.Start, next.Repeats = last, 1
	default:
		next.Start, next.Repeats = start+n, 2
	}
	return w.inVain(s, 1)
}

// usualLimit reports whether servers limit their pages to so many rows. Smaller
// limits are usual as well, but so are directories of that size at servers that
// do not page.
func usualLimit(n int) bool { return n == 50 || n == 100 || n == 200 || n == 500 || n == 1000 }

// end ends the walk. It doubts a list that brought fewer rows than it stated.
func (w *walk) end(s step) (step, error) {
	if s.next.Seen < s.next.Low {
		return w.doubt("the list ends after %d rows but states totalResults %d", s.next.Seen, s.next.Low)
	}
	s.done = true
	return s, nil
}

// doubt restarts the walk, once, if the list seems broken: a change at the
// wrong time can make it seem so.
func (w *walk) doubt(format string, args ...any) (step, error) {
	if w.Doubted {
		return step{}, broken(format, args...)
	}
	s, err := w.again(1)
	s.next.Doubted = true
	return s, err
}

// back steps back from a page that does not prove its position.
func (w *walk) back() (step, error) {
	s := step{next: *w}
	s.next.Start, s.next.Repeats, s.next.Cycle = max(1, w.Start-max(1, w.Full/2)), 0, directory.CycleDetector{}
	return w.inVain(s, 1)
}

// again restarts the walk and keeps what it has learned about the server.
func (w *walk) again(cost int) (step, error) {
	next := walk{Start: 1, Full: w.Full, Began: w.Began, Varied: w.Varied, Pages: w.Pages, Back: w.Back, Doubted: w.Doubted, Bare: w.Bare}
	return w.inVain(step{next: next}, cost)
}

// inVain counts requests in vain, and fails if there are too many.
func (w *walk) inVain(s step, cost int) (step, error) {
	if s.next.Back += cost; s.next.Back <= maxBack+w.Pages {
		return s, nil
	}
	if w.Low > 0 && !w.Varied {
		return step{}, unordered(w.Seen)
	}
	return step{}, changed(w.Seen)
}

// overlap describes where a page has the recent rows.
type overlap struct {
	// rows is their number; first and last are the ends of their stretch.
	rows, first, last int
	// blur is the number of rows from first on that may be older than the
	// recent ones.
	blur int
	// reordered is set if the rows are not together or not in order, so the
	// order of the list has changed.
	reordered bool
}

// find finds the recent rows in a page.
func (w *walk) find(ids []uint64) overlap {
	var o overlap
	newest := recentRows
	for i, id := range ids {
		age := w.age(id)
		if age < 0 {
			continue
		}
		if o.rows == 0 {
			o.first = i
		}
		o.rows, o.last = o.rows+1, i
		o.reordered = o.reordered || age >= newest+overlapRows // further than rows that sort alike can be
		if newest = min(newest, age); age >= recentRows-overlapRows {
			o.blur = overlapRows
		}
	}
	o.reordered = o.reordered || o.last-o.first > o.rows+maxBetween
	return o
}

// age is 0 for the row received last, 1 for the one before, -1 for none of the
// recent ones.
func (w *walk) age(id uint64) int {
	for i, recent := range slices.Backward(w.Recent) {
		if recent == id {
			return len(w.Recent) - 1 - i
		}
	}
	return -1
}
