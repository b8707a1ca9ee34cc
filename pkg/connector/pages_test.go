package connector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

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

func ofNumbers(now func() time.Time) *pages[int] {
	return &pages[int]{
		now: now, size: func(*int) int { return 100 },
		key: func(n *int) (string, string) { return strconv.Itoa(*n), "" },
	}
}

// walk reads a list to its end. fresh returns the instance that reads each
// page.
func walk[T any](t *testing.T, fresh func() *pages[T], source reader[T]) [][]T {
	t.Helper()
	var out [][]T
	for token := ""; ; {
		page, err := fresh().read(t.Context(), "list", token, source)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, page.Rows)
		if token = page.Next; token == "" {
			return out
		}
		if len(out) > 10_000 {
			t.Fatal("the list does not end")
		}
	}
}

// TestPagesLoseNobody walks lists with pages of every size to their ends, in
// one process and in a new one for every page. Each row must arrive once, in
// few pages, none too large.
func TestPagesLoseNobody(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		sizes []int
		pages []int
	}{
		"small pages become large ones":   {slices.Repeat([]int{50}, 23), []int{500, 500, 150}},
		"a page that is enough stays one": {[]int{750, 750, 3}, []int{750, 750, 3}},
		"no page above the limit":         {[]int{400, 400, 400}, []int{400, 400, 400}},
		"empty pages on the way":          {[]int{0, 0, 7, 0, 0}, []int{7}},
		"a large page follows small ones": {[]int{100, 700, 100}, []int{100, 700, 100}},
		"an empty list":                   {[]int{0}, []int{0}},
		"a large page becomes small ones": {[]int{2000}, []int{750, 750, 500}},
		"large pages and small ones":      {[]int{10, 1600, 10, 10}, []int{10, 750, 750, 100, 20}},
		"a page of exactly two parts":     {[]int{1500, 1}, []int{750, 750, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one := ofNumbers(still)
			warm, cold := &numbers{sizes: row.sizes}, &numbers{sizes: row.sizes}
			for how, got := range map[string][][]int{
				"in one process": walk(t, func() *pages[int] { return one }, warm.read),
				"in many":        walk(t, func() *pages[int] { return ofNumbers(still) }, cold.read),
			} {
				var sizes []int
				for _, page := range got {
					sizes = append(sizes, len(page))
				}
				if !slices.Equal(sizes, row.pages) {
					t.Errorf("%s the pages have %v rows, not %v", how, sizes, row.pages)
				}
				rows := slices.Sorted(slices.Values(slices.Concat(got...)))
				for i, n := range rows {
					if n != i {
						t.Fatalf("%s row %d is %d", how, i, n)
					}
				}
				want := 0
				for _, size := range row.sizes {
					want += size
				}
				if len(rows) != want {
					t.Errorf("%s %d rows arrived, not %d", how, len(rows), want)
				}
			}
			if len(one.cache) > 0 {
				t.Errorf("%d split pages are cached after the end", len(one.cache))
			}
			for at := range row.sizes {
				asked := 0
				for _, n := range warm.asked {
					if n == at {
						asked++
					}
				}
				if asked != 1 {
					t.Errorf("page %d was read %d times", at, asked)
				}
			}
		})
	}
}

// TestAnErrorIsKeptForTheNextCall: a page that fails neither costs the rows
// before it nor passes for the end of the list.
func TestAnErrorIsKeptForTheNextCall(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	list, p := &numbers{sizes: []int{10, 10, 10}, fails: map[int]error{1: down}}, ofNumbers(still)
	page, err := p.read(t.Context(), "list", "", list.read)
	if err != nil || len(page.Rows) != 10 || page.Next == "" {
		t.Fatalf("%d rows, next %q, %v", len(page.Rows), page.Next, err)
	}
	list.fails[1] = down
	if _, err := p.read(t.Context(), "list", page.Next, list.read); !errors.Is(err, down) {
		t.Fatalf("the error got lost: %v", err)
	}
	if page, err = p.read(t.Context(), "list", page.Next, list.read); err != nil || len(page.Rows) != 20 || page.Rows[0] != 10 {
		t.Fatalf("the rest is %v, %v", page.Rows, err)
	}
}

