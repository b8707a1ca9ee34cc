package rest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// checkProxy refuses a proxy in the environment that cannot be parsed. net/http
// would connect directly instead, and say nothing. The error is one of the
// configuration; it does not show the value, which may hold a password.
func checkProxy(getenv func(string) string) error {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy"} { // in the order of net/http
		value := getenv(name)
		if value == "" {
			continue
		}
		if !isProxy(value) {
			return fmt.Errorf("%s is not the URL of a proxy; give one such as http://proxy.example.com:3128, or unset it", name)
		}
		return nil
	}
	return nil
}

// isProxy says whether net/http uses a value as a proxy: a URL, or a host to
// which it adds http.
func isProxy(value string) bool {
	u, err := url.Parse(value)
	if !strings.Contains(value, "://") {
		u, err = url.Parse("http://" + value)
	}
	return err == nil && u.Hostname() != "" && slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme)
}
