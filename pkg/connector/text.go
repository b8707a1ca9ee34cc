package connector

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxText and maxDescription are the SDK's limits, in bytes, on names and
	// descriptions (resource.proto). The SDK refuses a request with a longer one.
	maxText        = 1024
	maxDescription = 2048
)

// displayName returns the first name that is not blank.
func displayName(names ...string) string {
	for _, name := range names {
		if name = clean(name); name != "" {
			return name
		}
	}
	return "(no name)"
}

// clean returns text as one line of valid UTF-8 without control characters, cut
// to at most maxText bytes.
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

// printable reports whether clean would not change the text, but for its length.
// Almost all texts are printable, and this takes no memory.
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

// cleanProfile cleans the texts of a profile: protobuf accepts UTF-8 alone.
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
