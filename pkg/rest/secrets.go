package rest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"html"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// minSecret is the shortest secret that is hidden. Shorter ones would occur
	// in any text.
	minSecret = 4
	// partLength is the number of characters of a longer secret that are hidden
	// even if they occur alone.
	partLength = 8
)

// secrets finds credentials in a text, in any form in which a server may echo
// them: in another letter case; with some or all characters percent-encoded,
// even twice, or escaped as in JSON, Go or HTML; in base64 of either alphabet,
// alone or as a part of something longer; in hex; each of these split by white
// space or markup, or truncated.
//
// It does not list these forms. It undoes each encoding and searches the result
// for parts of the secret.
type secrets struct {
	// plain are parts of the secrets and of their hex, encoded are parts of their
	// base64. A short secret is one part.
	plain, encoded map[string]bool
	// lengths are the lengths of the parts.
	lengths []int
}

func newSecrets(values []string) secrets {
	s := secrets{plain: map[string]bool{}, encoded: map[string]bool{}}
	add := func(parts map[string]bool, form []byte) {
		form = identity(form).without(isBlank).fold().text
		if len(form) < minSecret {
			return
		}
		length := min(len(form), partLength)
		if !slices.Contains(s.lengths, length) {
			s.lengths = append(s.lengths, length)
		}
		for i := 0; i+length <= len(form); i++ {
			parts[string(form[i:i+length])] = true
		}
	}
	for _, value := range values {
		// The scheme of an Authorization header is no secret; the rest is.
		if _, after, found := strings.Cut(value, " "); found {
			value = after
		}
		secret := []byte(value)
		if len(secret) < minSecret {
			continue
		}
		add(s.plain, secret)
		add(s.plain, identity(secret).unescape().text)
		add(s.plain, []byte(hex.EncodeToString(secret)))
		for offset := range 3 {
			add(s.encoded, innerBase64(secret, offset))
		}
	}
	return s
}

// innerBase64 returns the base64 of a value that begins at an offset into a group of
// three bytes, without the characters that depend on its neighbours.
func innerBase64(value []byte, offset int) []byte {
	all := base64.RawStdEncoding.AppendEncode(nil, append(make([]byte, offset), value...))
	first := []int{0, 2, 3}[offset]
	last := (offset + len(value)) * 8 / 6 // whole characters
	return all[first:max(first, last)]
}

// span is a part of a text, from its first byte to behind its last.
type span struct{ from, to int }

// hide replaces each secret in a text by "[secret]".
func (s secrets) hide(text string) string {
	var found []span
	raw := identity([]byte(text))
	once, untagged := raw.unescape(), raw.untag()
	twice := once.unescape()
	for _, v := range []view{raw, once, twice, untagged, untagged.unescape(), once.untag(), twice.untag()} {
		v = v.without(isBlank).fold()
		for _, length := range s.lengths {
			for i := 0; i+length <= len(v.text); i++ {
				part, at := v.text[i:i+length], span{v.at[i].from, v.at[i+length-1].to}
				switch {
				case s.encoded[string(part)]:
					found = append(found, at.widen(text, isBase64))
				case s.plain[string(part)]:
					found = append(found, at)
				}
			}
		}
	}
	if len(found) == 0 {
		return text
	}
	slices.SortFunc(found, func(a, b span) int { return a.from - b.from })
	var b strings.Builder
	done := 0
	for i := 0; i < len(found); {
		all := found[i]
		for i++; i < len(found) && found[i].from <= all.to; i++ {
			all.to = max(all.to, found[i].to)
		}
		b.WriteString(text[done:all.from] + "[secret]")
		done = all.to
	}
	return b.String() + text[done:]
}

// widen extends a span by the bytes of a kind on both sides.
func (at span) widen(text string, kind func(byte) bool) span {
	for at.from > 0 && kind(text[at.from-1]) {
		at.from--
	}
	for at.to < len(text) && kind(text[at.to]) {
		at.to++
	}
	return at
}

