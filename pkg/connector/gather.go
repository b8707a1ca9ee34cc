package connector

import (
	"context"
	"time"

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
)

// gather reads a vendor's pages from a cursor on and makes one page of them:
// until there are enough rows, or no more, or enough time has passed, but
// never more than directory.MaxRows. If a page cannot be read, the ones before it are returned; the next call
// begins with that page and meets the error. It suits lists whose pages are
// of one size: a page that turns out too large to be added is read again.
func gather[T any](ctx context.Context, now func() time.Time, cursor string, read func(ctx context.Context, cursor string) (directory.Page[T], error)) (directory.Page[T], error) {
	start := now()
	page, err := read(ctx, cursor)
	if err != nil {
		return page, err
	}
	largest, own := len(page.Rows), false
	for page.Next != "" &&
		len(page.Rows) < enoughRows && len(page.Rows)+largest <= directory.MaxRows && now().Sub(start) < enoughTime {
		more, err := read(ctx, page.Next)
		if err != nil || len(page.Rows)+len(more.Rows) > directory.MaxRows {
			break // the next call reads it, or fails with what is wrong
		}
		if !own { // the first page's rows belong to the source
			page.Rows = append(make([]T, 0, directory.MaxRows), page.Rows...)
			own = true
		}
		page.Rows = append(page.Rows, more.Rows...)
		page.Next, page.Total = more.Next, more.Total
		largest = max(largest, len(more.Rows))
	}
	return page, nil //nolint:nilerr // an error is met again by the next call
}