// TestASlowVendorsPagesAreHandedOn: few pages are handed on too, so that the
// syncer stores them now and then.
func TestASlowVendorsPagesAreHandedOn(t *testing.T) {
	t.Parallel()
	clock := time.Now()
	list := &numbers{sizes: []int{10, 10, 10, 10}}
	slow := func(ctx context.Context, cursor string) (directory.Page[int], error) {
		clock = clock.Add(600 * time.Millisecond)
		return list.read(ctx, cursor)
	}
	page, err := ofNumbers(func() time.Time { return clock }).read(t.Context(), "list", "", slow)
	if err != nil || len(page.Rows) != 30 || page.Next == "" {
		t.Fatalf("%d rows, next %q, %v", len(page.Rows), page.Next, err)
	}
}

// TestTheSourcesRowsAreLeftAlone: a source may return a slice of its own rows,
// and pages are read in parallel.
func TestTheSourcesRowsAreLeftAlone(t *testing.T) {
	t.Parallel()
	held := []int{1, 2, 99, 99}
	read := func(_ context.Context, cursor string) (directory.Page[int], error) {
		if cursor == "" {
			return directory.Page[int]{Rows: held[:2], Next: "more"}, nil
		}
		return directory.Page[int]{Rows: []int{3, 4}}, nil
	}
	page, err := ofNumbers(still).read(t.Context(), "list", "", read)
	if err != nil || !slices.Equal(page.Rows, []int{1, 2, 3, 4}) || !slices.Equal(held, []int{1, 2, 99, 99}) {
		t.Fatalf("the page is %v, the source holds %v, %v", page.Rows, held, err)
	}
}

// changing is a list of one large page and one more, read by another process
// for every part. Its rows change after the first part.
func changing(t *testing.T, before, after []directory.Page[int]) (served map[int]int, requests int, err error) {
	t.Helper()
	now := before
	read := func(_ context.Context, cursor string) (directory.Page[int], error) {
		requests++
		at, _ := strconv.Atoi(cursor)
		page := now[at]
		page.Rows = slices.Clone(page.Rows)
		return page, nil
	}
	served = map[int]int{}
	for token := ""; ; {
		page, err := ofNumbers(still).read(t.Context(), "list", token, read)
		if err != nil {
			return served, requests, err
		}
		for _, n := range page.Rows {
			served[n]++
		}
		now = after
		if token = page.Next; token == "" {
			return served, requests, nil
		}
	}
}

func upTo(from, to int) []int {
	out := make([]int, 0, to-from)
	for n := from; n < to; n++ {
		out = append(out, n)
	}
	return out
}

// TestAPageThatHasChangedIsServedAnew: rows that moved to it from a later page
// would be lost if they sort before the rows already served.
func TestAPageThatHasChangedIsServedAnew(t *testing.T) {
	t.Parallel()
	two := func(first, second []int) []directory.Page[int] {
		return []directory.Page[int]{{Rows: first, Next: "1"}, {Rows: second}}
	}
	for name, row := range map[string]struct {
		before, after []directory.Page[int]
		anew          bool
	}{
		"nothing":                    {two(upTo(0, 2000), upTo(2000, 2100)), two(upTo(0, 2000), upTo(2000, 2100)), false},
		"another order":              {two(upTo(0, 2000), upTo(2000, 2100)), two(reversed(upTo(0, 2000)), upTo(2000, 2100)), false},
		"rows move to the page":      {two(upTo(0, 2000), upTo(2000, 2100)), two(upTo(50, 2050), upTo(2050, 2100)), true},
		"all rows move to the page":  {two(upTo(0, 2000), upTo(2000, 2100)), []directory.Page[int]{{Rows: upTo(50, 2100)}}, true},
		"half of the only page goes": {[]directory.Page[int]{{Rows: upTo(0, 2000)}}, []directory.Page[int]{{Rows: append(upTo(1000, 2000), 7777)}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			served, _, err := changing(t, row.before, row.after)
			if err != nil {
				t.Fatal(err)
			}
			there := map[int]int{}
			for i, now := range [][]directory.Page[int]{row.before, row.after} {
				for _, page := range now {
					for _, n := range page.Rows {
						there[n] |= 1 << i
					}
				}
			}
			twice := 0
			for n, when := range there {
				if when == 3 && served[n] == 0 {
					t.Errorf("%d was there all the time and is lost", n)
				}
				if served[n] > 1 {
					twice++
				}
			}
			if row.anew != (twice > 0) {
				t.Errorf("%d rows were served twice", twice)
			}
		})
	}
}

func reversed(rows []int) []int {
	slices.Reverse(rows)
	return rows
}

