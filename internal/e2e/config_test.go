package e2e

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/conductorone/baton-connectors/internal/fixture"
)

// origin is a server that a configuration points to. It refuses every request
// and records the credential.
type origin struct {
	url string

	mu        sync.Mutex
	presented []string
}

func newOrigin(t testing.TB) *origin {
	t.Helper()
	o := &origin{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.presented = append(o.presented, r.Header.Get("Authorization"))
		o.mu.Unlock()
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(server.Close)
	o.url = server.URL + "/base"
	return o
}

func (o *origin) seen() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.presented)
}

// source is one source of a setting.
type source string

const (
	byFlag   source = "flag"
	byEnv    source = "environment"
	byFile   source = "file"
	byFolder source = "file in the working directory"
)

// TestSettingsComeFromWhereTheyAreDocumented checks for each setting that a
// flag beats the environment, the environment beats the file, and the file
// beats the default. With a credential from another source than the operator
// thinks, a connector would read another tenant's directory.
func TestSettingsComeFromWhereTheyAreDocumented(t *testing.T) {
	t.Parallel()
	for _, vendor := range fixture.Vendors {
		t.Run(vendor, func(t *testing.T) {
			t.Parallel()
			connector := fixture.Start(t, vendor, small)
			for _, row := range []struct {
				name string
				// where the base URL and the credential are stated, the one
				// that must win first
				base, secret []source
			}{
				{"flags only", []source{byFlag}, []source{byFlag}},
				{"environment only", []source{byEnv}, []source{byEnv}},
				{"file only", []source{byFile}, []source{byFile}},
				{"file in the working directory only", []source{byFolder}, []source{byFolder}},
				{"flag beats environment", []source{byFlag, byEnv}, []source{byFlag, byEnv}},
				{"flag beats file", []source{byFlag, byFile}, []source{byFlag, byFile}},
				{"environment beats file", []source{byEnv, byFile}, []source{byEnv, byFile}},
				{"environment beats file in the working directory", []source{byEnv, byFolder}, []source{byEnv, byFolder}},
				{"flag beats all", []source{byFlag, byEnv, byFile}, []source{byFlag, byEnv, byFile}},
				{"named file beats the one in the working directory", []source{byFile, byFolder}, []source{byFile, byFolder}},
				{"each setting from another place", []source{byFlag, byFile}, []source{byEnv, byFile}},
				{"the other way round", []source{byFile}, []source{byFlag, byEnv}},
			} {
				t.Run(row.name, func(t *testing.T) {
					t.Parallel()
					origins, env, args := map[source]*origin{}, []string(nil), []string(nil)
					files := map[source]map[string]string{byFile: {}, byFolder: {}}
					state := func(at source, setting, value string) {
						switch at {
						case byFlag:
							args = append(args, "--"+setting, value)
						case byEnv:
							env = append(env, "BATON_"+strings.ToUpper(strings.ReplaceAll(setting, "-", "_"))+"="+value)
						case byFile, byFolder:
							files[at][setting] = value
						}
					}
					word := func(at source) string { return "token-by-" + strings.ReplaceAll(string(at), " ", "-") }
					for _, at := range row.base {
						origins[at] = newOrigin(t)
						state(at, connector.BaseURL, origins[at].url)
					}
					for _, at := range row.secret {
						state(at, connector.Token, word(at))
					}
					if connector.Login != "" {
						state(row.base[0], connector.Login, "admin@example.com")
					}
					p := prepare(t, fixture.Binary(t, connector.Connector), env, args...)
					if len(files[byFile]) > 0 {
						path := filepath.Join(t.TempDir(), "settings.yaml")
						writeYAML(t, path, files[byFile])
						p.cmd.Env = append(p.cmd.Env, "BATON_CONFIG_PATH="+path)
					}
					if len(files[byFolder]) > 0 {
						writeYAML(t, filepath.Join(p.cmd.Dir, ".baton.yaml"), files[byFolder])
					}
					p.run()
					if code := p.wait(); code != 16 { // Unauthenticated
						t.Errorf("the connector ended with %d", code)
					}
					want := "Bearer " + word(row.secret[0])
					if connector.Login != "" {
						want = "Basic " + base64.StdEncoding.EncodeToString([]byte("admin@example.com:"+word(row.secret[0])))
					}
					for at, origin := range origins {
						seen := origin.seen()
						if at != row.base[0] {
							if len(seen) > 0 {
								t.Errorf("the base URL by %s was used", at)
							}
							continue
						}
						if len(seen) == 0 {
							t.Errorf("the base URL by %s was not used", at)
						}
						for _, presented := range seen {
							if presented != want {
								t.Errorf("the vendor was shown %q, not %q", presented, want)
							}
						}
					}
				})
			}
		})
	}
}

func writeYAML(t testing.TB, path string, settings map[string]string) {
	t.Helper()
	text, err := yaml.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestGuruIsReachedAtItsOwnAddressByDefault checks the address for requests if
// no base URL is set. A proxy on loopback takes the call and forwards it to no
// server.
func TestGuruIsReachedAtItsOwnAddressByDefault(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 100)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Host + " " + r.Header.Get("Authorization")
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(proxy.Close)
	p := start(t, fixture.Binary(t, "baton-guru"), []string{
		"HTTPS_PROXY=" + proxy.URL, "HTTP_PROXY=" + proxy.URL,
		"BATON_USER_EMAIL=admin@example.com", "BATON_API_TOKEN=some-token",
	})
	select {
	case call := <-asked:
		if call != "CONNECT api.getguru.com:443 " {
			t.Errorf("the first call is %q", call)
		}
	case <-p.alive.Done():
		t.Error("the connector called nobody")
	}
}
