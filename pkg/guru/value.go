package guru

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// text is a JSON text or number, as text; a number keeps its digits. null and
// a missing field are the empty text.
type text struct {
	value string
	// odd says that something else than a text, a number or null stood there.
	odd bool
}

// UnmarshalJSON implements json.Unmarshaler. It never fails: whether an odd
// value matters depends on the field.
func (t *text) UnmarshalJSON(b []byte) error {
	*t = text{}
	if len(b) == 0 {
		return nil
	}
	switch c := b[0]; {
	case c == '"' && bytes.IndexByte(b, '\\') < 0 && utf8.Valid(b):
		t.value = string(b[1 : len(b)-1])
	case c == '"':
		t.odd = json.Unmarshal(b, &t.value) != nil
	case c == '-' || '0' <= c && c <= '9':
		t.value = string(b)
	case c != 'n':
		t.odd = true
	}
	return nil
}

// trim is the value without white space around it.
func (t text) trim() string { return strings.TrimSpace(t.value) }

// flag is a JSON boolean, or one written as a text.
type flag struct{ stated, value bool }

// UnmarshalJSON implements json.Unmarshaler. What is no boolean is not stated.
func (f *flag) UnmarshalJSON(b []byte) error {
	switch strings.ToLower(strings.Trim(string(b), `"`)) {
	case "true":
		*f = flag{true, true}
	case "false":
		*f = flag{true, false}
	default:
		*f = flag{}
	}
	return nil
}
