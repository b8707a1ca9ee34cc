package rest

import (
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// Setting is the name of a configuration field, such as api-token. Its methods check
// a value of the field. Their errors name the field and the next step. They never
// quote the value, which may be a secret or hold one by mistake.
type Setting string

// String returns the field's flag and environment variable.
func (s Setting) String() string {
	return fmt.Sprintf("--%s (%s)", string(s), s.Env())
}

// Env returns the field's environment variable.
func (s Setting) Env() string {
	return "BATON_" + strings.ToUpper(strings.ReplaceAll(string(s), "-", "_"))
}

func (s Setting) refused(why string) error {
	return fmt.Errorf("%s %s", s, why)
}

// BaseURL parses an absolute URL: https, or http to a loopback host, without user
// info, query or fragment. It drops white space around the value and slashes at its
// end.
func (s Setting) BaseURL(value string) (*url.URL, error) {
	value = strings.TrimSpace(value)
	if value == "" {
		return nil, s.refused("is empty; give the base URL of the API")
	}
	u, err := url.Parse(value)
	switch {
	case err != nil:
		return nil, s.refused("is not a URL; give one such as https://api.example.com/path")
	case u.Scheme != "https" && u.Scheme != "http", u.Opaque != "", u.Hostname() == "":
		return nil, s.refused("is not an absolute https URL; give one such as https://api.example.com/path")
	case u.User != nil:
		return nil, s.refused("holds a user name or password; remove it, the credential has a field of its own")
	case u.RawQuery != "" || u.ForceQuery:
		return nil, s.refused("holds a query (?…); remove it")
	case u.Fragment != "" || strings.Contains(value, "#"):
		return nil, s.refused("holds a fragment (#…); remove it")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, s.refused("uses http, which would show the credential on the network; use https")
	}
	trimmed, err := url.Parse(strings.TrimRight(value, "/"))
	if err != nil {
		return nil, s.refused("is not a URL")
	}
	return trimmed, nil
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Minutes converts a number of minutes, from 0 to a year. 0 means a default.
func (s Setting) Minutes(n int) (time.Duration, error) {
	const year = 365 * 24 * 60
	if n < 0 || n > year {
		return 0, s.refused(fmt.Sprintf("is not between 0 and %d minutes", year))
	}
	return time.Duration(n) * time.Minute, nil
}

// Email returns an e-mail address without white space around it. It accepts no
// display name.
func (s Setting) Email(value string) (string, error) {
	value = strings.TrimSpace(value)
	parsed, err := mail.ParseAddress(value)
	if err != nil || parsed.Address != value || strings.ContainsAny(value, ":") {
		return "", s.refused("is not an e-mail address; give one such as ann@example.com")
	}
	return value, nil
}

// Secret returns a credential without white space around it, such as the line
// break at the end of a file. It refuses white space inside, which is a copying
// mistake.
func (s Setting) Secret(value string) (string, error) {
	value = strings.TrimSpace(value)
	for _, scheme := range []string{"Bearer ", "Basic "} {
		if len(value) > len(scheme) && strings.EqualFold(value[:len(scheme)], scheme) {
			return "", s.refused("starts with " + strings.TrimSpace(scheme) + "; leave that word out")
		}
	}
	switch {
	case value == "":
		return "", s.refused("is empty; give the secret")
	case strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) || r > unicode.MaxASCII }):
		return "", s.refused("holds a blank, a line break or another character that no secret has; copy it again")
	}
	return value, nil
}
