package directory

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

type place struct {
	Page  int    `json:"p"`
	Token []byte `json:"t,omitempty"`
}

func TestACursorComesBackAsItWas(t *testing.T) {
	t.Parallel()
	for _, want := range []place{{}, {Page: 7, Token: []byte("a+b/c=\xff")}} {
		got, err := DecodeCursor[place]("users.1", EncodeCursor("users.1", want))
		if err != nil || got.Page != want.Page || string(got.Token) != string(want.Token) {
			t.Errorf("%+v came back as %+v, %v", want, got, err)
		}
	}
}

// TestOnlyItsOwnCursorsMoveAWalk: if a damaged or foreign cursor passed for a
// position, the walk would skip rows.
func TestOnlyItsOwnCursorsMoveAWalk(t *testing.T) {
	t.Parallel()
	good := EncodeCursor("users.1", place{Page: 2, Token: []byte("t")})
	plain, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	written := func(state string) string {
		return base64.RawURLEncoding.EncodeToString(append(append([]byte{}, plain[:8]...), state...))
	}
	if got, err := DecodeCursor[place]("users.1", written(`{"p":2,"t":"dA=="}`)); err != nil || got.Page != 2 {
		t.Fatalf("the good one: %+v, %v", got, err)
	}
	for name, cursor := range map[string]string{
		"empty":             "",
		"text":              "next",
		"cut":               good[:len(good)-3],
		"a line break":      good[:10] + "\n" + good[10:],
		"other bits at end": good[:len(good)-1] + "R",
		"another list":      EncodeCursor("groups.1", place{Page: 2, Token: []byte("t")}),
		"another version":   EncodeCursor("users.2", place{Page: 2, Token: []byte("t")}),
		"an unknown field":  written(`{"p":2,"t":"dA==","x":1}`),
		"another letter":    written(`{"P":2,"t":"dA=="}`),
		"twice":             written(`{"p":1,"p":2,"t":"dA=="}`),
		"trailing data":     written(`{"p":2,"t":"dA=="}{}`),
		"a blank":           written(`{"p":2, "t":"dA=="}`),
		"null":              written(`null`),
		"too long":          EncodeCursor("users.1", place{Token: make([]byte, MaxCursor)}),
	} {
		if got, err := DecodeCursor[place]("users.1", cursor); !errors.Is(err, ErrCursor) {
			t.Errorf("%s was read as %+v, %v", name, got, err)
		}
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(EncodeCursor("users.1", place{Page: 2, Token: []byte("t")}))
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, cursor string) {
		if got, err := DecodeCursor[place]("users.1", cursor); err == nil && EncodeCursor("users.1", got) != cursor {
			t.Errorf("%q was read as %+v", cursor, got)
		}
	})
}

func TestCheckID(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"a", " a", "İ@example.com", strings.Repeat("a", MaxID)} {
		if err := CheckID(id); err != nil {
			t.Errorf("%.20q: %v", id, err)
		}
	}
	for id, want := range map[string]string{
		"": "no id", strings.Repeat(" ", 3): "no id", strings.Repeat("a", MaxID+1): "1025 bytes", "a\xff": "UTF-8", "a\uFFFD": "UTF-8",
	} {
		if err := CheckID(id); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v", id, err)
		}
	}
}
