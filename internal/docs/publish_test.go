package docs

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/conductorone/baton-connectors/internal/fixture"
)

// Dependabot and readers must see the image that a build starts from. A tag
// alone can point to another image tomorrow.
func TestTheBaseImageIsPinnedAndHasTheToolchainOfGoMod(t *testing.T) {
	t.Parallel()
	toolchain := regexp.MustCompile(`(?m)^toolchain go(\S+)$`).FindStringSubmatch(repoFile(t, "go.mod"))
	if toolchain == nil {
		t.Fatal("go.mod has no toolchain line")
	}
	pinned := regexp.MustCompile(`^golang:` + regexp.QuoteMeta(toolchain[1]) + `-[a-z0-9]+@sha256:[0-9a-f]{64}$`)
	stages := dockerfile(t)
	for name, stage := range stages {
		_, other := stages[stage.from]
		if name == "" || other || stage.from == "scratch" || strings.HasPrefix(stage.from, "${CONNECTOR}") {
			continue
		}
		if !pinned.MatchString(stage.from) {
			t.Errorf("the stage %s starts from %s, want golang:%s-… with a digest", name, stage.from, toolchain[1])
		}
	}
	for _, tag := range regexp.MustCompile(`\bgolang:([0-9.]+)`).FindAllStringSubmatch(repoFile(t, "README.md"), -1) {
		if tag[1] != toolchain[1] {
			t.Errorf("README.md shows the image %s, want golang:%s", tag[0], toolchain[1])
		}
	}
}

// A probe and a compose file call an image's entry point by the connector's
// name.
func TestEveryConnectorHasItsImages(t *testing.T) {
	t.Parallel()
	stages := dockerfile(t)
	for _, connector := range fixture.Connectors(t) {
		for target, want := range map[string]string{
			"image": `["/` + connector + `"]`, "released": `["/` + connector + `"]`,
			"lambda": `["/` + connector + `", "lambda"]`, "released-lambda": `["/` + connector + `", "lambda"]`,
		} {
			base, steps := chain(stages, target, connector)
			if got := (dockerStage{steps: steps}).last("ENTRYPOINT"); base != "scratch" || got != want {
				t.Errorf("%s, target %s: entry point %s on %s, want %s on scratch", connector, target, got, base, want)
			}
		}
	}
}

// A compromised test, linter or build tool must not be able to publish, so the
// job that may publish runs none of them.
func TestOnlyTheJobThatPublishesMayWrite(t *testing.T) {
	t.Parallel()
	var workflow struct {
		Jobs map[string]struct {
			Needs       []string
			Permissions map[string]string
			Steps       []struct{ Run, Uses string }
		}
	}
	if err := yaml.Unmarshal([]byte(repoFile(t, ".github/workflows/release.yml")), &workflow); err != nil {
		t.Fatal(err)
	}
	for name, job := range workflow.Jobs {
		if name != "publish" && !maps.Equal(job.Permissions, map[string]string{"contents": "read"}) {
			t.Errorf("the job %s has the rights %v", name, job.Permissions)
		}
	}
	publish := workflow.Jobs["publish"]
	if !slices.Equal(publish.Needs, []string{"test", "build"}) {
		t.Errorf("publish needs %q", publish.Needs)
	}
	var does []string
	for _, step := range publish.Steps {
		action, _, _ := strings.Cut(step.Uses, "@")
		does = append(does, step.Run+action)
	}
	want := []string{"actions/checkout", "actions/download-artifact", "sigstore/cosign-installer", "make publish", "actions/attest", "actions/attest"}
	if !slices.Equal(does, want) {
		t.Errorf("publish does %q, want %q", does, want)
	}
}

// A user who follows SECURITY.md must accept only the release workflow at a
// tag: no other workflow, no branch, no repository whose name begins the same.
func TestTheDocumentedIdentityIsTheReleaseWorkflowAtATag(t *testing.T) {
	t.Parallel()
	found := regexp.MustCompile(`--certificate-identity-regexp '([^']+)'`).FindAllStringSubmatch(repoFile(t, "SECURITY.md"), -1)
	if len(found) != 2 {
		t.Fatalf("SECURITY.md names %d identities, want one for files and one for images", len(found))
	}
	const workflow = "https://github.com/conductorone/baton-connectors/.github/workflows/"
	for _, match := range found {
		identity := regexp.MustCompile(match[1])
		for subject, want := range map[string]bool{
			workflow + "release.yml@refs/tags/v1.2.3":                                                              true,
			workflow + "release.yml@refs/heads/main":                                                               false,
			workflow + "ci.yml@refs/tags/v1.2.3":                                                                   false,
			workflow + "releasexyml@refs/tags/v1.2.3":                                                              false,
			"https://evil.example/?" + workflow + "release.yml@refs/tags/v1.2.3":                                   false,
			"https://github.com/conductorone/baton-connectors-evil/.github/workflows/release.yml@refs/tags/v1.2.3": false,
		} {
			if got := identity.MatchString(subject); got != want {
				t.Errorf("%s accepts %s: %v", match[1], subject, got)
			}
		}
	}
}

