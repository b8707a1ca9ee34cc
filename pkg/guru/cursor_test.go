package guru

import (
	"encoding/base64"
	"math"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

var someCursors = []cursor{
	{list: 1, page: 1},
	{list: 1, page: 1, after: math.MaxUint64, route: viaGroups},
	{list: math.MaxUint64, page: 2, token: "a+b/c=="},
	{list: 7, page: maxPages, token: strings.Repeat("\xff", maxToken), tokens: directory.Trail{Steps: math.MaxUint64, Mark: 5}, rows: directory.Trail{Steps: 3, Mark: 9}, repeats: 3, restarts: 1, route: viaUserGroups},
}

func TestACursorComesBackAsItWas(t *testing.T) {
	t.Parallel()
	for _, c := range someCursors {
		got, err := parseCursor(c.String(), c.list)
		if err != nil || got != c {
			t.Errorf("%+v came back as %+v, %v", c, got, err)
		}
	}
}

func TestWhatIsNoCursorIsRefused(t *testing.T) {
	t.Parallel()
	good := someCursors[2].String()
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	newer := append([]byte{cursorVersion + 1}, raw[1:]...)
	rows := map[string]string{
		"text":               "next",
		"cut":                good[:20],
		"line break":         good[:20] + "\n" + good[20:],
		"another version":    base64.RawURLEncoding.EncodeToString(newer),
		"another list":       cursor{list: 2, page: 2, token: "t"}.String(),
		"page 0":             cursor{list: someCursors[2].list, token: "t"}.String(),
		"too many pages":     cursor{list: someCursors[2].list, page: maxPages + 1, token: "t"}.String(),
		"page 2, no token":   cursor{list: someCursors[2].list, page: 2}.String(),
		"page 1, token":      cursor{list: someCursors[2].list, page: 1, token: "t"}.String(),
		"an unknown route":   cursor{list: someCursors[2].list, page: 2, token: "t", route: 3}.String(),
		"a token too long":   cursor{list: someCursors[2].list, page: 2, token: strings.Repeat("t", maxToken+1)}.String(),
		"megabytes of a's":   strings.Repeat("a", 3<<20),
		"a vendor's own URL": "https://api.getguru.com/api/v1/members?token=a",
	}
	for name, text := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parseCursor(text, someCursors[2].list)
			wantError(t, err, codes.InvalidArgument, "page token")
		})
	}
}

func TestACursorNamesNobody(t *testing.T) {
	t.Parallel()
	rows := make([]string, directory.MaxRows+1)
	for i := range rows {
		rows[i] = strings.Repeat("a", i%7) + "person@example.com"
	}
	for _, r := range byHash(rows, func(s string) string { return s }) {
		text, err := base64.RawURLEncoding.DecodeString(cursor{page: 1, after: r.hash}.String())
		if err != nil || strings.Contains(string(text), "person") {
			t.Fatal("the cursor holds an address")
		}
	}
}

// FuzzCursor: no panic; what is taken for a cursor is one that this package
// could have written.
func FuzzCursor(f *testing.F) {
	for _, c := range someCursors {
		f.Add(c.String())
	}
	f.Add("")
	f.Add("AQ")
	f.Add("https://api.getguru.com/api/v1/members?token=a")
	f.Fuzz(func(t *testing.T, text string) {
		c, ok := decodeCursor(text)
		if !ok {
			return
		}
		if c.String() != text || c.page < 1 || c.page > maxPages || len(c.token) > maxToken || c.route > viaGroups {
			t.Errorf("%q was read as %+v", text, c)
		}
	})
}
