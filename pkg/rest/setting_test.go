package rest

import (
	"strings"
	"testing"
	"time"
)

// TestBaseURL checks that base URLs that would break requests are refused, and
// that the message names the setting but never its value.
func TestBaseURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want, fault string }{
		{"https://api.example.com/scim/v2", "https://api.example.com/scim/v2", ""},
		{" https://api.example.com/scim/v2/ \n", "https://api.example.com/scim/v2", ""},
		{"https://api.example.com", "https://api.example.com", ""},
		{"https://api.example.com:8443/a%2Fb", "https://api.example.com:8443/a%2Fb", ""},
		{"HTTPS://api.example.com/x", "https://api.example.com/x", ""},
		{"http://localhost:8080/x", "http://localhost:8080/x", ""},
		{"http://127.0.0.1/x", "http://127.0.0.1/x", ""},
		{"http://[::1]:80/x", "http://[::1]:80/x", ""},
		{"", "", "is empty"},
		{"http://api.example.com/x", "", "use https"},
		{"http://127.0.0.1.example.com/x", "", "use https"},
		{"ftp://secret.example.com", "", "absolute https"},
		{"/just/secret", "", "absolute https"},
		{"api.example.com/secret", "", "absolute https"},
		{"https:///secret", "", "absolute https"},
		{"https://:443/secret", "", "absolute https"},
		{"https:secret", "", "absolute https"},
		{"https://ann:secret@api.example.com", "", "user name or password"},
		{"https://api.example.com/x?secret=1", "", "query"},
		{"https://api.example.com/x?", "", "query"},
		{"https://api.example.com/x#secret", "", "fragment"},
		{"https://api.example.com/x#", "", "fragment"},
		{"https://api.example.com/%zzsecret", "", "not a URL"},
		{"https://api.example.com/\x00secret", "", "not a URL"},
	} {
		u, err := Setting("scim-base-url").BaseURL(c.in)
		if c.fault == "" {
			if err != nil || u.String() != c.want {
				t.Errorf("%q is read as %v, %v", c.in, u, err)
			}
			continue
		}
		checkSetting(t, c.in, err, "--scim-base-url (BATON_SCIM_BASE_URL) ", c.fault)
	}
}

func TestEmail(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want, fault string }{
		{" ann@example.com\n", "ann@example.com", ""},
		{"Ann.O'Neil+x@sub.example.com", "Ann.O'Neil+x@sub.example.com", ""},
		{"", "", "not an e-mail address"},
		{"secret", "", "not an e-mail address"},
		{"Ann <secret@example.com>", "", "not an e-mail address"},
		{"secret@", "", "not an e-mail address"},
		{"a:secret@example.com", "", "not an e-mail address"},
		{"secret@example.com, b@example.com", "", "not an e-mail address"},
	} {
		got, err := Setting("user-email").Email(c.in)
		if c.fault == "" {
			if err != nil || got != c.want {
				t.Errorf("%q is read as %q, %v", c.in, got, err)
			}
			continue
		}
		checkSetting(t, c.in, err, "--user-email (BATON_USER_EMAIL) ", c.fault)
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want, fault string }{
		{"s3cret\r\n", "s3cret", ""},
		{"\t a+/=_-.~b ", "a+/=_-.~b", ""},
		{" \n", "", "is empty"},
		{"secret secret", "", "copy it again"},
		{"secret\x00", "", "copy it again"},
		{"secret\nX-Injected: 1", "", "copy it again"},
		{"secret\u00a0x", "", "copy it again"},
		{"sécret", "", "copy it again"},
	} {
		got, err := Setting("api-token").Secret(c.in)
		if c.fault == "" {
			if err != nil || got != c.want {
				t.Errorf("%q is read as %q, %v", c.in, got, err)
			}
			continue
		}
		checkSetting(t, c.in, err, "--api-token (BATON_API_TOKEN) ", c.fault)
	}
}

func checkSetting(t *testing.T, in string, err error, name, fault string) {
	t.Helper()
	switch {
	case err == nil:
		t.Errorf("%q is accepted", in)
	case !strings.HasPrefix(err.Error(), name) || !strings.Contains(err.Error(), fault):
		t.Errorf("%q: %q does not say %q and %q", in, err, name, fault)
	case strings.Contains(err.Error(), "secret@"), strings.Contains(err.Error(), "secret."), strings.Contains(strings.ReplaceAll(err.Error(), "the secret", ""), "secret") && !strings.Contains(err.Error(), "no secret has"):
		t.Errorf("%q: the message shows the value: %q", in, err)
	case strings.Contains(err.Error(), "\n"):
		t.Errorf("%q: not one line: %q", in, err)
	}
}

// A number that overflows would silently become another limit.
func TestMinutesAreBounded(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]time.Duration{0: 0, 15: 15 * time.Minute, 525600: 365 * 24 * time.Hour} {
		if got, err := Setting("outage-minutes").Minutes(n); err != nil || got != want {
			t.Errorf("%d: got %v, %v, want %v", n, got, err, want)
		}
	}
	for _, n := range []int{-1, 525601, 153722868} {
		if _, err := Setting("outage-minutes").Minutes(n); err == nil || !strings.Contains(err.Error(), "--outage-minutes (BATON_OUTAGE_MINUTES)") {
			t.Errorf("%d: %v", n, err)
		}
	}
}
