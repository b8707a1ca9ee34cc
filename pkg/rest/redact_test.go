package rest

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

const (
	testSecret = "t0p/secret+token=="
	testBasic  = "YWRtaW5AZXhhbXBsZS5jb206dDBwL3NlY3JldCt0b2tlbj09"
)

func testRedactor() *redactor {
	return newRedactor([]string{"Basic " + testBasic, testSecret, testBasic})
}

func TestVendorWords(t *testing.T) {
	t.Parallel()
	rows := []struct{ name, body, want string }{
		{"nothing", " \n", ""},
		{"text", "upstream connect error", "upstream connect error"},
		{"message", `{"message":"Forbidden access to team","code":403}`, "Forbidden access to team"},
		{"SCIM detail", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"detail":"No such user","status":"404"}`, "No such user"},
		{"detail before message", `{"message":"outer","Detail":"inner"}`, "inner"},
		{"nested", `{"errors":[{"message":"deep"}]}`, "deep"},
		{"a list", `[{"error":"first"},{"error":"second"}]`, "first"},
		{"an error that is an object", `{"error":{"code":"E42"}}`, "E42"},
		{"no message", `{"ok":false}`, `{"ok":false}`},
		{"cut off JSON", `{"message":"Forb`, `{"message":"Forb`},
		{"page", "<!doctype html><html><head><title>Sign in</title><style>p{color:red}</style></head><body onload=\"x('>')\"><script>alert(1)</script><p>Please\n sign in</p>", `Sign in ')"> Please sign in`},
		{"markup in a message", `{"message":"<b>No</b> such \u003ci\u003eteam\u003c/i\u003e"}`, "No such team"},
		{"less than in a message", `{"message":"count must be < 5"}`, "count must be < 5"},
		{"open tag", "Bad <img src=", "Bad"},
		{"lines and tabs", "one\r\n\ttwo\x00\x1b[31mthree", "one two[31mthree"},
		{"an address", `{"message":"ann.lee@example.com may not"}`, "[e-mail] may not"},
		{"a secret", "token " + testSecret + " is bad", "token [secret] is bad"},
		{"a secret in a URL", "GET /?t=" + url.QueryEscape(testSecret), "GET /?t=[secret]"},
		{"a header", "Authorization: Basic " + testBasic, "Authorization: Basic [secret]"},
		{"a secret in base64", base64.StdEncoding.EncodeToString([]byte(testSecret)), "[secret]"},
		{"a secret with a control character inside", "t0p/sec\x00ret+token==", "[secret]"},
		{"a secret with an invisible character inside", "t0p/sec\u200bret+token==", "[secret]"},
		{"a secret with an invalid byte inside", "t0p/sec\xffret+token==", "[secret]"},
		{"a secret where a long body is cut", strings.Repeat(" ", enough-10) + "x " + testSecret, "x [secret]"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			got := testRedactor().vendorWords([]byte(r.body))
			if r.name == "a secret where a long body is cut" {
				got = testRedactor().line(r.body)
			}
			if got != r.want {
				t.Errorf("%q, want %q", got, r.want)
			}
		})
	}
}

func TestVendorWordsAreShort(t *testing.T) {
	t.Parallel()
	for _, body := range []string{strings.Repeat("é", 5000), `{"message":"` + strings.Repeat("日", 70_000) + `"}`, strings.Repeat("<p>", 100_000) + strings.Repeat("y ", 1000)} {
		checkWords(t, testRedactor().vendorWords([]byte(body)))
	}
}

var closedTag = regexp.MustCompile(`<[^>]*>`)

// checkWords checks the rules for every text that an error quotes.
func checkWords(t *testing.T, said string) {
	t.Helper()
	if n := utf8.RuneCountInString(said); n > maxWords {
		t.Errorf("%d characters", n)
	}
	if !utf8.ValidString(said) || strings.ContainsFunc(said, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }) {
		t.Errorf("not one clean line: %q", said)
	}
	if closedTag.MatchString(said) {
		t.Errorf("markup: %q", said)
	}
	for name, echo := range echoes("admin@example.com", testSecret) {
		if part := sharedPart(said, echo); part != "" {
			t.Errorf("a secret (%s, %q): %q", name, part, said)
		}
	}
}

// FuzzVendorWords: for any answer, an error quotes one line of at most 200
// characters, without markup and without the secret, wherever the body has it.
func FuzzVendorWords(f *testing.F) {
	for _, seed := range []string{
		"", "plain text", `{"message":"no"}`, `{"error":{"detail":"<b>x</b>"}}`, `[{"errors":["a","b"]}]`, "<html><script>x</script>y", "<<b>i>x</i>",
		"a@b.example.com %40 c@d", "\xff\xfe", "{\"detail\":\"\\u003cscript\\u003e\\u0000\"}", strings.Repeat("{\"error\":", 50), "\u2028\u2029\u202e", "<scr\x00ipt>",
	} {
		f.Add([]byte(seed), 3)
	}
	r := testRedactor()
	f.Fuzz(func(t *testing.T, body []byte, at int) {
		checkWords(t, r.vendorWords(body))
		if at < 0 || at > len(body) {
			at = len(body)
		}
		for _, secret := range echoes("admin@example.com", testSecret) {
			with := string(body[:at]) + secret + string(body[at:])
			checkWords(t, r.vendorWords([]byte(with)))
			checkWords(t, r.vendorWords([]byte(`{"message":`+quoted(with)+`}`)))
		}
	})
}

func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s) + `"`
}
