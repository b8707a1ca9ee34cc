package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/conductorone/baton-connectors/"

const sdk = "github.com/conductorone/baton-sdk/"

// layer lists the packages that the package of a path may import. An entry that
// ends in / stands for all packages below it.
type layer struct {
	// allowed lists packages of this module and of others; all others are
	// forbidden.
	allowed []string
	// forbidden lists packages of the standard library; all others are allowed.
	forbidden []string
}

var (
	// logs are the packages for logs and for errors with a gRPC code.
	logs = []string{
		"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap", "go.uber.org/zap",
		"google.golang.org/grpc/codes", "google.golang.org/grpc/status",
	}
	// clients are the packages that could send a request without pkg/rest.
	clients = []string{
		"crypto/tls", "log/syslog", "net/http/", "net/rpc", "net/rpc/", "net/smtp", "net/textproto", "os/exec", "plugin", "syscall", "unsafe",
	}
	// tests are the packages that only tests may import.
	tests = []string{"testing", "testing/", "net/http/httptest"}
)

// layers are the import rules of the design. Only pkg/rest may import the SDK's
// HTTP client, uhttp.
var layers = map[string]layer{
	"pkg/directory": {forbidden: slices.Concat(clients, []string{"net/http", "net", "os"})},
	"pkg/rest": {
		allowed:   slices.Concat(logs, []string{sdk + "pkg/uhttp", sdk + "pb/c1/connector/v2", "google.golang.org/protobuf/types/known/timestamppb"}),
		forbidden: []string{"os/exec", "unsafe"}, // it may import os for the proxy of the environment
	},
	"pkg/connector": {
		allowed: slices.Concat(logs, []string{
			module + "pkg/directory",
			sdk + "pb/", sdk + "pkg/annotations", sdk + "pkg/connectorbuilder",
			sdk + "pkg/types/entitlement", sdk + "pkg/types/grant", sdk + "pkg/types/resource",
			"google.golang.org/protobuf/",
		}),
		forbidden: slices.Concat(clients, []string{"net/http", "net"}),
	},
	"pkg/command": {
		allowed: slices.Concat(logs, []string{
			module + "pkg/connector", module + "pkg/directory", module + "pkg/rest",
			sdk + "pb/", sdk + "pkg/bid", sdk + "pkg/cli", sdk + "pkg/config", sdk + "pkg/connectorbuilder", sdk + "pkg/connectorclient",
			sdk + "pkg/connectorrunner", sdk + "pkg/crypto", sdk + "pkg/connectorstore", sdk + "pkg/dotc1z", sdk + "pkg/dotc1z/", sdk + "pkg/field",
			sdk + "pkg/logging", sdk + "pkg/sdk", sdk + "pkg/sync", sdk + "pkg/tempdir", sdk + "pkg/types", sdk + "pkg/ugrpc", sdk + "pkg/uotel",
			"github.com/grpc-ecosystem/go-grpc-middleware/validator", "go.uber.org/zap/zapcore",
			"google.golang.org/grpc", "google.golang.org/grpc/", "google.golang.org/protobuf/",
			"github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/spf13/viper", "gopkg.in/yaml.v3", "github.com/agext/levenshtein",
			"github.com/vbauerster/mpb/v8", "github.com/vbauerster/mpb/v8/decor", "golang.org/x/term",
			"github.com/KimMachineGun/automemlimit/memlimit", "github.com/shirou/gopsutil/v4/disk", "github.com/cockroachdb/pebble/v2/vfs",
		}),
		forbidden: []string{"net/http", "unsafe"},
	},
	"cmd": {allowed: []string{module + "pkg/"}, forbidden: []string{"net/http", "net"}},
}

// layerOf returns the import rules of a package. A vendor's package has a
// config package below it.
func layerOf(path string, packages []listed) (layer, bool) {
	if name, found := strings.CutPrefix(path, "cmd/"); found && !strings.Contains(name, "/") {
		path = "cmd"
	}
	if vendor, _, found := strings.Cut(path, "/config"); found { // a schema and its generator
		return layer{allowed: []string{sdk + "pkg/field", sdk + "pkg/config", module + vendor + "/config"}, forbidden: clients}, true
	}
	if slices.ContainsFunc(packages, func(p listed) bool { return p.ImportPath == module+path+"/config" }) {
		return layer{
			allowed:   slices.Concat(logs, []string{module + "pkg/directory", module + "pkg/rest", module + path + "/config"}),
			forbidden: slices.Concat(clients, []string{"net", "os"}),
		}, true
	}
	rules, known := layers[path]
	return rules, known
}

// TestPackagesImportWhatTheirLayerAllows checks that no package imports what
// the design forbids, directly or through another package of this module. Above
// all, only pkg/rest can send a request.
func TestPackagesImportWhatTheirLayerAllows(t *testing.T) {
	t.Parallel()
	packages := goList(t, "../../pkg/...", "../../cmd/...")
	seen := map[string]bool{}
	for _, p := range packages {
		path := strings.TrimPrefix(p.ImportPath, module)
		rules, known := layerOf(path, packages)
		if !known {
			t.Errorf("%s has no import rules: add it to layers", path)
			continue
		}
		seen[path] = true
		for _, imported := range p.Imports {
			if standard(imported) && within(imported, slices.Concat(rules.forbidden, tests)) || !standard(imported) && !within(imported, rules.allowed) {
				t.Errorf("%s imports %s", path, imported)
			}
		}
		if strings.HasPrefix(path, "cmd/") {
			continue // it joins all layers
		}
		for _, below := range reached(packages, p) {
			for _, imported := range below.Imports {
				if standard(imported) && within(imported, rules.forbidden) {
					t.Errorf("%s reaches %s through %s", path, imported, below.ImportPath)
				}
			}
		}
	}
	for path := range layers {
		if path != "cmd" && !seen[path] {
			t.Errorf("layers has %s, which is not in the module", path)
		}
	}
}

// reached returns the packages of this module that a package imports, directly
// or not, without pkg/rest and its imports.
func reached(packages []listed, from listed) []listed {
	var out []listed
	for _, p := range packages {
		if p.ImportPath == module+"pkg/rest" || !slices.Contains(from.Imports, p.ImportPath) {
			continue
		}
		out = append(append(out, p), reached(packages, p)...)
	}
	return out
}

// TestShippedCodeHasNoSimulator checks that the binaries link no package made
// for tests.
func TestShippedCodeHasNoSimulator(t *testing.T) {
	t.Parallel()
	for _, p := range goList(t, "-deps", "../../cmd/...") {
		if strings.HasPrefix(p.ImportPath, module+"internal/") || strings.Contains(p.ImportPath, "elimity-com") {
			t.Errorf("the binaries link %s", p.ImportPath)
		}
	}
}

func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func within(path string, list []string) bool {
	return slices.ContainsFunc(list, func(entry string) bool {
		return path == entry || strings.HasSuffix(entry, "/") && strings.HasPrefix(path, entry)
	})
}

type listed struct {
	ImportPath string
	Imports    []string
}

func goList(t *testing.T, args ...string) []listed {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports"}, args...)...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