// TestAPageThatNeverStaysTheSameEnds: the walk does not loop for ever.
func TestAPageThatNeverStaysTheSameEnds(t *testing.T) {
	t.Parallel()
	requests := 0
	read := func(context.Context, string) (directory.Page[int], error) {
		requests++
		return directory.Page[int]{Rows: upTo(requests, requests+2000), Next: "more"}, nil
	}
	for token := ""; ; {
		page, err := ofNumbers(still).read(t.Context(), "list", token, read)
		if err != nil {
			if status.Code(err) != codes.Aborted || requests > maxRestarts+2 {
				t.Errorf("%d requests, %v", requests, err)
			}
			return
		}
		token = page.Next
	}
}

// TestSiblingsAreNamedOnce: the first part names them. They are named again
// only if they have changed, because a group that moved among them would lose
// its members.
func TestSiblingsAreNamedOnce(t *testing.T) {
	t.Parallel()
	named := []string{"a"}
	read := func(context.Context, string) (directory.Page[int], error) {
		return directory.Page[int]{Rows: upTo(0, 1000), Siblings: named, Next: "more"}, nil
	}
	first, err := ofNumbers(still).read(t.Context(), "list", "", read)
	if err != nil || len(first.Siblings) != 1 {
		t.Fatal(first.Siblings, err)
	}
	same, err := ofNumbers(still).read(t.Context(), "list", first.Next, read)
	if err != nil || len(same.Siblings) != 0 || len(same.Rows) != 250 {
		t.Errorf("%d siblings, %d rows, %v", len(same.Siblings), len(same.Rows), err)
	}
	named = []string{"a", "b"}
	anew, err := ofNumbers(still).read(t.Context(), "list", first.Next, read)
	if err != nil || len(anew.Siblings) != 2 || len(anew.Rows) != maxRows {
		t.Errorf("%d siblings, %d rows, %v", len(anew.Siblings), len(anew.Rows), err)
	}
}

// TestARemainderIsOfOneReading: another sync starts with the vendor's current
// rows, not with the rest of an earlier sync.
func TestARemainderIsOfOneReading(t *testing.T) {
	t.Parallel()
	p, list := ofNumbers(still), &numbers{sizes: []int{2000}}
	if _, err := p.read(t.Context(), "list", "", list.read); err != nil {
		t.Fatal(err)
	}
	first, err := p.read(t.Context(), "list", "", list.read)
	if err != nil || len(list.asked) != 2 {
		t.Fatalf("%d requests, %v", len(list.asked), err)
	}
	if _, err := p.read(t.Context(), "list", first.Next, list.read); err != nil || len(list.asked) != 2 {
		t.Errorf("%d requests, %v", len(list.asked), err)
	}
	// The answer to that was lost: the syncer asks again.
	if again, err := p.read(t.Context(), "list", first.Next, list.read); err != nil || len(list.asked) != 3 || len(again.Rows) != maxRows {
		t.Errorf("%d requests, %d rows, %v", len(list.asked), len(again.Rows), err)
	}
}

func TestRemaindersAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(1, 0)
	p := ofNumbers(func() time.Time { return now })
	for read := range uint64(10 * maxCached) {
		now = now.Add(time.Millisecond)
		p.store(read, splitPage[int]{bytes: 1})
	}
	if _, ok := p.take(10*maxCached - 1); !ok || len(p.cache) != maxCached-1 {
		t.Errorf("%d are cached", len(p.cache))
	}
	now = now.Add(time.Millisecond)
	p.store(1, splitPage[int]{bytes: 10 * maxCachedBytes}) // one may always be cached
	if len(p.cache) != 1 {
		t.Errorf("%d are cached beside a large one", len(p.cache))
	}
	now = now.Add(maxCachedAge + time.Second)
	if _, ok := p.take(1); ok {
		t.Error("rows from long ago are served")
	}
}

// TestRowsOfOneRankStayTogether: a part that ended between two of them would
// lose the second.
func TestRowsOfOneRankStayTogether(t *testing.T) {
	t.Parallel()
	for _, collide := range []int{2, maxRows, maxRows + 1, 2000} {
		fresh := func() *pages[int] {
			p := ofNumbers(still)
			p.key = func(n *int) (string, string) {
				if *n < collide {
					return "one", ""
				}
				return strconv.Itoa(*n), ""
			}
			return p
		}
		list := &numbers{sizes: []int{2000}}
		rows := slices.Concat(walk(t, fresh, list.read)...)
		slices.Sort(rows)
		if !slices.Equal(rows, upTo(0, 2000)) {
			t.Errorf("%d of one key: %d rows arrive", collide, len(rows))
		}
	}
}

