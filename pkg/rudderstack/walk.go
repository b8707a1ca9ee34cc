package rudderstack

import (
	"encoding/binary"
	"slices"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

const (
	// pageRows is the count of every request. Servers refuse more than they
	// like (400 tooMany) or cap it in silence; 100 is accepted everywhere seen.
	pageRows = 100
	// minRows is the shortest limit of a page that a long list is read with.
	minRows = 4
	// overlapRows is how many rows of a page the next request asks for again.
	// It is also how many rows may sort alike without harm.
	overlapRows = 5
	// recentRows is how many rows received last a walk remembers: the overlap
	// and what a window that begins early brings before it.
	recentRows = 16
	// newcomers is how many new rows may stand between the recent ones.
	newcomers = 8
	// maxBack is how many requests in vain a walk may make, and one more for
	// each page that brought rows. A beginning anew because the order of the
	// rows has changed counts as reorderedCost of them.
	maxBack       = 20
	reorderedCost = 5
	// maxRows ends a walk over a list without end, as does a list more than
	// ten times as long as its first total and maxGrowth. (A total may count
	// no further than to 1,000, or active users alone.)
	maxRows   = 2_000_000
	maxGrowth = 10_000
)

// walk is a place in a SCIM list that is read from its first row to its last.
//
// Paging is stateless (RFC 7644, section 3.4.2.4): startIndex counts the rows
// as they are at the time of a request. When a row goes, those behind it move
// up, and a client that simply asks for the next index misses one in silence.
//
// The model. Rows keep their order while they are read, but for up to
// overlapRows neighbours that sort alike: they may come in another order each
// time. Rows may come and go anywhere. A page is a stretch of the list, of any
// length up to a limit of the server's, that need not begin exactly where it
// was asked for. totalResults may count anything.
//
// The rule. Each request begins overlapRows before the end of the rows
// received. An answer with overlapRows of the recent rows in it, close together
// and in order, begins before every row not yet received: fewer than that many
// sort like the last one, so at least one of those found lies before them all.
// Its unknown rows follow without a gap. Any other answer proves nothing: the
// walk steps back by half a page until it finds the recent rows again or is at
// the beginning, from where it reads the list anew.
//
// The end. The list ends at an answer that has the last overlapRows and no
// more. A server that answers with more, none of it new, is asked once more
// where the last row is now, and then behind that row. A stated total never
// ends a list; it only fails one that brought fewer rows, twice.
//
// The cost. A list of n rows takes ⌈(n-5)/95⌉+1 requests, but at least 2, and 1
// where it has none.
type walk struct {
	// Start is the startIndex of the next request.
	Start int `json:"s"`
	// Recent are fingerprints of the ids received last, the newest at the end.
	Recent []uint64 `json:"a,omitempty"`
	// First is the fingerprint of the first row of the list.
	First uint64 `json:"f,omitempty"`
	// Seen counts the rows received since the walk last began.
	Seen int `json:"n,omitempty"`
	// Full is the length of the longest page, at most pageRows.
	Full int `json:"h,omitempty"`
	// Low is the smallest totalResults stated, 0 for none.
	Low int `json:"q,omitempty"`
	// Varied says that totalResults has changed.
	Varied bool `json:"v,omitempty"`
	// Began is the first totalResults that is larger than its page and so
	// counts the list, 0 for none.
	Began int `json:"o,omitempty"`
	// Pages counts the pages behind the beginning that brought rows.
	Pages int `json:"m,omitempty"`
	// Back counts the requests in vain.
	Back int `json:"b,omitempty"`
	// Repeats counts pages in a row, longer than the overlap, without a new row.
	Repeats int `json:"z,omitempty"`
	// Doubted says that the list is read once more because it seemed broken.
	Doubted bool `json:"l,omitempty"`
	// Bare says that the server refuses the parameters of the collection.
	Bare bool `json:"e,omitempty"`
	// Cycle finds out that the list repeats itself.
	Cycle directory.CycleDetector `json:"y"`
}

func newWalk() walk { return walk{Start: 1} }

// begins says that the walk has received nothing yet.
func (w *walk) begins() bool { return w.Start == 1 && w.Seen == 0 && w.Back == 0 }

// valid says whether a walk that came in a cursor can be one of ours.
func (w *walk) valid() bool {
	within := func(n, low, high int) bool { return n >= low && n <= high }
	return within(w.Start, 1, 2*maxRows) && len(w.Recent) <= recentRows && within(w.Seen, 0, maxRows) &&
		within(w.Full, 0, pageRows) && w.Low >= 0 && w.Began >= 0 && within(w.Pages, 0, maxRows) &&
		w.Back >= 0 && !w.spent() && within(w.Repeats, 0, 2) && (w.Start == 1 || w.Full > 0 && len(w.Recent) > 0)
}

// overlap is by how many rows the next page repeats this one: at most half a
// page, so that a page that repeats all is not taken for the end.
func (w *walk) overlap() int { return max(1, min(overlapRows, w.Full/2)) }

// spent says that the walk has asked in vain too often.
func (w *walk) spent() bool { return w.Back > maxBack+w.Pages }

// step is what one page does to a walk.
type step struct {
	// from is the first row of the page to hand on; those before it are known.
	from int
	next walk
	done bool
	// stride is by how much the starts of the pages after the next will grow
	// if the server goes on as it does; 0 where that is open.
	stride int
}

// advance takes a page, given by the fingerprints of its ids and its
// totalResults (-1 for none), and says how the walk goes on. The error is a
// *walkError: Aborted for a list that changes too much, FailedPrecondition for
// a server whose paging would lose rows.
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
		return s, broken("the list states totalResults %d and brings no row", total)
	case w.Start == 1 && n == 0:
		return s, broken("the list brings no row and does not state totalResults, so that it may be none")
	case w.Start == 1:
		found = place{} // the beginning needs no proof
	case found.reordered:
		return w.again(reorderedCost)
	case found.rows >= min(w.overlap(), len(w.Recent)):
	case w.Repeats == 2 && found.rows == 0 && (n == 0 || ids[0] != w.First):
		return w.doubt("the server rounds startIndex down to whole pages (there are %d rows before the one asked for)", w.Seen)
	case n == 0 && total >= w.Start:
		return w.doubt("a page is empty after %d rows although totalResults is %d", w.Seen, total)
	default:
		return w.back()
	}

	if w.Start == 1 {
		next.Seen, next.First = 0, ids[0]
		if total > n && w.Began == 0 {
			next.Began = total
		}
	}
	unknown := slices.DeleteFunc(slices.Clone(ids[min(n, found.first+found.blur):]), func(id uint64) bool { return w.age(id) >= 0 })
	if w.Start == 1 {
		next.Seen = n - len(unknown)
	}
	next.Seen += len(unknown)
	next.Full = max(w.Full, min(n, pageRows))
	start := w.Start
	if ids[0] == w.First {
		start = 1 // page one, whatever was asked for
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
	if err := next.Cycle.Step(places(unknown)); err != nil {
		return s, broken("%v after %d rows", err, w.Seen)
	}
	next.Recent = slices.Concat(w.Recent, unknown)
	next.Recent = slices.Clone(next.Recent[max(0, len(next.Recent)-recentRows):])
	next.Start, next.Repeats = max(1, start+n-next.overlap()), 0
	if w.Start > 1 {
		next.Pages++
	}
	if n == next.Full && s.from <= next.overlap() {
		s.stride = n - next.overlap()
	}
	return s, nil
}

