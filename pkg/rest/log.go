package rest

import (
	"io"
	"log"
	"strings"
)

// RedactLog has Go's own log package write to w: one line a message, of at most
// 200 characters, without e-mail addresses and without anything that a message
// quotes. net/http logs answers that nobody asked for through that package, up
// to 4 KiB of each, credentials that a server echoes included, and offers no
// other place for them. Call it before the first request.
func RedactLog(w io.Writer) { log.SetOutput(logFilter{w}) }

type logFilter struct{ to io.Writer }

// Write writes a message up to its first quotation mark.
func (f logFilter) Write(message []byte) (int, error) {
	before, _, _ := strings.Cut(string(message), `"`)
	if _, err := io.WriteString(f.to, newRedactor(nil).line(before)+"\n"); err != nil {
		return 0, err
	}
	return len(message), nil
}
