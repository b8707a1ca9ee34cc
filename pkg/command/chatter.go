package command

import (
	"bytes"
	"io"
	"regexp"
)

// Where the SDK's process finds that the one it has started is gone, it closes
// what that end has closed already and logs the failure as an error. In a
// sync that is over this says that something is wrong where nothing is; in any
// other the line before it has said all. Which of the two ends first is left
// to the scheduler (baton-sdk v0.26.0, internal/connector/connector.go,
// runServer and Close).
var falseAlarms = [][]byte{
	[]byte("\terror closing connector wrapper\t"),      // the log as text
	[]byte(`"msg":"error closing connector wrapper",`), // the log as JSON
}

// people are the ids, up to 25, in the SDK's warning of members who are not in
// the list of users (ingest_invariants.go). Guru's ids are e-mail addresses,
// and a log is not the place for them. They are the last field of the line.
var people = regexp.MustCompile(`,\s?"principal_examples":\s?\[.*\]`)

// maxLine is how much of a line is held back until its end is known.
const maxLine = 64 << 10

// chatter passes on what a worker says, line by line, without false alarms and
// people.
type chatter struct {
	to   io.Writer
	line []byte
}

func (c *chatter) Write(p []byte) (int, error) {
	for part := range bytes.Lines(p) {
		c.line = append(c.line, part...)
		if !bytes.HasSuffix(part, []byte("\n")) && len(c.line) < maxLine {
			break
		}
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// flush passes on what is held back, a last line without an end.
func (c *chatter) flush() error {
	line := c.line
	c.line = c.line[:0]
	for _, alarm := range falseAlarms {
		if bytes.Contains(line, alarm) {
			return nil
		}
	}
	if bytes.Contains(line, []byte(`"principal_examples":`)) {
		line = people.ReplaceAll(line, nil)
	}
	_, err := c.to.Write(line)
	return err
}
