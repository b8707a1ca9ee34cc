package guru

import (
	"strconv"
	"strings"
	"time"
)

// layouts are the formats of dates, seen or likely. Go reads a fraction of a second
// after any of them. Guru documents 2014-01-02T12:00:00.000+0000, with a zone
// without a colon.
var layouts = []string{
	"2006-01-02T15:04:05Z0700",
	time.RFC3339,
	"2006-01-02T15:04:05",
	"2006-01-02 15:04:05Z0700",
	"2006-01-02 15:04:05",
	time.DateOnly,
}

// date reads a date. It returns the zero time if it cannot be read: a date is not
// worth failing a row for.
func date(text string) time.Time {
	text = strings.TrimSpace(text)
	if len(text) > 64 {
		return time.Time{}
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			return sensible(t)
		}
	}
	// Seconds or milliseconds since 1970: 1e9 is the year 2001 in seconds,
	// before there was a Guru; 1e11 is 5138 in seconds and 1973 in milliseconds.
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 1e9 {
		if n < 1e11 {
			return sensible(time.Unix(n, 0))
		}
		return sensible(time.UnixMilli(n))
	}
	return time.Time{}
}

// sensible returns the zero time for a time that a protobuf timestamp cannot hold.
func sensible(t time.Time) time.Time {
	t = t.UTC()
	if t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}