// releaseDir is a copy of the release scripts, with a dist/ as goreleaser
// leaves it and a PATH of tools that only record their calls.
type releaseDir struct {
	dir, log string
	env      []string
}

func newReleaseDir(t *testing.T, version string) *releaseDir {
	t.Helper()
	r := &releaseDir{dir: t.TempDir()}
	r.log = filepath.Join(r.dir, "log")
	for _, script := range []string{"images.sh", "publish.sh"} {
		r.write(t, "scripts/"+script, repoFile(t, "scripts", script))
	}
	var sums strings.Builder
	for _, connector := range fixture.Connectors(t) {
		for _, suffix := range []string{"linux_amd64", "linux_arm64", "linux_amd64_lambda", "linux_arm64_lambda"} {
			name := connector + "_" + version + "_" + suffix + ".tar.gz"
			content := tarball(t, map[string]string{connector: "the binary in " + name, "THIRD_PARTY_LICENSES": "licences", "README.md": ""})
			r.write(t, "dist/"+name, content)
			fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256([]byte(content)), name)
		}
		r.write(t, "dist/images/"+connector+".tar", "")
		r.write(t, "dist/homebrew/Casks/"+connector+".rb", "cask")
	}
	r.write(t, "dist/checksums.txt", sums.String())
	r.write(t, "dist/CHANGELOG.md", "notes")
	record := "#!/bin/sh\necho \"$(basename \"$0\") $*\" >>'" + r.log + "'\n"
	for tool, does := range map[string]string{
		"cosign": "",
		"gh":     "",
		"docker": "case $1 in login) cat >>'" + r.log + "'; echo >>'" + r.log + "' ;; esac\nfor last; do :; done\n[ ! -d \"$last\" ] || (cd \"$last\" && find . -type f | sort) >>'" + r.log + "'\n",
		"skopeo": "while [ $# -gt 0 ]; do [ \"$1\" != --digestfile ] || printf 'sha256:%064d' 7 >\"$2\"; shift; done\n",
		"git":    "case $1 in clone) for last; do :; done; mkdir \"$last\" ;; esac\n",
	} {
		r.write(t, "bin/"+tool, record+does)
		if err := os.Chmod(filepath.Join(r.dir, "bin", tool), 0o755); err != nil { //nolint:gosec // it is run
			t.Fatal(err)
		}
	}
	r.env = []string{
		"PATH=" + filepath.Join(r.dir, "bin") + ":" + os.Getenv("PATH"), "HOME=" + r.dir,
		"GITHUB_REF_NAME=v" + version, "GITHUB_ACTOR=somebody", "GITHUB_TOKEN=the-github-token", "HOMEBREW_TAP_TOKEN=the-tap-token",
	}
	return r
}