// TestTokensStayInTheirList: if a source's cursors are plain numbers, a cursor
// of users must not move the list of groups.
func TestTokensStayInTheirList(t *testing.T) {
	t.Parallel()
	list := &numbers{sizes: []int{600, 600, 2000}}
	page, err := ofNumbers(still).read(t.Context(), "users", "", list.read)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"another list": page.Next, "a vendor's cursor": "1", "too often": directory.EncodeCursor("groups", pageToken{After: &sortKey{}, Restarts: maxRestarts + 1}),
		"no row": directory.EncodeCursor("groups", pageToken{Cursor: "1", Rows: 5}),
	} {
		if _, err := ofNumbers(still).read(t.Context(), "groups", token, list.read); !errors.Is(err, directory.ErrCursor) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNoPageIsTooLargeForTheSDK fills pages with the largest rows that can
// come, whole and merged.
func TestNoPageIsTooLargeForTheSDK(t *testing.T) {
	t.Parallel()
	const limit = 4 << 20
	profile := map[string]any{}
	for i := range 40 {
		profile[fmt.Sprint("field ", i)] = strings.Repeat("é", maxText)
	}
	for _, size := range []int{10, 300} {
		source := &largeRows{size: size, profile: profile}
		c := New(Info{Name: "baton-test", DisplayName: "Test"}, source, nil)
		rows := 0
		for token := ""; ; {
			page, err := c.users.read(t.Context(), "users", token, source.Users)
			if err != nil {
				t.Fatal(err)
			}
			response := &v2.ResourcesServiceListResourcesResponse{}
			for i := range page.Rows {
				resource, err := userResource(&page.Rows[i])
				if err != nil {
					t.Fatal(err)
				}
				response.SetList(append(response.GetList(), resource))
			}
			rows += len(page.Rows)
			if n := proto.Size(response); n > limit {
				t.Fatalf("a page of %d rows has %d bytes", len(page.Rows), n)
			}
			if token = page.Next; token == "" {
				break
			}
		}
		if rows != 300 {
			t.Errorf("%d users", rows)
		}
	}
}

type largeRows struct {
	directory.Source
	size    int
	profile map[string]any
}

func (l *largeRows) Users(_ context.Context, cursor string) (directory.Page[directory.User], error) {
	at, _ := strconv.Atoi(cursor)
	var page directory.Page[directory.User]
	for i := range l.size {
		page.Rows = append(page.Rows, directory.User{ID: fmt.Sprint(at*l.size + i), Profile: l.profile})
	}
	if (at+1)*l.size < 300 {
		page.Next = strconv.Itoa(at + 1)
	}
	return page, nil
}

// FuzzSizes: no row is larger than its computed bound.
func FuzzSizes(f *testing.F) {
	f.Add("a", "Ann", "ann@example.com", "ACTIVE", "x", 3, true)
	f.Add(strings.Repeat("i", directory.MaxID), strings.Repeat("\xffa", 3000), strings.Repeat("é", 3000), "\x00", strings.Repeat("k", 300), 40, false)
	f.Fuzz(func(t *testing.T, id, name, login, detail, field string, n int, disabled bool) {
		if directory.CheckID(id) != nil || n < 0 || n > 100 {
			return
		}
		profile := map[string]any{"more": []any{login, map[string]any{field: detail, "x": true}, 1.5}}
		var emails []directory.Email
		for i := range n {
			profile[fmt.Sprint(field, i)] = name
			emails = append(emails, directory.Email{Address: login})
		}
		u := directory.User{ID: id, DisplayName: name, Login: login, StatusDetail: detail, Emails: emails, Disabled: disabled, Service: disabled, CreatedAt: time.Unix(1e9, 1), Profile: profile}
		resource, err := userResource(&u)
		if err != nil {
			t.Fatal(err)
		}
		if got, most := proto.Size(resource), userSize(&u); got > most {
			t.Errorf("a user of %d bytes is said to take %d", got, most)
		}
		g := directory.Group{ID: id, Name: name, Description: detail + name, CreatedAt: time.Unix(1e9, 1), Profile: profile}
		if resource, err = groupResource(&g); err != nil {
			t.Fatal(err)
		}
		if got, most := proto.Size(resource), groupSize(&g); got > most {
			t.Errorf("a group of %d bytes is said to take %d", got, most)
		}
		for _, nested := range []bool{false, true} {
			m := directory.Member{ID: id, IsGroup: nested}
			one, err := newGrant(id, m)
			if err != nil {
				t.Fatal(err)
			}
			if got, most := proto.Size(one), grantSize(len(id), m); got > most {
				t.Errorf("a grant of %d bytes is said to take %d", got, most)
			}
		}
	})
}
