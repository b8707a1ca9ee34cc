package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"github.com/conductorone/baton-sdk/pkg/dotc1z"
	"google.golang.org/protobuf/encoding/prototext"

	"github.com/conductorone/baton-connectors/internal/simulator"
)

// forms are the ways in which a credential could show.
func forms(secrets ...string) []string {
	var out []string
	for _, s := range secrets {
		quoted, err := json.Marshal(s)
		if err != nil {
			panic(err)
		}
		out = append(out, s, url.QueryEscape(s), url.PathEscape(s), strings.Trim(string(quoted), `"`),
			base64.StdEncoding.EncodeToString([]byte(s)), base64.RawStdEncoding.EncodeToString([]byte(s)),
			base64.URLEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s)))
	}
	return out
}

var anyEmail = regexp.MustCompile(`[\w.+-]+(?:@|%40)[\w-]+(?:\.[\w-]+)*example\.com`)

// TestNothingLeaks runs the real binaries, well and in every way in which
// they fail, with all that they can log, and looks for the credential in all
// that they leave behind; and at the usual level for anybody's address.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	faults := []string{
		"", "unauthorized", "forbidden", "not-found", "bad-request", "html-login", "json-error", "text", "redirect-elsewhere",
		"huge-header", "deep-nesting", "user-without-id", "member-without-id", "odd-names", "long-id", "truncated", "rate-limit-seconds",
	}
	own := map[string][]string{
		ofRudderStack: {"numeric-status", "cursors", "cursors-cycle", "nested-cycle", "groups-missing", "groups-absent", "total-too-high", "start-index-ignored"},
		ofGuru:        {"collection-token", "token-cycle", "link-elsewhere", "group-members-404", "group-vanished", "user-bare", "both-groups-404"},
	}
	for _, vendor := range []string{ofRudderStack, ofGuru} {
		for _, fault := range append(faults, own[vendor]...) {
			for _, level := range []string{"debug", "info"} {
				t.Run(fmt.Sprintf("%s/%s/%s", vendor, strings.TrimPrefix("no fault "+fault, "no fault "), level), func(t *testing.T) {
					t.Parallel()
					var opts []simulator.Option
					switch fault {
					case "":
					case "truncated", "rate-limit-seconds":
						opts = append(opts, simulator.WithFault(fault, simulator.When{From: 5, To: 5}))
					default:
						opts = append(opts, simulator.WithFault(fault))
					}
					s := startVendor(t, vendor, simulator.Size{Users: 130, Groups: 4, MembersPerGroup: 7}, opts...)
					dir := t.TempDir()
					file := filepath.Join(dir, "sync.c1z")
					p := start(t, binary(t, s.connector), append(s.env, "BATON_TMPDIR="+dir), "--file", file, "--log-level", level)
					code := p.wait()
					said := p.stdout.String() + p.stderr.String()
					if (code == 0) != finishedFile(t, file) {
						t.Errorf("exit code %d does not say what the file holds", code)
					}
					left := said + everything(t, dir)
					secrets := s.secrets
					if vendor == ofGuru {
						secrets = append(secrets, "admin@example.com:"+s.secrets[0])
					}
					for _, form := range forms(secrets...) {
						if at := strings.Index(left, form); at >= 0 {
							t.Errorf("%q shows: …%s…", form, left[max(0, at-80):min(len(left), at+80)])
						}
					}
					if level == "info" {
						if at := anyEmail.FindStringIndex(said); at != nil {
							t.Errorf("an address shows: …%s…", said[max(0, at[0]-200):min(len(said), at[1]+80)])
						}
					}
					if n := len(s.Elsewhere()); n > 0 {
						t.Errorf("%d requests arrived at another origin", n)
					}
					if bad := s.Violations(); len(bad) > 0 {
						t.Errorf("not read-only: %v", bad)
					}
				})
			}
		}
	}
}

// finishedFile is finishedSync for a file that may not be there.
func finishedFile(t testing.TB, path string) bool {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		return false
	}
	return finishedSync(t, path)
}

// everything is the text of all files below a directory and all that a c1z
// among them holds, page tokens included.
func everything(t testing.TB, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		out.WriteString(path + "\n")
		out.Write(raw)
		if filepath.Ext(path) == ".c1z" && len(raw) > 0 {
			out.WriteString(rowsOf(t, path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func rowsOf(t testing.TB, path string) string {
	t.Helper()
	ctx := context.Background()
	store, err := dotc1z.NewStore(ctx, path, dotc1z.WithReadOnly(true), dotc1z.WithTmpDir(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close(ctx) //nolint:errcheck // read only
	var out strings.Builder
	for _, kind := range []string{"user", "group"} {
		for _, r := range resources(ctx, t, store, kind) {
			out.WriteString(prototext.Format(r))
		}
	}
	for token := ""; ; {
		page, err := store.ListGrants(ctx, v2.GrantsServiceListGrantsRequest_builder{PageToken: token}.Build())
		if err != nil {
			return out.String() // an unfinished sync lists none
		}
		for _, g := range page.GetList() {
			out.WriteString(prototext.Format(g))
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	return out.String()
}