// repeated takes a page without a new row: the end of the list, if the server
// pages as it should.
func (w *walk) repeated(s step, start, n int) (step, error) {
	next := &s.next
	where := start + n - next.overlap() // the last rows, going by this page
	switch {
	case n <= w.overlap():
		return w.end(s)
	case w.Repeats == 2 && start == 1 && w.Pages == 0 && next.Low <= n && usualLimit(n):
		// A server that ignores startIndex and counts the page answers like
		// this, and so does one that does not page and has exactly so many
		// rows. That is a rare coincidence, while the other would hide all the
		// rows beyond its limit from every sync.
		return s, everyAnswerTheSame(n)
	case w.Repeats == 2:
		return w.end(s)
	case w.Repeats == 0 && where != w.Start:
		next.Start, next.Repeats = where, 1
	default:
		next.Start, next.Repeats = start+n, 2
	}
	if next.Back++; next.spent() {
		return s, w.changed()
	}
	return s, nil
}

// usualLimit says that servers limit their pages to so many rows, if to none
// that was asked for. Smaller ones are usual as well, but so are directories
// of that size at servers that do not page.
func usualLimit(n int) bool { return n == 50 || n == 100 || n == 200 || n == 500 || n == 1000 }

// end ends the walk, unless the list has stated more rows than came.
func (w *walk) end(s step) (step, error) {
	if s.next.Seen < s.next.Low {
		return w.doubt("the list ends after %d rows but states totalResults %d", s.next.Seen, s.next.Low)
	}
	s.done = true
	return s, nil
}

// doubt looks once more, from the beginning, at a list that seems broken, as a
// change at the wrong time can make one seem so.
func (w *walk) doubt(format string, args ...any) (step, error) {
	if w.Doubted {
		return step{}, broken(format, args...)
	}
	s, err := w.again(1)
	s.next.Doubted = true
	return s, err
}

// back steps back from a page that does not prove its place.
func (w *walk) back() (step, error) {
	next := *w
	next.Start, next.Repeats, next.Cycle = max(1, w.Start-max(1, w.Full/2)), 0, directory.CycleDetector{}
	if next.Back++; next.spent() {
		return step{}, w.changed()
	}
	return step{next: next}, nil
}

// again begins anew, with what was learned of the server.
func (w *walk) again(cost int) (step, error) {
	next := walk{Start: 1, Full: w.Full, Began: w.Began, Varied: w.Varied, Pages: w.Pages, Back: w.Back + cost, Doubted: w.Doubted, Bare: w.Bare}
	if next.spent() {
		return step{}, w.changed()
	}
	return step{next: next}, nil
}

// changed is the error of a walk that has asked in vain too often.
func (w *walk) changed() error {
	if w.Low > 0 && !w.Varied {
		return unordered(w.Seen)
	}
	return changed(w.Seen)
}

// place says where the recent rows are in a page.
type place struct {
	// rows is how many are there; first and last are the ends of their stretch.
	rows, first, last int
	// blur is how many rows from the first on may be older than the recent ones.
	blur int
	// reordered says that they are not together or not in order, so that the
	// order of the list has changed.
	reordered bool
}

func (w *walk) find(ids []uint64) place {
	var p place
	newest := recentRows
	for i, id := range ids {
		age := w.age(id)
		if age < 0 {
			continue
		}
		if p.rows == 0 {
			p.first = i
		}
		p.rows, p.last = p.rows+1, i
		p.reordered = p.reordered || age >= newest+overlapRows // further than rows that sort alike can be
		if newest = min(newest, age); age >= recentRows-overlapRows {
			p.blur = overlapRows
		}
	}
	p.reordered = p.reordered || p.last-p.first > p.rows+newcomers
	return p
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

// places identifies rows in a text.
func places(ids []uint64) string {
	text := make([]byte, 0, 8*len(ids))
	for _, id := range ids {
		text = binary.LittleEndian.AppendUint64(text, id)
	}
	return string(text)
}
