package guru

import (
	"encoding/base64"
	"encoding/binary"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

const (
	// cursorVersion opens every cursor. A cursor of another version is refused.
	cursorVersion = 1
	// maxPages ends a walk that a vendor would never end. At Guru's page sizes
	// it is a quarter of a million users, or half a million members of one group.
	maxPages = 5_000
	// maxCursor is the longest text that can be a cursor.
	maxCursor = 2 * maxToken
)

// route says which of the two paths of the list of groups a walk keeps to.
type route byte

const (
	unrouted route = iota
	viaUserGroups
	viaGroups
)

// cursor is a place in a walk. As text it is base64 of: the version, the
// route, the number of restarts and of repeats, one byte each; list, after
// and the marks of both trails, eight bytes each; the page and the steps of
// both trails as varints; the token, to the end.
type cursor struct {
	// list is the fingerprint of the list that the walk is over, so that a
	// cursor cannot be taken to another.
	list  uint64
	route route
	// restarts counts how often the walk began again.
	restarts byte
	// page counts from 1.
	page uint64
	// token is the vendor's name of the page, empty on page 1.
	token string
	// after is the hash of the last row handed out of a page of more than
	// directory.MaxRows rows, 0 where none of the page has been.
	after uint64
	// tokens has seen all tokens of the walk, rows the rows of all its pages.
	// repeats counts how often rows came round.
	tokens, rows directory.Trail
	repeats      byte
}

func (c cursor) String() string {
	b := make([]byte, 0, 72+len(c.token))
	b = append(b, cursorVersion, byte(c.route), c.restarts, c.repeats)
	for _, n := range []uint64{c.list, c.after, c.tokens.Mark, c.rows.Mark} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	for _, n := range []uint64{c.page, c.tokens.Steps, c.rows.Steps} {
		b = binary.AppendUvarint(b, n)
	}
	return base64.RawURLEncoding.EncodeToString(append(b, c.token...))
}

// parseCursor reads a cursor of a list. A cursor comes from a checkpoint,
// which is input: what String cannot have written is InvalidArgument.
func parseCursor(text string, list uint64) (cursor, error) {
	c, ok := decodeCursor(text)
	if !ok || c.list != list {
		return cursor{}, status.Error(codes.InvalidArgument,
			"the page token is not of this list: the checkpoint is damaged or of another version of the connector; run the sync again: it begins anew")
	}
	return c, nil
}

func decodeCursor(text string) (cursor, bool) {
	if len(text) > maxCursor {
		return cursor{}, false
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) < 4+4*8+3 || b[0] != cursorVersion {
		return cursor{}, false
	}
	c := cursor{route: route(b[1]), restarts: b[2], repeats: b[3]}
	b = b[4:]
	for _, n := range []*uint64{&c.list, &c.after, &c.tokens.Mark, &c.rows.Mark} {
		*n = binary.BigEndian.Uint64(b)
		b = b[8:]
	}
	for _, n := range []*uint64{&c.page, &c.tokens.Steps, &c.rows.Steps} {
		value, size := binary.Uvarint(b)
		if size <= 0 {
			return cursor{}, false
		}
		*n = value
		b = b[size:]
	}
	c.token = string(b)
	switch {
	case c.route > viaGroups, c.page < 1, c.page > maxPages, len(c.token) > maxToken,
		(c.page == 1) != (c.token == ""),
		// One text for one place: nothing else was written by String.
		c.String() != text:
		return cursor{}, false
	}
	return c, true
}
