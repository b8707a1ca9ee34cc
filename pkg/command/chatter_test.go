package command

import (
	"bytes"
	"testing"
)

// The lines are those that baton-sdk v0.26.0 has logged at the end of a sync
// that was right.
func TestAFinishedSyncIsNotFollowedByAFalseAlarm(t *testing.T) {
	t.Parallel()
	const (
		asText  = "2026-11-25T18:58:17.642Z\tERROR\tconnector/connector.go:352\terror closing connector wrapper\t" + `{"error": "error closing connector service stdin: close |1: file already closed"}` + "\n"
		asJSON  = `{"level":"error","ts":1.5,"caller":"connector/connector.go:352","msg":"error closing connector wrapper","error":"error closing connector service stdin: close |1: file already closed"}` + "\n"
		before  = "2026-11-25T18:58:17.641Z\tWARN\tsync/syncer.go:1\tthe sync is slow\n"
		genuine = "2026-11-25T18:58:17.642Z\tERROR\tconnector/connector.go:359\tconnector service quit unexpectedly\t" + `{"error": "signal: killed"}` + "\n"
		quoted  = `{"level":"error","msg":"a group","name":"\"msg\":\"error closing connector wrapper\","}` + "\n"
		cut     = "panic: no line's end"

		warning     = "2026-11-27T07:32:18.853Z\tWARN\tsync/ingest_invariants.go:1369\tingest invariant I9: grants reference principals with no resource row\t" + `{"dangling_principals": 2, "attribution": "references target SYNCED types"`
		warningJSON = `{"level":"warn","msg":"ingest invariant I9: grants reference principals with no resource row","dangling_principals":2`
	)
	for _, row := range []struct{ name, said, passed string }{
		{"as text", before + asText + genuine, before + genuine},
		{"as JSON", before + asJSON + genuine, before + genuine},
		{"first and last", asText + before + asJSON, before},
		{"without its end", before + asText[:len(asText)-1], before},
		{"in the words of a vendor", quoted, quoted},
		{"people, as text", warning + `, "principal_examples": ["user/ann@example.com", "user/a]\"b@example.com"]}` + "\n", warning + "}\n"},
		{"people, as JSON", warningJSON + `,"principal_examples":["user/ann@example.com","user/bo@example.com"]}` + "\n", warningJSON + "}\n"},
		{"blank lines", "\n\n" + asText + "\n", "\n\n\n"},
		{"a last line without an end", genuine + cut, genuine + cut},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var whole bytes.Buffer
			all := &chatter{to: &whole}
			if n, err := all.Write([]byte(row.said)); n != len(row.said) || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
			if err := all.flush(); err != nil {
				t.Fatal(err)
			}
			if whole.String() != row.passed {
				t.Errorf("passes\n%q, want\n%q", whole.String(), row.passed)
			}
			var bytewise bytes.Buffer
			one := &chatter{to: &bytewise}
			for _, b := range []byte(row.said) {
				if _, err := one.Write([]byte{b}); err != nil {
					t.Fatal(err)
				}
			}
			if err := one.flush(); err != nil {
				t.Fatal(err)
			}
			if bytewise.String() != row.passed {
				t.Errorf("byte by byte, passes\n%q, want\n%q", bytewise.String(), row.passed)
			}
		})
	}
}

func TestALineWithoutAnEndIsNotHeldBackForEver(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := &chatter{to: &out}
	endless := bytes.Repeat([]byte("x"), 10*maxLine)
	if _, err := c.Write(endless); err != nil {
		t.Fatal(err)
	}
	if out.Len() < 9*maxLine {
		t.Errorf("holds back %d bytes", len(endless)-out.Len())
	}
}
