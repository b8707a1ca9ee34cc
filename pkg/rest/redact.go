package rest

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxWords is the most characters of a vendor's answer that an error quotes.
const maxWords = 200

// enough is the number of bytes of an answer to search for words to quote.
const enough = 64 << 10

// redactor makes text from outside safe to show: one line without markup, secrets and
// e-mail addresses.
type redactor struct{ secrets secrets }

func newRedactor(values []string) *redactor { return &redactor{secrets: newSecrets(values)} }

var (
	email  = regexp.MustCompile(`[\pL\pN._%+'-]+(?:@|%40)[\pL\pN.-]+`)
	markup = regexp.MustCompile(`(?s)<(?:script|style)[^>]*>.*?</(?:script|style)>|<[^>]*>?`)
	// tag does not match a "<" in a sentence.
	tag = regexp.MustCompile(`<[^>]*>`)
)

// head returns the beginning of a text without secrets and control characters. It
// first drops invisible characters, which could hide a secret.
func (r *redactor) head(text string) string {
	text = text[:min(len(text), enough)]
	text = strings.Map(func(c rune) rune {
		switch {
		case unicode.IsSpace(c):
			return ' '
		case unicode.IsControl(c), unicode.Is(unicode.Cf, c):
			return -1
		default:
			return c
		}
	}, strings.ToValidUTF8(text, ""))
	return r.secrets.hide(text)
}

// line returns a text as one clean line of at most maxWords characters.
func (r *redactor) line(text string) string {
	text = email.ReplaceAllString(r.head(text), "[e-mail]")
	text = strings.Join(strings.Fields(text), " ")
	if utf8.RuneCountInString(text) > maxWords {
		runes := []rune(text)
		text = string(runes[:maxWords-1]) + "…"
	}
	return text
}

// vendorWords returns the message in a body as one clean line: the message of a JSON
// error, else the text without markup.
func (r *redactor) vendorWords(body []byte) string {
	trimmed := bytes.TrimSpace(body)
	if len(trimmed) == 0 {
		return ""
	}
	if trimmed[0] == '{' || trimmed[0] == '[' {
		if said := jsonWords(trimmed); said != "" {
			return r.line(tag.ReplaceAllString(r.head(said), " "))
		}
	}
	text := r.head(string(trimmed[:min(len(trimmed), enough+1)]))
	return r.line(markup.ReplaceAllString(text, " "))
}

// jsonWords returns the message in the fields that vendors use for one.
func jsonWords(body []byte) string {
	if len(body) > enough {
		return ""
	}
	var fields map[string]any
	if json.Unmarshal(body, &fields) != nil {
		var list []map[string]any
		if json.Unmarshal(body, &list) != nil || len(list) == 0 {
			return ""
		}
		fields = list[0]
	}
	for _, name := range []string{"detail", "message", "error_description", "error", "title", "errors"} {
		for key, value := range fields {
			if !strings.EqualFold(key, name) {
				continue
			}
			if said := words(value, 0); said != "" {
				return said
			}
		}
	}
	return ""
}

func words(value any, depth int) string {
	if depth > 3 {
		return ""
	}
	switch v := value.(type) {
	case string:
		return v
	case []any:
		if len(v) > 0 {
			return words(v[0], depth+1)
		}
	case map[string]any:
		for _, name := range []string{"detail", "message", "description", "code"} {
			if said := words(v[name], depth+1); said != "" {
				return said
			}
		}
	}
	return ""
}
