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

// Setting names a configuration field, for messages.
type Setting string

// String is the field's flag and environment variable.
func (s Setting) String() string {
	return fmt.Sprintf("--%s (%s)", string(s), s.Env())
}

// Env is the field's environment variable.
func (s Setting) Env() string {
	return "BATON_" + strings.ToUpper(strings.ReplaceAll(string(s), "-", "_"))
}

func (s Setting) refused(why string) error {
	return fmt.Errorf("%s %s", s, why)
}

// BaseURL reads an absolute URL that requests may be joined to: https, or
// http to a loopback host; without user info, query or fragment. White space
// around it and slashes at its end are dropped. Errors do not quote the
// value, which may hold a password by mistake.
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

// Minutes reads a number of minutes; 0 stands for a default and stays 0.
func (s Setting) Minutes(n int) (time.Duration, error) {
	if n < 0 {
		return 0, s.refused("is negative; give a number of minutes")
	}
	return time.Duration(n) * time.Minute, nil
}

// Email reads one bare e-mail address.
func (s Setting) Email(value string) (string, error) {
	value = strings.TrimSpace(value)
	parsed, err := mail.ParseAddress(value)
	if err != nil || parsed.Address != value || strings.ContainsAny(value, ":") {
		return "", s.refused("is not an e-mail address; give one such as ann@example.com")
	}
	return value, nil
}

// Secret reads a credential. Secrets mounted from files end in line breaks,
// so white space around it is dropped; inside it is an accident of copying.
// The value never shows in the error.
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
