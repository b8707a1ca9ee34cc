package rudderstack

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// cursorVersion changes with the meaning of a cursor's fields.
const cursorVersion = 1

// maxCursor bounds the text of a cursor. An id and a vendor's cursor in it may
// grow sixfold when they are written as JSON.
const maxCursor = 64 << 10

// Lists that a cursor can belong to.
const (
	ofUsers       = "users"
	ofGroups      = "groups"
	ofMemberships = "memberships"
	ofMembers     = "members"
)

// tokenError is an error about a page token. An error of package status would
// put the words of a protocol before it.
type tokenError string

func (e tokenError) Error() string { return string(e) }

// GRPCStatus gives the code.
func (e tokenError) GRPCStatus() *status.Status { return status.New(codes.InvalidArgument, string(e)) }

// cursor is where a list goes on. It holds ids of groups as the vendor states
// them, fingerprints of all else, and no credential.
type cursor struct {
	Version int    `json:"v"`
	List    string `json:"l"`
	// Walk is the page to read.
	Walk *walk `json:"w,omitempty"`
	// Group is the one group whose members are to be read.
	Group string `json:"g,omitempty"`
	// After is the last row served of the page or the group.
	After *rank `json:"k,omitempty"`
	// Mark identifies the groups of the page that After belongs to.
	Mark uint64 `json:"m,omitempty"`
	// Again counts how often the page had to be served anew.
	Again int `json:"r,omitempty"`
}

func (c cursor) String() string {
	c.Version = cursorVersion
	written, err := json.Marshal(c)
	if err != nil { // there is nothing in it that could fail
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(written)
}

// parseCursor reads a cursor of a list. The empty text is its beginning. A
// cursor comes out of a checkpoint, so it may be anything.
func parseCursor(written, list string) (cursor, error) {
	begin := newWalk()
	c := cursor{List: list, Walk: &begin}
	if written == "" {
		if list == ofMembers {
			c.Walk = nil
		}
		return c, nil
	}
	malformed := func(why string) (cursor, error) {
		return cursor{}, tokenError(fmt.Sprintf(
			"cannot go on with RudderStack's %s: the page token is %s: it comes from another list, another connector or a damaged file; run the sync again: it begins anew", list, why))
	}
	if len(written) > maxCursor {
		return malformed("too long")
	}
	plain, err := base64.RawURLEncoding.Strict().DecodeString(written)
	if err != nil {
		return malformed("not one of this connector's")
	}
	c = cursor{}
	decoder := json.NewDecoder(bytes.NewReader(plain))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return malformed("not one of this connector's")
	}
	if _, err := decoder.Token(); err != io.EOF {
		return malformed("not one of this connector's")
	}
	byGroup := list == ofMembers || list == ofMemberships && c.Walk == nil
	switch {
	case c.Version != cursorVersion:
		return malformed("of another version")
	case c.List != list:
		return malformed("of another list")
	case byGroup != (c.Walk == nil), byGroup != (c.Group != ""), byGroup && idFault(c.Group) != "",
		c.Walk != nil && !c.Walk.valid(),
		c.After != nil && list != ofMembers && list != ofMemberships,
		c.Again < 0 || c.Again > maxBack:
		return malformed("inconsistent")
	}
	return c, nil
}
