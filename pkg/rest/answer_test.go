package rest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
)

// TestBodiesThatNobodyCanRead checks that an error names the fault of a body
// and quotes nothing of it, and that it asks for a retry if that may help.
func TestBodiesThatNobodyCanRead(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	_, _ = zip.Write(bytes.Repeat([]byte(`["a page"] `), 1000))
	_ = zip.Close()
	damaged := bytes.Clone(packed.Bytes())
	damaged[len(damaged)-6] ^= 1 // the checksum
	garbled := bytes.Clone(packed.Bytes())
	for i := range garbled[10:20] {
		garbled[10+i] = 0xff
	}
	for _, c := range []struct {
		name     string
		status   int
		encoding string
		body     []byte
		code     codes.Code
		words    []string
	}{
		{"a byte order mark", 200, "", []byte("\ufeff[1]"), codes.OK, nil},
		{"a needless encoding of JSON", 200, "utf-8", []byte("[1]"), codes.OK, nil},
		{"another encoding", 200, "br", []byte("\x8b\x01\x80[1]"), codes.FailedPrecondition, []string{`Content-Encoding is "br", which was not requested`, "proxy"}},
		{"another encoding of an error", 403, "br", []byte("\x8b\x01\x80[1]"), codes.PermissionDenied, []string{`Content-Encoding is "br"`}},
		{"an encoding of many lines", 200, "x\ty " + secret, []byte("no"), codes.FailedPrecondition, []string{"[secret]"}},
		{"gzip that is none", 200, "gzip", []byte("[1]          "), codes.FailedPrecondition, []string{"not gzip, although its Content-Encoding says so"}},
		{"gzip with a wrong checksum", 200, "gzip", damaged, codes.Unavailable, []string{"gzip of the answer is broken"}},
		{"gzip with garbage inside", 200, "gzip", garbled, codes.Unavailable, []string{"gzip of the answer is broken"}},
		{"gzip that is cut off", 200, "gzip", packed.Bytes()[:packed.Len()-9], codes.Unavailable, []string{"cut off"}},
		{"gzip that says nothing of it", 200, "", packed.Bytes(), codes.FailedPrecondition, []string{"not JSON (its body is binary: application/x-gzip)"}},
		{"a picture", 200, "", []byte("\x89PNG\x0D\x0A\x1A\x0A"), codes.FailedPrecondition, []string{"binary: image/png"}},
		{"a picture for an error", 502, "", []byte("\x89PNG\x0D\x0A\x1A\x0A"), codes.Unavailable, []string{"502 Bad Gateway (its body is binary: image/png)"}},
		{"bytes", 200, "", []byte("\x00\x01\x02"), codes.FailedPrecondition, []string{"binary: application/octet-stream"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if c.encoding != "" {
					w.Header().Set("Content-Encoding", c.encoding)
				}
				w.WriteHeader(c.status)
				_, _ = w.Write(c.body)
			})
			rows, err := Get(t.Context(), client(t, base), Request{Path: []string{"Users"}}, JSON[[]int])
			check(t, err, c.code, c.words...)
			if err == nil && (len(rows) != 1 || rows[0] != 1) {
				t.Errorf("reads %v", rows)
			}
		})
	}
}

// TestAnAnswerThatIsNotReadyIsWaitedFor checks that a request answered with 202
// and a time is repeated then, that other requests continue meanwhile, and that
// the answer never passes for an empty list.
func TestAnAnswerThatIsNotReadyIsWaitedFor(t *testing.T) {
	t.Parallel()
	now := &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	ready := false
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/Users" && !ready {
			w.Header().Set("Retry-After", "20")
			w.WriteHeader(202)
		}
		fmt.Fprint(w, "[]")
	})
	c := client(t, base, func(_ *Vendor, o *Options) { o.Now = now.now })
	_, err := get(c, "Users")
	check(t, err, codes.Unavailable, "202 Accepted", "prepares the answer")
	if until := waitTold(t, err); !until.Equal(now.now().Add(20 * time.Second)) {
		t.Errorf("told to wait until %s", until)
	}
	if _, err := get(c, "Groups"); err != nil {
		t.Error(err)
	}
	ready = true
	if body, err := get(c, "Users"); body != "[]" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
}
