package docs

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// deployFiles returns the files in deploy/ that match a pattern, by their paths
// from the top of the repository. Each connector must have one.
func deployFiles(t *testing.T, pattern string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, connector := range fixture.Connectors(t) {
		path := strings.ReplaceAll(pattern, "*", connector)
		out[path] = repoFile(t, path)
	}
	return out
}

// settings returns the variables that a connector needs to run.
func (s *schema) settings() []string {
	var out []string
	for _, f := range s.own {
		if f.Required {
			out = append(out, rest.Setting(f.FieldName).Env())
		}
	}
	return out
}

// required returns the variables that a connector needs to run as a service.
func (s *schema) required() []string {
	return append([]string{"BATON_CLIENT_ID", "BATON_CLIENT_SECRET"}, s.settings()...)
}

// checkService fails the test unless a service gets everything that the
// connector requires and nothing that it does not read.
func (s *schema) checkService(t *testing.T, place string, given []string) {
	t.Helper()
	for _, name := range s.required() {
		if !slices.Contains(given, name) {
			t.Errorf("%s: %s is not given %s", place, s.name, name)
		}
	}
	for _, name := range given {
		if !s.takes(name) {
			t.Errorf("%s: %s does not read %s", place, s.name, name)
		}
	}
}

// checkProbe fails the test unless a probe runs a binary in the image, with
// flags that it knows.
func (s *schema) checkProbe(t *testing.T, place string, command []string) {
	t.Helper()
	if len(command) < 2 || command[0] != "/"+s.name {
		t.Errorf("%s: the image of %s has no %q", place, s.name, command)
		return
	}
	// No server answers here, and the connector must say so.
	if out, _ := exec.CommandContext(t.Context(), fixture.Binary(t, s.name), command[1:]...).CombinedOutput(); !bytes.Contains(out, []byte("connect")) {
		t.Errorf("%s: %q says %s", place, command, out)
	}
}

// manifest holds the fields of a Kubernetes object that the tests check.
type manifest struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name   string            `yaml:"name"`
		Labels map[string]string `yaml:"labels"`
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
					Image   string `yaml:"image"`
					EnvFrom []struct {
						SecretRef struct {
							Name string `yaml:"name"`
						} `yaml:"secretRef"`
					} `yaml:"envFrom"`
					Env []struct {
						Name string `yaml:"name"`
					} `yaml:"env"`
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

// TestManifestsHoldTogether checks each Deployment in deploy/ and on the pages
// for C1: it reads the Secret beside it, gets what the connector needs, has the
// labels of C1's own pages, and its probes run what the image holds.
func TestManifestsHoldTogether(t *testing.T) {
	t.Parallel()
	schemas := connectors(t)
	texts := deployFiles(t, "deploy/kubernetes/*.yaml")
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			if b.language == "yaml" && strings.Contains(b.text, "apiVersion:") {
				texts[d.path] += b.text + "---\n"
			}
		}
	}
	deployments := 0
	for path, text := range texts {
		secrets := map[string][]string{}
		for decoder := yaml.NewDecoder(strings.NewReader(text)); ; {
			var m manifest
			if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			switch m.APIVersion + " " + m.Kind {
			case " ": // the end of a block
			case "v1 Secret":
				secrets[m.Metadata.Name] = slices.Collect(maps.Keys(m.StringData))
			case "apps/v1 Deployment":
				deployments++
				c := m.Spec.Template.Spec.Containers[0]
				s := schemas[c.Name]
				if s == nil || c.Image != "ghcr.io/conductorone/"+c.Name+":latest" || len(c.EnvFrom) != 1 || c.EnvFrom[0].SecretRef.Name != c.Name+"-secrets" {
					t.Fatalf("%s: the container %s runs %s with %v", path, c.Name, c.Image, c.EnvFrom)
				}
				given := slices.Clone(secrets[c.Name+"-secrets"])
				for _, env := range c.Env {
					given = append(given, env.Name)
				}
				s.checkService(t, path, given)
				if !slices.Contains(given, "BATON_HOST_ID") {
					t.Errorf("%s: without BATON_HOST_ID each pod has another name in C1", path)
				}
				labels := map[string]string{"baton": "true", "baton-app": strings.TrimPrefix(c.Name, "baton-")}
				if !maps.Equal(m.Metadata.Labels, labels) || !maps.Equal(m.Spec.Selector.MatchLabels, labels) || !maps.Equal(m.Spec.Template.Metadata.Labels, labels) {
					t.Errorf("%s: the labels are %v, %v and %v, want %v", path, m.Metadata.Labels, m.Spec.Selector.MatchLabels, m.Spec.Template.Metadata.Labels, labels)
				}
				for _, p := range []probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
					if len(p.Exec.Command) > 0 {
						s.checkProbe(t, path, p.Exec.Command)
					}
				}
			default:
				t.Errorf("%s: unexpected %s %s", path, m.APIVersion, m.Kind)
			}
		}
	}
	if want := 2 * len(schemas); deployments != want {
		t.Errorf("found %d deployments, want %d", deployments, want)
	}
}

