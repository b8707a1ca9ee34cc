package directory

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrCursor reports a cursor that a source did not make, or made for another
// list. pkg/connector gives it the code InvalidArgument.
var ErrCursor = errors.New("the page token is not of this list: the checkpoint is damaged or of another version of the connector; run the sync again: it begins anew")

// MaxCursor is the most bytes that a cursor may have.
const MaxCursor = 64 << 10

// EncodeCursor writes where a walk goes on as a cursor. The list names what
// the walk is over, and the version of the state; a cursor of one list is
// refused by every other. The state is written as JSON. It panics if the state
// cannot be written so, which is a fault of the caller.
func EncodeCursor(list string, state any) string {
	written, err := json.Marshal(state)
	if err != nil {
		panic(fmt.Sprintf("cannot write a cursor of %s: %v", list, err))
	}
	plain := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(written)), Fingerprint(list))
	return base64.RawURLEncoding.EncodeToString(append(plain, written...))
}

// DecodeCursor reads a cursor of a list. A cursor comes out of a checkpoint,
// which is input: what EncodeCursor cannot have written is ErrCursor. The
// caller checks what the state says.
func DecodeCursor[T any](list, cursor string) (T, error) {
	var state, none T
	if len(cursor) > MaxCursor {
		return none, ErrCursor
	}
	plain, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(plain) < 8 || json.Unmarshal(plain[8:], &state) != nil {
		return none, ErrCursor
	}
	if EncodeCursor(list, state) != cursor { // one text for one state, one list
		return none, ErrCursor
	}
	return state, nil
}
