package connector

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

// still is a clock on which no time passes.
func still() time.Time { return time.Time{} }

// numbers is a list of the numbers from 0 on, in pages of given sizes. The
// cursor is a page's index.
type numbers struct {
	sizes []int
	fails map[int]error // once
	asked []int
}

func (l *numbers) read(_ context.Context, cursor string) (directory.Page[int], error) {
	at, _ := strconv.Atoi(cursor)
	l.asked = append(l.asked, at)
	if err := l.fails[at]; err != nil {
		delete(l.fails, at)
		return directory.Page[int]{}, err
	}
	page := directory.Page[int]{Total: 10 + at}
	first := 0
	for _, size := range l.sizes[:at] {
		first += size
	}
	for i := range l.sizes[at] {
		page.Rows = append(page.Rows, first+i)
	}
	if at+1 < len(l.sizes) {
		page.Next = strconv.Itoa(at + 1)
	}
	return page, nil
}

// TestGatherLosesNobody walks lists whose pages come in every size, to their
// ends: each row arrives once and in order, in few pages, none too large.
func TestGatherLosesNobody(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		sizes []int
		pages []int
	}{
		"small pages become large ones":   {slices.Repeat([]int{50}, 23), []int{500, 500, 150}},
		"a page that is enough stays one": {[]int{750, 750, 3}, []int{750, 750, 3}},
		"no page above the limit":         {[]int{400, 400, 400}, []int{400, 400, 400}},
		"empty pages on the way":          {[]int{0, 0, 7, 0, 0}, []int{7}},
		"a page that grows is left over":  {[]int{100, 700, 100}, []int{100, 700, 100}},
		"an empty list":                   {[]int{0}, []int{0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list := &numbers{sizes: row.sizes}
			var rows, pages []int
			for cursor := ""; ; {
				page, err := gather(t.Context(), still, cursor, list.read)
				if err != nil {
					t.Fatal(err)
				}
				rows, pages = append(rows, page.Rows...), append(pages, len(page.Rows))
				if cursor = page.Next; cursor == "" {
					break
				}
			}
			if !slices.Equal(pages, row.pages) {
				t.Errorf("the pages have %v rows, not %v", pages, row.pages)
			}
			for i, got := range rows {
				if got != i {
					t.Fatalf("row %d is %d", i, got)
				}
			}
			want := 0
			for _, size := range row.sizes {
				want += size
			}
			if len(rows) != want {
				t.Errorf("%d rows arrived, not %d", len(rows), want)
			}
		})
	}
}

// TestGatherKeepsAnErrorForTheNextCall shows that a page that fails neither
// costs the rows before it nor passes for the end of the list.
func TestGatherKeepsAnErrorForTheNextCall(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	list := &numbers{sizes: []int{10, 10, 10}, fails: map[int]error{1: down}}
	page, err := gather(t.Context(), still, "", list.read)
	if err != nil || len(page.Rows) != 10 || page.Next != "1" {
		t.Fatalf("%d rows, next %q, %v", len(page.Rows), page.Next, err)
	}
	list.fails[1] = down
	if _, err := gather(t.Context(), still, page.Next, list.read); !errors.Is(err, down) {
		t.Fatalf("the error got lost: %v", err)
	}
	if page, err = gather(t.Context(), still, page.Next, list.read); err != nil || len(page.Rows) != 20 || page.Rows[0] != 10 {
		t.Fatalf("the rest is %v, %v", page.Rows, err)
	}
}

// TestGatherStoresNowAndThen shows that a slow vendor's pages are handed on
// before there are many.
func TestGatherStoresNowAndThen(t *testing.T) {
	t.Parallel()
	clock := time.Now()
	list := &numbers{sizes: []int{10, 10, 10, 10}}
	slow := func(ctx context.Context, cursor string) (directory.Page[int], error) {
		clock = clock.Add(600 * time.Millisecond)
		return list.read(ctx, cursor)
	}
	page, err := gather(t.Context(), func() time.Time { return clock }, "", slow)
	if err != nil || len(page.Rows) != 20 || page.Next != "2" {
		t.Fatalf("%d rows, next %q, %v", len(page.Rows), page.Next, err)
	}
}

// TestGatherLeavesTheSourcesRowsAlone: a source may hand out a part of what
// it holds, and pages are read in parallel.
func TestGatherLeavesTheSourcesRowsAlone(t *testing.T) {
	t.Parallel()
	held := []int{1, 2, 99, 99}
	read := func(_ context.Context, cursor string) (directory.Page[int], error) {
		if cursor == "" {
			return directory.Page[int]{Rows: held[:2], Next: "more"}, nil
		}
		return directory.Page[int]{Rows: []int{3, 4}}, nil
	}
	page, err := gather(t.Context(), still, "", read)
	if err != nil || !slices.Equal(page.Rows, []int{1, 2, 3, 4}) || !slices.Equal(held, []int{1, 2, 99, 99}) {
		t.Fatalf("the page is %v, the source holds %v, %v", page.Rows, held, err)
	}
}
