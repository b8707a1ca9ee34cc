package rest

import (
	"strings"
	"testing"
)

// TestAProxyThatCannotBeParsedIsRefused checks values that net/http would
// silently ignore, and that the error names the variable but not the value.
func TestAProxyThatCannotBeParsedIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		upper, lower string
		refused      string
	}{
		{"", "", ""},
		{"http://proxy.example.com:3128", "", ""},
		{"http://ann:secret@proxy.example.com", "", ""},
		{"https://proxy.example.com", "://secret", ""}, // the first counts
		{"socks5://proxy.example.com:1080", "", ""},
		{"socks5h://proxy.example.com:1080", "", ""},
		{"proxy.example.com:3128", "", ""},
		{"127.0.0.1:3128", "", ""},
		{"proxy", "", ""},
		{"http://secret@proxy.example.com:port", "", "HTTPS_PROXY "},
		{"http://se%zzcret@proxy.example.com", "", "HTTPS_PROXY "},
		{"://secret", "", "HTTPS_PROXY "},
		{"ftp://secret.example.com", "", "HTTPS_PROXY "},
		{"foo://secret.example.com", "", "HTTPS_PROXY "},
		{"http://", "", "HTTPS_PROXY "},
		{"", "http://[secret", "https_proxy "},
	} {
		err := checkProxy(func(name string) string {
			return map[string]string{"HTTPS_PROXY": c.upper, "https_proxy": c.lower}[name]
		})
		switch {
		case c.refused == "" && err == nil:
		case c.refused == "" || err == nil || !strings.HasPrefix(err.Error(), c.refused) || strings.Contains(err.Error(), "secret"):
			t.Errorf("%q, %q: %v", c.upper, c.lower, err)
		}
	}
}
