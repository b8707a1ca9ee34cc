package directory

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrCursor is the error of a cursor that the source did not make, or made for
// another list. pkg/connector gives it the code InvalidArgument.
var ErrCursor = errors.New("the page token does not belong to this list: the checkpoint is damaged or from another version of the connector; run the sync again, and it starts from the beginning")

// MaxCursor is the largest size of a cursor in bytes.
const MaxCursor = 64 << 10

// EncodeCursor makes a cursor of the state of a walk, as JSON. The list names
// the list and the version of the state; DecodeCursor refuses a cursor of another
// one. EncodeCursor panics if the state has no JSON form.
func EncodeCursor(list string, state any) string {
	encoded, err := json.Marshal(state)
	if err != nil {
		panic(fmt.Sprintf("cannot write a cursor of %s: %v", list, err))
	}
	plain := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(encoded)), Fingerprint(list))
	return base64.RawURLEncoding.EncodeToString(append(plain, encoded...))
}

// DecodeCursor returns the state in a cursor of a list. Cursors come from
// checkpoints, so they are input: a cursor that EncodeCursor cannot have made is
// ErrCursor. The caller checks the values in the state.
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
