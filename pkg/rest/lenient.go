package rest

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strings"
	"unicode/utf8"
)

// The lenient types decode a JSON value that servers write in more than one way.
// Their UnmarshalJSON accepts any JSON value and never fails: Invalid reports a value
// of another type, and the caller decides whether that matters. A missing field and
// null are the zero value.

// Text is a JSON string or number. A number keeps its digits, so that ids
// beyond 2^53 stay whole.
type Text struct {
	Value string
	// Invalid is set if the value is a boolean, an object or an array.
	Invalid bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *Text) UnmarshalJSON(b []byte) error {
	*t = Text{}
	switch kindOf(b) {
	case '"':
		if bytes.IndexByte(b, '\\') < 0 && utf8.Valid(b) {
			t.Value = string(b[1 : len(b)-1]) // most texts need no decoding
			return nil
		}
		t.Invalid = json.Unmarshal(b, &t.Value) != nil
	case '0':
		t.Value = string(b)
	case 'n':
	default:
		t.Invalid = true
	}
	return nil
}

// Trim returns the value without white space around it.
func (t Text) Trim() string { return strings.TrimSpace(t.Value) }

// Int is a JSON integer, or a string that holds one. 3.0 and 3e2 are integers.
type Int struct {
	Value  int64
	Stated bool
	// Invalid is set if the value is something else, has a fraction or does not
	// fit into 64 bits.
	Invalid bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *Int) UnmarshalJSON(b []byte) error {
	*n = Int{}
	var t Text
	_ = t.UnmarshalJSON(b) // never fails
	written := t.Trim()
	if written == "" {
		n.Invalid = t.Invalid
		return nil
	}
	// A bound on the text bounds the work: 1e999999999 is a number, too.
	if len(written) <= 20 {
		if f, _, err := big.ParseFloat(written, 10, 128, big.ToNearestEven); err == nil && f.IsInt() {
			if value, accuracy := f.Int64(); accuracy == big.Exact {
				*n = Int{Value: value, Stated: true}
				return nil
			}
		}
	}
	n.Invalid = true
	return nil
}

// Bool is a JSON boolean, or "true", "false", 1 or 0 in any letter case, as a
// string or a number. An empty string states nothing.
type Bool struct {
	Value, Stated bool
	// Invalid is set if the value is something else.
	Invalid bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *Bool) UnmarshalJSON(b []byte) error {
	*f = Bool{}
	switch string(b) { // most need no decoding
	case "true":
		*f = Bool{Value: true, Stated: true}
		return nil
	case "false":
		*f = Bool{Stated: true}
		return nil
	}
	var t Text
	_ = t.UnmarshalJSON(b) // never fails
	if t.Invalid {
		f.Invalid = true
		return nil
	}
	switch strings.ToLower(t.Trim()) {
	case "true", "1":
		*f = Bool{Value: true, Stated: true}
	case "false", "0":
		*f = Bool{Stated: true}
	case "":
	default:
		f.Invalid = true
	}
	return nil
}

// OneOrMany is a JSON array, or a single element instead of an array of one.
// It is nil for null and a missing field, and empty but not nil for []. An
// element that T cannot decode is an error.
type OneOrMany[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (m *OneOrMany[T]) UnmarshalJSON(b []byte) error {
	*m = nil
	switch kindOf(b) {
	case 'n':
		return nil
	case '[':
		return json.Unmarshal(b, (*[]T)(m))
	default:
		one := make([]T, 1)
		if err := json.Unmarshal(b, &one[0]); err != nil {
			return err
		}
		*m = one
		return nil
	}
}

// Object is a JSON object. Anything else leaves Value zero.
type Object[T any] struct {
	Value  T
	Stated bool
	// Invalid is set if the value is not an object or T cannot decode it.
	Invalid bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *Object[T]) UnmarshalJSON(b []byte) error {
	*o = Object[T]{}
	switch kindOf(b) {
	case 'n':
	case '{':
		if o.Stated = json.Unmarshal(b, &o.Value) == nil; !o.Stated {
			*o = Object[T]{Invalid: true}
		}
	default:
		o.Invalid = true
	}
	return nil
}

// kindOf returns the first byte of a JSON value, '0' for every number and 'n'
// for null and for no value.
func kindOf(b []byte) byte {
	switch {
	case len(b) == 0:
		return 'n'
	case b[0] == '-' || '0' <= b[0] && b[0] <= '9':
		return '0'
	default:
		return b[0]
	}
}