// TestComposeFileRunsEveryConnector compares deploy/compose.yaml and its
// example settings with the connectors.
func TestComposeFileRunsEveryConnector(t *testing.T) {
	t.Parallel()
	schemas := connectors(t)
	var compose struct {
		Services map[string]struct {
			Image       string
			EnvFile     string `yaml:"env_file"`
			Environment map[string]string
			ReadOnly    bool `yaml:"read_only"`
			HealthCheck struct{ Test []string }
			Volumes     []string
		}
		Volumes map[string]any
	}
	if err := yaml.Unmarshal([]byte(repoFile(t, "deploy", "compose.yaml")), &compose); err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(compose.Services)); !slices.Equal(got, fixture.Connectors(t)) {
		t.Fatalf("compose.yaml runs %q", got)
	}
	for name, service := range compose.Services {
		if service.Image != "ghcr.io/conductorone/"+name+":latest" || service.EnvFile != name+".env" || !service.ReadOnly {
			t.Errorf("%s: %+v", name, service)
		}
		given := slices.Collect(maps.Keys(service.Environment))
		for line := range strings.Lines(repoFile(t, "deploy", service.EnvFile+".example")) {
			if variable, _, found := strings.Cut(line, "="); found && !strings.HasPrefix(line, "#") {
				given = append(given, variable)
			}
		}
		schemas[name].checkService(t, "compose.yaml", given)
		if test := service.HealthCheck.Test; len(test) == 0 || test[0] != "CMD" {
			t.Errorf("%s: the health check is %q", name, test)
		} else {
			schemas[name].checkProbe(t, "compose.yaml", test[1:])
		}
		for _, mounted := range service.Volumes {
			volume, _, _ := strings.Cut(mounted, ":")
			if _, found := compose.Volumes[volume]; !found {
				t.Errorf("%s: there is no volume %s", name, volume)
			}
		}
	}
}

// TestUnitsRunTheirConnectors checks the systemd units, which this project has
// no parser for: their sections and settings are known, and each runs its
// connector with variables that the connector reads.
func TestUnitsRunTheirConnectors(t *testing.T) {
	t.Parallel()
	known := map[string]string{
		"Unit": "Description Documentation After Wants",
		"Service": "ExecStart EnvironmentFile Environment CacheDirectory DynamicUser ProtectSystem ProtectHome PrivateTmp PrivateDevices " +
			"NoNewPrivileges CapabilityBoundingSet RestrictAddressFamilies MemoryMax Restart RestartSec",
		"Install": "WantedBy",
	}
	schemas := connectors(t)
	for path, text := range deployFiles(t, "deploy/systemd/*.service") {
		name := strings.TrimSuffix(filepath.Base(path), ".service")
		section, settings := "", map[string]string{}
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			key, value, setting := strings.Cut(line, "=")
			switch {
			case line == "" || strings.HasPrefix(line, "#"):
			case strings.HasPrefix(line, "["):
				section = strings.Trim(line, "[]")
			case !setting || !slices.Contains(strings.Fields(known[section]), key):
				t.Errorf("%s: not a setting of [%s]: %s", path, section, line)
			default:
				settings[key] = value
			}
		}
		if settings["ExecStart"] != "/usr/local/bin/"+name || settings["EnvironmentFile"] != "/etc/baton/"+name+".env" || settings["CacheDirectory"] != name {
			t.Errorf("%s: %v", path, settings)
		}
		for pair := range strings.FieldsSeq(settings["Environment"]) {
			if variable, _, _ := strings.Cut(pair, "="); !schemas[name].takes(variable) {
				t.Errorf("%s: %s does not read %s", path, name, variable)
			}
		}
	}
}

// schedule matches the time fields of a crontab line.
var schedule = regexp.MustCompile(`^([0-9*/,-]+ ){5}`)

// TestCronJobsParse checks the crontab lines on the pages.
func TestCronJobsParse(t *testing.T) {
	t.Parallel()
	jobs := 0
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			if b.language != "cron" {
				continue
			}
			for line := range strings.Lines(b.text) {
				jobs++
				when := schedule.FindString(line)
				if when == "" {
					t.Errorf("%s:%d: no schedule: %s", d.path, b.line, line)
				}
				if err := shellSyntax(strings.TrimPrefix(line, when)); err != nil {
					t.Errorf("%s:%d: %v", d.path, b.line, err)
				}
			}
		}
	}
	if jobs == 0 {
		t.Error("no page shows a cron job")
	}
}
