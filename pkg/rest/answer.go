package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/grpc/codes"
)

// Answer is a 2xx answer. Its body is complete.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte

	// fault makes an error about the request.
	fault  fault
	redact *redactor
}

// First returns the first byte of the body that is not white space, 0 if there
// is none: '{' begins a JSON object, '[' a list, '<' markup.
func (a *Answer) First() byte {
	trimmed := bytes.TrimLeft(a.Body, " \t\r\n")
	if len(trimmed) == 0 {
		return 0
	}
	return trimmed[0]
}

// endOfInput is encoding/json's message for a text that ends too early. There is no
// error value for it.
const endOfInput = "unexpected end of JSON input"

// JSON decodes the body into a value. It fails with FailedPrecondition if the
// body is not JSON or does not fit the value, and with Unavailable if the body
// ends too early: a retry may receive all of it.
func (a *Answer) JSON(into any) error {
	err := json.Unmarshal(a.Body, into)
	if err == nil {
		return nil
	}
	var syntax *json.SyntaxError
	var shape *json.UnmarshalTypeError
	switch {
	case a.First() == 0:
		return a.Fault("an empty answer", "")
	case errors.As(err, &syntax):
		if a.First() == '{' || a.First() == '[' {
			if syntax.Error() == endOfInput {
				e := a.faultOf(codes.Unavailable, fmt.Sprintf("the answer ends in the middle, after %d bytes", len(a.Body)))
				e.Advice = Advice{"the vendor or a proxy cut it off", asks}
				return e
			}
			return a.Fault(fmt.Sprintf("the answer is not valid JSON at byte %d", syntax.Offset), "")
		}
		return a.Fault("the answer is not JSON", "")
	case errors.As(err, &shape):
		return a.Fault(fmt.Sprintf("the answer has an unexpected shape (%s is a JSON %s)", fieldName(shape.Field), shape.Value), "")
	default:
		return a.Fault("the answer cannot be understood ("+a.redact.line(err.Error())+")", "")
	}
}

func fieldName(field string) string {
	if field == "" {
		return "the whole"
	}
	return field
}

// Fault returns a FailedPrecondition error about an answer that is not from the API,
// or not what the API documents. It quotes the first 200 characters of the body,
// without secrets. The default of cause is that another server answered.
func (a *Answer) Fault(what, cause string) error {
	e := a.faultOf(codes.FailedPrecondition, what)
	if reason := unreadable(a.Header, a.Body); reason != "" {
		e.What += " (" + a.redact.line(reason) + ")"
		e.Advice = Advice{Cause: "a proxy or another server answered instead of the vendor's API", Next: "check the base URL, and any proxy between the connector and the vendor"}
		return e
	}
	if said := a.redact.vendorWords(a.Body); said != "" {
		e.What += fmt.Sprintf(" (it begins: %s)", said)
	}
	if cause == "" {
		cause = "not the vendor's API but another server, a proxy or a login page answered"
	}
	e.Advice = Advice{Cause: cause, Next: "check the base URL"}
	return e
}

// Errorf returns an error about the content of the answer, with the given code and
// advice. It quotes nothing of the body.
func (a *Answer) Errorf(code codes.Code, advice Advice, format string, args ...any) error {
	e := a.faultOf(code, a.redact.line(fmt.Sprintf(format, args...)))
	e.Advice = advice
	return e
}

// faultOf returns an error about the answer.
func (a *Answer) faultOf(code codes.Code, what string) *Error {
	e := a.fault(code, what)
	e.Status = a.Status
	return e
}

// unreadable returns why an error must not quote a body: it has an encoding
// that was not requested, or it is binary. It returns "" if the body may be
// quoted.
func unreadable(header http.Header, body []byte) string {
	if encoding := strings.Join(header.Values("Content-Encoding"), ", "); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return fmt.Sprintf("its Content-Encoding is %q, which was not requested", encoding)
	}
	kind, _, _ := strings.Cut(http.DetectContentType(body), ";")
	if len(body) > 0 && !strings.HasPrefix(kind, "text/") {
		return "its body is binary: " + kind
	}
	return ""
}