func (r *releaseDir) write(t *testing.T, path, text string) {
	t.Helper()
	path = filepath.Join(r.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs a script and returns its output and its calls of tools.
func (r *releaseDir) run(t *testing.T, script string) (output string, calls []string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "scripts/"+script)
	cmd.Dir, cmd.Env = r.dir, r.env
	out, err := cmd.CombinedOutput()
	log, readErr := os.ReadFile(r.log)
	if readErr != nil && !os.IsNotExist(readErr) {
		t.Fatal(readErr)
	}
	if text := strings.TrimSpace(string(log)); text != "" {
		calls = strings.Split(text, "\n")
	}
	return string(out), calls, err
}

func tarball(t *testing.T, files map[string]string) string {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	archive := tar.NewWriter(zip)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(files[name]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// For each processor, an image must run the binary that the release publishes.
func TestReleaseImagesAreBuiltFromTheReleasedArchives(t *testing.T) {
	t.Parallel()
	r := newReleaseDir(t, "1.2.3")
	out, calls, err := r.run(t, "images.sh")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	log := strings.Join(calls, "\n")
	for _, connector := range fixture.Connectors(t) {
		for suffix, target := range map[string]string{"": "released", "-lambda": "released-lambda"} {
			for _, want := range []string{
				"--target " + target + " --platform linux/amd64,linux/arm64",
				"--build-arg CONNECTOR=" + connector + " --build-arg VERSION=1.2.3",
				"type=oci,dest=dist/images/" + connector + suffix + ".tar ",
				"\n./THIRD_PARTY_LICENSES\n./linux/amd64/" + connector + "\n",
				"\n./linux/arm64/" + connector + "\n",
			} {
				if !strings.Contains(log+"\n", want) {
					t.Errorf("%s%s: docker is not given %q:\n%s", connector, suffix, want, log)
				}
			}
		}
	}
	if strings.Contains(log, "push") {
		t.Errorf("building an image pushes it:\n%s", log)
	}
}

// The release must sign and upload exactly the files that were built.
func TestPublishingUploadsExactlyWhatWasBuilt(t *testing.T) {
	t.Parallel()
	r := newReleaseDir(t, "1.2.3")
	out, calls, err := r.run(t, "publish.sh")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	log := strings.Join(calls, "\n")
	digest := fmt.Sprintf("sha256:%064d", 7)
	for _, want := range []string{
		"cosign sign-blob --yes --bundle checksums.txt.sigstore.json checksums.txt",
		"docker login ghcr.io --username somebody --password-stdin\nthe-github-token",
		"oci-archive:images/baton-guru.tar docker://ghcr.io/conductorone/baton-guru:1.2.3",
		"cosign sign --yes ghcr.io/conductorone/baton-guru@" + digest,
		"docker://ghcr.io/conductorone/baton-guru@" + digest + " docker://ghcr.io/conductorone/baton-guru:latest",
		"gh release create v1.2.3 --verify-tag",
		"baton-guru_1.2.3_linux_arm64_lambda.tar.gz",
		"checksums.txt checksums.txt.sigstore.json",
		"git -C tap push",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("nothing does %q:\n%s", want, log)
		}
	}
	if strings.Contains(log, "the-tap-token") || strings.Contains(out, "-token") {
		t.Errorf("a token is an argument or printed:\n%s\n%s", log, out)
	}
	digests, err := os.ReadFile(filepath.Join(r.dir, "dist", "digests.txt"))
	if want := strings.TrimPrefix(digest, "sha256:") + "  ghcr.io/conductorone/baton-guru\n"; err != nil || !strings.Contains(string(digests), want) {
		t.Errorf("digests.txt holds %q, %v", digests, err)
	}
}

// A pre-release is only for users who ask for it by name.
func TestAPreReleaseIsNotTheLatest(t *testing.T) {
	t.Parallel()
	r := newReleaseDir(t, "1.2.3-rc.1")
	out, calls, err := r.run(t, "publish.sh")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	log := strings.Join(calls, "\n")
	if !strings.Contains(log, "--notes-file CHANGELOG.md --prerelease ") || strings.Contains(log, ":latest") || strings.Contains(log, "git ") {
		t.Errorf("a pre-release does this:\n%s", log)
	}
}

// The release signs nothing if the build was changed on the way or has another
// version than the tag.
func TestPublishingRefusesWhatWasNotBuiltForTheTag(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(r *releaseDir){
		"a file was changed": func(r *releaseDir) { r.write(t, "dist/baton-guru_1.2.3_linux_amd64.tar.gz", "other") },
		"a file is missing": func(r *releaseDir) {
			_ = os.Remove(filepath.Join(r.dir, "dist", "baton-guru_1.2.3_linux_amd64.tar.gz"))
		},
		"the tag is another": func(r *releaseDir) { r.env = append(r.env, "GITHUB_REF_NAME=v1.2.4") },
		"nothing was built":  func(r *releaseDir) { r.write(t, "dist/checksums.txt", "") },
		"there is no tag set": func(r *releaseDir) {
			r.env = slices.DeleteFunc(r.env, func(s string) bool { return strings.HasPrefix(s, "GITHUB_REF_NAME=") })
		},
	} {
		r := newReleaseDir(t, "1.2.3")
		change(r)
		if out, calls, err := r.run(t, "publish.sh"); err == nil || len(calls) > 0 {
			t.Errorf("%s: %v, and it did %q\n%s", name, err, calls, out)
		}
	}
}
