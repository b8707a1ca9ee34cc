package rest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// checkProxy fails if the environment names a proxy that cannot be parsed: net/http
// would silently connect without it. The error does not show the value, which may
// hold a password.
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

// isProxy reports whether net/http can use a value as a proxy: a URL, or a host, to
// which it adds http.
func isProxy(value string) bool {
	u, err := url.Parse(value)
	if !strings.Contains(value, "://") {
		u, err = url.Parse("http://" + value)
	}
	return err == nil && u.Hostname() != "" && slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme)
}
