package rudderstack

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/pkg/rest"
)

// kind is what the decoder wants to find at an attribute.
type kind int

const (
	text     kind = iota // a string; numbers and booleans are written out
	whole                // an integer; a string that holds one will do
	flag                 // a boolean; "True" and the like will do
	mark                 // a flag that is dropped where it cannot be read
	object               // a JSON object; a bare text becomes its main attribute
	many                 // an array; a single object or text becomes an array of one
	rows                 // an array and nothing else
	anything             // is not looked at
)

// shape is what an attribute should be. Servers deviate (ids as numbers,
// booleans as "True", e-mails as strings), and reshape makes up for it.
type shape struct {
	kind kind
	// under holds the attributes of an object by their names in lower case,
	// or the elements of an array under the empty name.
	under map[string]*shape
	// main is the attribute of an object that a bare text stands for.
	main string
}

// reshape decodes a body into a value once more after err, if that was about
// JSON of another type than the decoder wanted. Almost no server needs it, so
// it may take its time. It returns what is still wrong.
func reshape(body []byte, err error, want *shape, into any) error {
	if !errors.As(err, new(*json.UnmarshalTypeError)) {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber() // ids beyond 2^53 keep all their digits
	var value any
	if decoder.Decode(&value) != nil {
		return err
	}
	if _, ok := value.(map[string]any); !ok {
		return err
	}
	fitted, fault := json.Marshal(want.fit(value))
	if fault != nil {
		return err
	}
	return json.Unmarshal(fitted, into)
}

// unfit explains what reshape could not make up for: an attribute of a SCIM
// answer, or an answer that is none.
func unfit(a *rest.Answer, err error, into any) error {
	var fault *json.UnmarshalTypeError
	if errors.As(err, &fault) && fault.Field != "" {
		return a.Errorf(codes.FailedPrecondition, vendorFault, "the attribute %s is a JSON %s, which means nothing there", fault.Field, fault.Value)
	}
	return a.JSON(into)
}

// fit turns value into what is wanted. What it cannot make sense of stays as
// it is where that must fail, and goes where it does no harm.
func (s *shape) fit(value any) any {
	switch s.kind {
	case text:
		switch v := value.(type) {
		case string:
			return v
		case json.Number:
			return v.String()
		case bool:
			if v {
				return "true"
			}
			return "false"
		}
		return nil
	case whole:
		return integer(value)
	case flag, mark:
		if v, ok := boolean(value); ok {
			return v
		}
		if s.kind == mark || value == "" {
			return nil
		}
		return value
	case object:
		switch v := value.(type) {
		case map[string]any:
			fitted := make(map[string]any, len(s.under))
			for name, attribute := range v {
				if want := s.under[strings.ToLower(name)]; want != nil {
					fitted[name] = want.fit(attribute)
				}
			}
			return fitted
		case string, json.Number:
			if s.main != "" {
				return map[string]any{s.main: s.under[s.main].fit(v)}
			}
		}
		return nil
	case many, rows:
		element := s.under[""]
		switch v := value.(type) {
		case []any:
			for i := range v {
				v[i] = element.fit(v[i])
			}
			return v
		case map[string]any, string:
			if s.kind == many {
				return []any{element.fit(v)}
			}
		}
		return value
	}
	return value
}

// integer is a number without loss, as far as value holds one.
func integer(value any) any {
	written := ""
	switch v := value.(type) {
	case json.Number:
		written = v.String()
	case string:
		if written = strings.TrimSpace(v); written == "" {
			return nil
		}
	default:
		return value
	}
	// A bound on the text bounds the work: 1e999999999 is a number, too.
	if len(written) > 20 {
		return value
	}
	if f, _, err := big.ParseFloat(written, 10, 128, big.ToNearestEven); err == nil && f.IsInt() && f.MantExp(nil) < 64 {
		if n, _ := f.Int64(); true {
			return n
		}
	}
	return value
}

func boolean(value any) (truth, ok bool) {
	written := ""
	switch v := value.(type) {
	case bool:
		return v, true
	case string:
		written = strings.ToLower(strings.TrimSpace(v))
	case json.Number:
		written = v.String()
	}
	switch written {
	case "true", "1":
		return true, true
	case "false", "0":
		return false, true
	}
	return false, false
}
