package guru

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// names are the names of all fields that this package reads.
var names = []string{
	"id", "user", "status", "email", "firstName", "lastName", "userType", "dateCreated", "highestRole", "managedByScim",
	"userAttributes", "BILLING_TYPE", "name", "groupIdentifier", "modifiable", "numberOfMembers", "group", "type", "tokenType", "team", "singleUser", "groups",
}

// exactNames renames the fields of a JSON text whose names differ from one of
// the names only in letter case. encoding/json would read them as the field of
// that name: a second field STATUS would overwrite each user's status.
func exactNames(text []byte) []byte {
	out := text
	for i := bytes.IndexByte(text, '"'); i >= 0 && i < len(text); {
		end, escaped := i+1, false
		for end < len(text) && text[end] != '"' {
			if text[end] == '\\' {
				escaped = true
				end++
			}
			end++
		}
		if end >= len(text) {
			break // not JSON
		}
		if startsWithColon(text[end+1:]) && misspelt(text[i:end+1], escaped) {
			if &out[0] == &text[0] {
				out = slices.Clone(text)
			}
			for at := i + 1; at < end; at++ {
				out[at] = '~'
			}
		}
		next := bytes.IndexByte(text[end+1:], '"')
		if next < 0 {
			break
		}
		i = end + 1 + next
	}
	return out
}

// misspelt reports whether a quoted name differs from one of the names only in
// letter case.
func misspelt(quoted []byte, escaped bool) bool {
	name := quoted[1 : len(quoted)-1]
	if escaped {
		var text string
		if json.Unmarshal(quoted, &text) != nil {
			return false
		}
		name = []byte(text)
	}
	if slices.Contains(names, string(name)) {
		return false
	}
	for _, known := range names {
		if strings.EqualFold(known, string(name)) {
			return true
		}
	}
	return false
}

// startsWithColon reports whether a text, after white space, begins with a colon.
func startsWithColon(text []byte) bool {
	for _, c := range text {
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			return c == ':'
		}
	}
	return false
}
