package e2e

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// exitCodes are the meanings of the exit codes that a table of a page gives.
func exitCodes(t *testing.T, page string) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../" + page)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, row := range table(t, string(text), "Exit code ") {
		for _, code := range strings.Split(row[0], ", ") {
			if out[code] != "" {
				t.Errorf("%s has the exit code %s twice", page, code)
			}
			out[code] = row[1]
		}
	}
	return out
}

// TestDocsAgreeOnExitCodes holds all pages to the table of docs/operations.md:
// the README's says the same of the codes that it has, and a code in the prose
// is one of the table.
func TestDocsAgreeOnExitCodes(t *testing.T) {
	t.Parallel()
	master, short := exitCodes(t, "docs/operations.md"), exitCodes(t, "README.md")
	if len(master) < 14 || len(short) < 5 {
		t.Errorf("found only %d and %d codes", len(master), len(short))
	}
	for code, meaning := range short {
		if master[code] != meaning {
			t.Errorf("the exit code %s means %q in the README and %q in docs/operations.md", code, meaning, master[code])
		}
	}
	named := regexp.MustCompile(`(?i)exit codes? (?:of |is )?([0-9]+)`)
	for _, d := range documents(t) {
		for _, m := range named.FindAllStringSubmatch(d.text, -1) {
			if master[m[1]] == "" {
				t.Errorf("%s: %s is not in the table of docs/operations.md", d.path, m[0])
			}
		}
	}
}

// TestDocumentedExitCodes shows that whatever a vendor answers to the first
// request, the exit code is in the table, and which one it is for some.
func TestDocumentedExitCodes(t *testing.T) {
	t.Parallel()
	known := exitCodes(t, "docs/operations.md")
	const never = 0
	for status, want := range map[int]string{
		never: "4", http.StatusBadRequest: "3", http.StatusUnauthorized: "16", http.StatusForbidden: "7", http.StatusNotFound: "9",
		http.StatusRequestTimeout: "4", http.StatusConflict: "6", http.StatusGone: "9", http.StatusTeapot: "3", http.StatusTooManyRequests: "14",
		http.StatusInternalServerError: "14", http.StatusNotImplemented: "12", http.StatusServiceUnavailable: "14", http.StatusOK: "9",
	} {
		t.Run(strings.TrimSpace(strconv.Itoa(status)+" "+http.StatusText(status)), func(t *testing.T) {
			t.Parallel()
			over := make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if status == never {
					<-over
					return
				}
				w.WriteHeader(status)
			}))
			t.Cleanup(func() { close(over); server.Close() })
			env := credentials(server.URL + "/scim/v2")
			if status == never {
				env = append(env, "BATON_HTTP_TIMEOUT_SECONDS=1")
			}
			p := start(t, binary(t, "baton-rudderstack"), env)
			if code := strconv.Itoa(p.wait()); code != want || known[code] == "" {
				t.Errorf("exit code %s, want %s; documented as %q", code, want, known[code])
			}
		})
	}
}

// TestDocsNameTheFieldsOfTheSummary holds the list of fields in
// docs/operations.md against the line that a run ends with.
func TestDocsNameTheFieldsOfTheSummary(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "with the fields ")
	list, _, ends := strings.Cut(after, ". ")
	if !found || !ends {
		t.Fatal("docs/operations.md does not list the fields of the summary")
	}
	told := spans(list)
	slices.Sort(told)
	s := startSite(t, "baton-guru", small)
	run := s.sync(t, nil)
	run.succeeds(t, s.truth())
	var line map[string]any
	if err := json.Unmarshal([]byte(run.lastLine()), &line); err != nil {
		t.Fatalf("the last line is not JSON: %s", run.lastLine())
	}
	for _, usual := range []string{"level", "ts", "caller", "msg"} {
		delete(line, usual)
	}
	if got := slices.Sorted(maps.Keys(line)); !slices.Equal(got, told) {
		t.Errorf("the summary has the fields %v, docs/operations.md lists %v", got, told)
	}
}

// manifest is what is looked at of a Kubernetes object.
type manifest struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name string `yaml:"name"`
	} `yaml:"metadata"`
	StringData map[string]string `yaml:"stringData"`
	Spec       struct {
		Selector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		} `yaml:"selector"`
		Template struct {
			Metadata struct {
				Labels map[string]string `yaml:"labels"`
			} `yaml:"metadata"`
			Spec struct {
				Containers []struct {
					Name    string `yaml:"name"`
					EnvFrom []struct {
						SecretRef struct {
							Name string `yaml:"name"`
						} `yaml:"secretRef"`
					} `yaml:"envFrom"`
					StartupProbe   probe `yaml:"startupProbe"`
					LivenessProbe  probe `yaml:"livenessProbe"`
					ReadinessProbe probe `yaml:"readinessProbe"`
				} `yaml:"containers"`
			} `yaml:"spec"`
		} `yaml:"template"`
	} `yaml:"spec"`
}

type probe struct {
	Exec struct {
		Command []string `yaml:"command"`
	} `yaml:"exec"`
}

