package connector

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxText and maxDescription are the SDK's limits in bytes on names and on
	// descriptions (resource.proto). A longer one would fail the
	// request that carries the stored resource back.
	maxText        = 1024
	maxDescription = 2048
)

// displayName is the first of the names that has something to show.
func displayName(names ...string) string {
	for _, name := range names {
		if name = clean(name); name != "" {
			return name
		}
	}
	return "(no name)"
}

// clean is text as one line of valid UTF-8 without control characters, at
// most maxText bytes, cut between two characters.
func clean(text string) string {
	if printable(text) && len(text) <= maxText {
		return text
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	return cut(strings.Join(strings.Fields(text), " "), maxText)
}

// printable says that text is already what clean would make of it. Almost
// all is, and this takes no memory.
func printable(text string) bool {
	before := ' '
	for _, r := range text {
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.IsSpace(r) && (r != ' ' || before == ' ') {
			return false
		}
		before = r
	}
	return text == "" || before != ' '
}

// cut shortens text to at most limit bytes without splitting a character.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// cleanProfile makes the texts of a profile fit for protobuf.
func cleanProfile(profile map[string]any) map[string]any {
	out := make(map[string]any, len(profile))
	for key, value := range profile {
		out[clean(key)] = cleanValue(value)
	}
	return out
}

func cleanValue(value any) any {
	switch v := value.(type) {
	case string:
		return clean(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = cleanValue(v[i])
		}
		return out
	case map[string]any:
		return cleanProfile(v)
	default:
		return value
	}
}
