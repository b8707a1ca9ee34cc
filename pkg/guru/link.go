package guru

import (
	"errors"
	"net/url"
	"strings"
)

// maxToken bounds a paging token, in bytes. It is carried in every cursor.
const maxToken = 8 << 10

var (
	errLinkSyntax   = errors.New("it is not a list of links")
	errLinkNoToken  = errors.New("it names a next page without a paging token")
	errLinkTwo      = errors.New("it names two different next pages")
	errLinkRelation = errors.New("a link with a paging token has a relation that is not known")
	errLinkLong     = errors.New("its paging token is too long")
)

// nextToken returns the paging token of the next page from the values of all Link
// headers (RFC 8288, section 3). It is empty on the last page.
//
// Guru documents `Link: < https://…/members?token=… >; rel="next-page"`, with the
// blanks inside the brackets. Links with the relation next, and with none, were
// seen too. Links with other known relations are ignored. A link to a next page
// that cannot be followed is an error, never the last page. So is a paging token in
// a link with an unknown relation, if no link leads to a next page.
func nextToken(headers []string) (string, error) {
	var stated, bare []string
	unknownToken := false
	for _, header := range headers {
		links, err := parseLinks(header)
		if err != nil {
			return "", err
		}
		for _, l := range links {
			switch {
			case l.next():
				stated = append(stated, l.target)
			case !l.hasRel:
				bare = append(bare, l.target)
			case !l.otherPage():
				token, err := tokenOf(l.target)
				unknownToken = unknownToken || err == nil && token != ""
			}
		}
	}
	if len(stated) == 0 {
		stated = bare
	}
	if len(stated) == 0 && unknownToken {
		return "", errLinkRelation
	}
	found := ""
	for _, target := range stated {
		token, err := tokenOf(target)
		switch {
		case err != nil:
			return "", err
		case found != "" && token != found:
			return "", errLinkTwo
		}
		found = token
	}
	return found, nil
}

type link struct {
	target string
	rel    string
	hasRel bool
}

// next reports whether the link states that it leads to the next page. A link may
// have several relations, in any letter case (RFC 8288, section 3.3).
func (l link) next() bool {
	for _, rel := range strings.Fields(l.rel) {
		if strings.EqualFold(rel, "next-page") || strings.EqualFold(rel, "next") {
			return true
		}
	}
	return false
}

// otherPage reports whether the link states that it does not lead to the next page,
// with one of IANA's link relations. Guru's end in -page.
func (l link) otherPage() bool {
	for _, rel := range strings.Fields(strings.ToLower(l.rel)) {
		switch strings.TrimSuffix(rel, "-page") {
		case "prev", "previous", "first", "last", "self", "up", "current", "collection", "canonical", "alternate",
			"describedby", "help", "license", "preconnect", "prefetch", "preload", "service", "start":
			return true
		}
	}
	return false
}

// parseLinks reads one Link header: links separated by commas, which may also
// stand inside the brackets and inside quotes.
func parseLinks(text string) ([]link, error) {
	const blank = " \t"
	var links []link
	for {
		// Empty elements of a list are allowed (RFC 9110, section 5.6.1).
		text = strings.TrimLeft(text, blank+",")
		if text == "" {
			return links, nil
		}
		if text[0] != '<' {
			return nil, errLinkSyntax
		}
		target, rest, found := strings.Cut(text[1:], ">")
		if !found {
			return nil, errLinkSyntax
		}
		l := link{target: strings.TrimSpace(target)}
		for {
			rest = strings.TrimLeft(rest, blank)
			if rest == "" || rest[0] == ',' {
				break
			}
			if rest[0] != ';' {
				return nil, errLinkSyntax
			}
			var name, value string
			var err error
			if name, value, rest, err = parseParam(rest[1:]); err != nil {
				return nil, err
			}
			// The first rel counts (RFC 8288, section 3.3).
			if strings.EqualFold(name, "rel") && !l.hasRel {
				l.rel, l.hasRel = value, true
			}
		}
		links = append(links, l)
		text = rest
	}
}

// parseParam reads `name`, `name=value` or `name="value"` and returns what
// follows it.
func parseParam(text string) (name, value, rest string, err error) {
	const blank = " \t"
	text = strings.TrimLeft(text, blank)
	end := strings.IndexAny(text, "=;,"+blank)
	if end < 0 {
		return text, "", "", nil
	}
	name, rest = text[:end], strings.TrimLeft(text[end:], blank)
	if !strings.HasPrefix(rest, "=") {
		return name, "", rest, nil
	}
	rest = strings.TrimLeft(rest[1:], blank)
	if !strings.HasPrefix(rest, `"`) {
		if end = strings.IndexAny(rest, ";,"+blank); end < 0 {
			end = len(rest)
		}
		return name, rest[:end], rest[end:], nil
	}
	var b strings.Builder
	for i := 1; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '"':
			return name, b.String(), rest[i+1:], nil
		case c == '\\' && i+1 < len(rest):
			i++
			b.WriteByte(rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", "", errLinkSyntax
}

// tokenOf returns the paging token in a URL and ignores the rest of it. A plus sign
// is not a blank, because tokens are base64.
func tokenOf(target string) (string, error) {
	target, _, _ = strings.Cut(target, "#")
	_, query, _ := strings.Cut(target, "?")
	found := ""
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name != "token" {
			continue
		}
		token, err := url.PathUnescape(value)
		switch {
		case err != nil:
			return "", errLinkSyntax
		case len(token) > maxToken:
			return "", errLinkLong
		case found != "" && token != found:
			return "", errLinkTwo
		}
		found = token
	}
	if found == "" {
		return "", errLinkNoToken
	}
	return found, nil
}
