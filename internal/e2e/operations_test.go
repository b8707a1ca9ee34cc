package e2e

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

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

// TestUnitsAndCronParse looks at the examples that no parser of ours reads.
func TestUnitsAndCronParse(t *testing.T) {
	t.Parallel()
	known := map[string][]string{
		"Unit":    {"Description", "After", "Wants"},
		"Service": {"ExecStart", "EnvironmentFile", "Environment", "CacheDirectory", "DynamicUser", "ProtectSystem", "ProtectHome", "PrivateTmp", "NoNewPrivileges", "Restart", "RestartSec"},
		"Install": {"WantedBy"},
	}
	schedule := regexp.MustCompile(`^([0-9*/,-]+ ){5}`)
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