// TestManifestsHoldTogether shows that each Deployment of the docs reads the
// Secret beside it, that the Secret has what the connector needs, and that the
// probes run what the image holds.
func TestManifestsHoldTogether(t *testing.T) {
	t.Parallel()
	image, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	required := map[string][]string{
		"baton-rudderstack": {"BATON_CLIENT_ID", "BATON_CLIENT_SECRET", "BATON_RUDDERSTACK_SCIM_BASE_URL", "BATON_RUDDERSTACK_SCIM_TOKEN"},
		"baton-guru":        {"BATON_CLIENT_ID", "BATON_CLIENT_SECRET", "BATON_USER_EMAIL", "BATON_API_TOKEN"},
	}
	deployments := 0
	schemas := connectors(t)
	for _, d := range documents(t) {
		secrets := map[string]bool{}
		for _, b := range d.blocks {
			if b.language != "yaml" || !strings.Contains(b.text, "apiVersion:") {
				continue
			}
			for decoder := yaml.NewDecoder(strings.NewReader(b.text)); ; {
				var m manifest
				if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("%s:%d: %v", d.path, b.line, err)
				}
				switch m.APIVersion + " " + m.Kind {
				case "v1 Secret":
					secrets[m.Metadata.Name] = true
					for _, name := range required[m.Metadata.Name] {
						if m.StringData[name] == "" {
							t.Errorf("%s:%d: the secret lacks %s", d.path, b.line, name)
						}
					}
					for name := range m.StringData {
						if c := schemas[m.Metadata.Name]; c == nil || !c.takes(name) {
							t.Errorf("%s:%d: %s does not read %s", d.path, b.line, m.Metadata.Name, name)
						}
					}
				case "apps/v1 Deployment":
					deployments++
					c := m.Spec.Template.Spec.Containers[0]
					if required[c.Name] == nil || len(c.EnvFrom) != 1 || !secrets[c.EnvFrom[0].SecretRef.Name] {
						t.Errorf("%s:%d: %s does not read the secret above it", d.path, b.line, c.Name)
					}
					for key, value := range m.Spec.Selector.MatchLabels {
						if m.Spec.Template.Metadata.Labels[key] != value {
							t.Errorf("%s:%d: the selector does not find its pods", d.path, b.line)
						}
					}
					for _, p := range []probe{c.LivenessProbe, c.ReadinessProbe} {
						if cmd := p.Exec.Command; len(cmd) > 0 {
							if !strings.Contains(string(image), `ENTRYPOINT ["`+cmd[0]+`"]`) {
								t.Errorf("%s:%d: the image does not hold %s", d.path, b.line, cmd[0])
							}
							// The command must be understood; nothing answers here.
							out, _ := exec.Command(binary(t, c.Name), cmd[1:]...).CombinedOutput()
							if !strings.Contains(string(out), "connect") {
								t.Errorf("%s:%d: %v says %s", d.path, b.line, cmd, out)
							}
						}
					}
				default:
					t.Errorf("%s:%d: unexpected %s %s", d.path, b.line, m.APIVersion, m.Kind)
				}
			}
		}
	}
	if deployments < 3 {
		t.Errorf("found %d deployments", deployments)
	}
}

// schedule is the part of a line of a crontab that says when.
var schedule = regexp.MustCompile(`^([0-9*/,-]+ ){5}`)

// TestUnitsAndCronParse looks at the examples that no parser of ours reads.
func TestUnitsAndCronParse(t *testing.T) {
	t.Parallel()
	known := map[string][]string{
		"Unit":    {"Description", "After", "Wants"},
		"Service": {"ExecStart", "EnvironmentFile", "Environment", "CacheDirectory", "DynamicUser", "ProtectSystem", "ProtectHome", "PrivateTmp", "NoNewPrivileges", "Restart", "RestartSec"},
		"Install": {"WantedBy"},
	}
	units, jobs := 0, 0
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			switch b.language {
			case "ini":
				units++
				section := ""
				for i, line := range strings.Split(strings.TrimSpace(b.text), "\n") {
					key, _, setting := strings.Cut(line, "=")
					switch {
					case line == "" || strings.HasPrefix(line, "#"):
					case strings.HasPrefix(line, "["):
						section = strings.Trim(line, "[]")
						if known[section] == nil {
							t.Errorf("%s:%d: no section %s", d.path, b.line+i, section)
						}
					case !setting || !slices.Contains(known[section], key):
						t.Errorf("%s:%d: not a setting of %s: %s", d.path, b.line+i, section, line)
					}
				}
			case "cron":
				for _, line := range strings.Split(strings.TrimSpace(b.text), "\n") {
					jobs++
					when := schedule.FindString(line)
					if when == "" {
						t.Errorf("%s:%d: no schedule: %s", d.path, b.line, line)
					}
					cmd := exec.Command("sh", "-n", "-c", strings.TrimPrefix(line, when))
					if out, err := cmd.CombinedOutput(); err != nil {
						t.Errorf("%s:%d: %v %s", d.path, b.line, err, out)
					}
				}
			}
		}
	}
	if units == 0 || jobs == 0 {
		t.Errorf("found %d units and %d cron jobs", units, jobs)
	}
}
