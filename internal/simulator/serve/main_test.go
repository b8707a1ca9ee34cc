package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// started ends the server once it has printed its address.
type started func(text string)

func (s started) Write(b []byte) (int, error) {
	s(string(b))
	return len(b), nil
}

func TestServeSaysHowToReachBoth(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	file := filepath.Join(t.TempDir(), "env")
	out := started(func(text string) {
		defer stop()
		written, err := os.ReadFile(file)
		if err != nil || string(written) != text {
			t.Errorf("the file says %q (%v), not %q", written, err, text)
		}
		env := map[string]string{}
		for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
			name, value, _ := strings.Cut(strings.TrimPrefix(line, "export "), "=")
			env[name] = strings.Trim(value, "'")
		}
		for target, auth := range map[string]func(*http.Request){
			env["BATON_RUDDERSTACK_SCIM_BASE_URL"] + "/Users": func(r *http.Request) {
				r.Header.Set("Authorization", "Bearer "+env["BATON_RUDDERSTACK_SCIM_TOKEN"])
			},
			env["BATON_BASE_URL"] + "/members": func(r *http.Request) { r.SetBasicAuth(env["BATON_USER_EMAIL"], env["BATON_API_TOKEN"]) },
		} {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
			if err != nil {
				t.Error(err)
				return
			}
			auth(req)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%s: %d", target, resp.StatusCode)
			}
		}
	})
	if err := serve(ctx, []string{"--users", "3", "--env-file", file, "--fault", "cap-7", "--fault", "link-next"}, out, os.Stderr); err != nil {
		t.Fatal(err)
	}
}

func TestServeRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--fault", "no-such"}, {"--group-sizes", "1,x"}, {"more"}} {
		var errs bytes.Buffer
		if err := serve(t.Context(), args, &errs, &errs); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}
