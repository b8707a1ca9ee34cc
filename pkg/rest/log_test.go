package rest

import (
	"fmt"
	"log"
	"net/http"
	"strings"
	"testing"
)

// lines hands over what is written to it.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

// TestAnAnswerThatNobodyAskedForIsNotLogged has a server send the credential in
// a second answer to one request, which net/http logs. It is not parallel: the
// log is the process's.
func TestAnAnswerThatNobodyAskedForIsNotLogged(t *testing.T) {
	before := log.Writer()
	defer log.SetOutput(before)
	logged := make(lines, 10)
	RedactLog(logged)
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		answer := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
		_, _ = fmt.Fprintf(conn, "%s%s\r\nX-Echo: %s ann@example.com\r\n\r\n", answer, answer, r.Header.Get("Authorization"))
	})
	if _, err := get(client(t, base), "Users"); err != nil {
		t.Fatal(err)
	}
	line := <-logged
	if !strings.Contains(line, "Unsolicited response") || strings.Count(line, "\n") != 1 || len(line) > 300 {
		t.Errorf("not one line about the answer: %q", line)
	}
	for _, never := range []string{secret, "HTTP/1.1", "X-Echo", "example.com"} {
		if strings.Contains(line, never) {
			t.Errorf("%q is logged: %q", never, line)
		}
	}
}
