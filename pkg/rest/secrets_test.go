package rest

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// echoes are the forms in which a server may show a secret.
func echoes(user, secret string) map[string]string {
	each := func(format string) string {
		var b strings.Builder
		for _, c := range []byte(secret) {
			fmt.Fprintf(&b, format, c)
		}
		return b.String()
	}
	split := func(by string) string {
		return secret[:3] + by + secret[3:len(secret)/2] + by + secret[len(secret)/2:]
	}
	pair := base64.StdEncoding.EncodeToString([]byte(user + ":" + secret))
	escaped := url.QueryEscape(secret)
	return map[string]string{
		"as it is":                        secret,
		"in capitals":                     strings.ToUpper(secret),
		"in small letters":                strings.ToLower(secret),
		"percent-encoded":                 escaped,
		"percent-encoded, small":          strings.ToLower(escaped),
		"percent-encoded, each character": each("%%%02x"),
		"percent-encoded twice":           url.QueryEscape(escaped),
		"JSON, slashes escaped":           strings.ReplaceAll(secret, "/", `\/`),
		"JSON, each character":            each(`\u%04x`),
		"Go, each character":              each(`\x%02x`),
		"HTML, each character":            each("&#%d;"),
		"HTML, each character in hex":     each("&#x%X;"),
		"base64":                          base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64 for URLs":                 base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"base64 behind one byte":          base64.StdEncoding.EncodeToString([]byte(":" + secret + "&more")),
		"base64 behind two bytes":         base64.StdEncoding.EncodeToString([]byte("t=" + secret + "&")),
		"base64 of user and secret":       pair,
		"base64 of that, percent-encoded": strings.ToLower(url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(user + ":" + secret)))),
		"base64 in lines":                 pair[:9] + "\n" + pair[9:20] + "\n " + pair[20:],
		"hex":                             hex.EncodeToString([]byte(secret)),
		"hex in capitals, spaced":         strings.TrimSpace(each("%02X ")),
		"split by blanks":                 split(" "),
		"split by line breaks":            split("\r\n\t"),
		"split by markup":                 split("<wbr>"),
		"split by markup with blanks":     split(" <b class='x'> </b>\n"),
		"split by escaped markup":         split(`\u003cb\u003e`),
		"split by control characters":     split("\x00"),
		"split by escaped line breaks":    split(`\n`),
		"split by invisible characters":   split("\u200b"),
		"a header":                        "Authorization: Basic " + pair,
	}
}

var blanksAndTags = regexp.MustCompile(`<[^>]*>|\s+`)

// sharedPart returns 8 characters of an echo that a text holds, in any letter
// case and ignoring blanks and markup, or "" if there are none.
func sharedPart(text, echo string) string {
	text = strings.ToLower(blanksAndTags.ReplaceAllString(text, ""))
	echo = strings.ToLower(blanksAndTags.ReplaceAllString(echo, ""))
	echo = strings.TrimPrefix(echo, "authorization:basic")
	for i := 0; i+8 <= len(echo); i++ {
		if strings.Contains(text, echo[i:i+8]) {
			return echo[i : i+8]
		}
	}
	return ""
}

// TestNoEchoOfTheCredentialShows makes a server send the credential back in
// each form: as the body of an error, as JSON, as the body of an answer that is
// not the API's, in a header that cannot be read, in one that can, and as the
// host of a redirect.
func TestNoEchoOfTheCredentialShows(t *testing.T) {
	t.Parallel()
	const user = "admin@example.com"
	basic := base64.StdEncoding.EncodeToString([]byte(user + ":" + testSecret))
	raw := func(w http.ResponseWriter, format string, args ...any) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()                 //nolint:errcheck // the other end tells
		fmt.Fprintf(conn, format, args...) //nolint:errcheck // as above
	}
	oneLine := strings.NewReplacer("\r", "", "\n", "", "\x00", "")
	ways := map[string]func(w http.ResponseWriter, echo string){
		"the body of an error": func(w http.ResponseWriter, echo string) {
			w.WriteHeader(403)
			fmt.Fprintf(w, "token=%s is bad", echo)
		},
		"a message": func(w http.ResponseWriter, echo string) {
			w.WriteHeader(401)
			fmt.Fprintf(w, `{"message":%s}`, quoted("the token "+echo+" is bad"))
		},
		"a body that is no JSON": func(w http.ResponseWriter, echo string) { fmt.Fprintf(w, "<p>token=%s</p>", echo) },
		"broken JSON":            func(w http.ResponseWriter, echo string) { fmt.Fprintf(w, `{"token":"%s",`, echo+`"}]`) },
		"a header": func(w http.ResponseWriter, echo string) {
			raw(w, "HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: 2\r\n\r\nno", oneLine.Replace(echo))
		},
		"a broken header": func(w http.ResponseWriter, echo string) {
			raw(w, "HTTP/1.1 200 OK\r\nX-Token %s\r\n\r\n", oneLine.Replace(echo))
		},
		"a broken status line": func(w http.ResponseWriter, echo string) { raw(w, "HTTP/1.1 %s\r\n\r\n", oneLine.Replace(echo)) },
		"a host to go to": func(w http.ResponseWriter, echo string) {
			raw(w, "HTTP/1.1 302 Found\r\nLocation: https://%s.example.org/\r\nContent-Length: 0\r\n\r\n", oneLine.Replace(echo))
		},
	}
	for way, answer := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			for form, echo := range echoes(user, testSecret) {
				base := serve(t, func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					answer(w, echo)
				})
				c := client(t, base, func(v *Vendor, _ *Options) {
					v.Authorization, v.Secrets = "Basic "+basic, []string{testSecret, basic}
				})
				_, err := Get(context.Background(), c, Request{Path: []string{"Users"}}, JSON[[]string])
				if err == nil {
					t.Errorf("%s: no error", form)
					continue
				}
				if part := sharedPart(err.Error(), echo); part != "" {
					t.Errorf("%s: %q shows in %q", form, part, err)
				}
			}
		})
	}
}