// view is a decoded text. Each of its bytes refers to the part of the original
// that it was decoded from.
type view struct {
	text []byte
	at   []span
}

func identity(text []byte) view {
	v := view{text, make([]span, len(text))}
	for i := range v.at {
		v.at[i] = span{i, i + 1}
	}
	return v
}

func (v view) without(drop func(byte) bool) view {
	out := view{make([]byte, 0, len(v.text)), make([]span, 0, len(v.at))}
	for i, c := range v.text {
		if !drop(c) {
			out.text, out.at = append(out.text, c), append(out.at, v.at[i])
		}
	}
	return out
}

// fold lowers capitals and unites the two alphabets of base64.
func (v view) fold() view {
	out := view{bytes.Clone(v.text), v.at}
	for i, c := range out.text {
		switch {
		case 'A' <= c && c <= 'Z':
			out.text[i] = c + 'a' - 'A'
		case c == '-':
			out.text[i] = '+'
		case c == '_':
			out.text[i] = '/'
		}
	}
	return out
}

// untag removes markup.
func (v view) untag() view {
	out := view{make([]byte, 0, len(v.text)), make([]span, 0, len(v.at))}
	last := bytes.LastIndexByte(v.text, '>')
	for i := 0; i < len(v.text); i++ {
		if v.text[i] == '<' && i < last {
			i += bytes.IndexByte(v.text[i:], '>')
			continue
		}
		out.text, out.at = append(out.text, v.text[i]), append(out.at, v.at[i])
	}
	return out
}

// unescape decodes percent-encoding (%2b), the escapes of JSON and Go (\u002b,
// \x2b, \/, \n) and HTML's character references (&#43;, &#x2b;, &amp;).
func (v view) unescape() view {
	out := view{make([]byte, 0, len(v.text)), make([]span, 0, len(v.at))}
	for i := 0; i < len(v.text); {
		decoded, n := unescapeOne(v.text[i:])
		for _, c := range decoded {
			out.text = append(out.text, c)
			out.at = append(out.at, span{v.at[i].from, v.at[i+n-1].to})
		}
		i += n
	}
	return out
}

// unescapeOne decodes the escape at the beginning of a text and returns its length.
// Without an escape it returns the first byte and 1.
func unescapeOne(text []byte) ([]byte, int) {
	number := func(from, to int) (rune, bool) {
		if len(text) < to {
			return 0, false
		}
		n, err := strconv.ParseUint(string(text[from:to]), 16, 32)
		return rune(n), err == nil //nolint:gosec // 4 digits at most
	}
	switch {
	case text[0] == '%':
		if c, ok := number(1, 3); ok {
			return []byte{byte(c)}, 3 //nolint:gosec // two digits
		}
	case text[0] == '\\' && len(text) > 1:
		switch text[1] {
		case 'x':
			if c, ok := number(2, 4); ok {
				return []byte{byte(c)}, 4 //nolint:gosec // two digits
			}
		case 'u':
			if c, ok := number(2, 6); ok && unicode.Is(unicode.Cf, c) {
				return nil, 6 // it would not be visible
			} else if ok {
				return utf8.AppendRune(nil, c), 6
			}
		case 'n', 'r', 't', 'f', 'b':
			return []byte{' '}, 2
		default:
			return text[1:2], 2
		}
	case text[0] == '&':
		if n := bytes.IndexByte(text[:min(len(text), 12)], ';'); n > 0 {
			reference := string(text[:n+1])
			if decoded := html.UnescapeString(reference); decoded != reference {
				return []byte(decoded), n + 1
			}
		}
	}
	return text[:1], 1
}

// isBlank reports whether a byte is white space or another control character.
func isBlank(c byte) bool { return c <= ' ' || c == 0x7f }

func isBase64(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '+' || c == '/' || c == '-' || c == '_' || c == '='
}
