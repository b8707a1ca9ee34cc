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

// room is what the packages below a path may import of this module and of
// others; what is not listed is forbidden. Entries that end in / stand for
// all below them. The standard library is open to all but for closed.
type room struct {
	may    []string
	closed []string
}

const sdk = "github.com/conductorone/baton-sdk/"

// noClient closes the ways around pkg/rest.
var noClient = []string{
	"crypto/tls", "log/syslog", "net/http/", "net/rpc", "net/rpc/", "net/smtp", "net/textproto", "os/exec", "plugin", "syscall", "unsafe",
}

var rooms = map[string]room{
	"pkg/directory": {closed: append(noClient, "net/http", "net", "os")},
	"pkg/rest": {
		may: []string{
			sdk + "pkg/uhttp", sdk + "pb/c1/connector/v2",
			"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap", "go.uber.org/zap",
			"google.golang.org/grpc/codes", "google.golang.org/grpc/status", "google.golang.org/protobuf/types/known/timestamppb",
		},
		closed: []string{"os/exec", "unsafe"}, // os: it checks the proxy of the environment
	},
	"pkg/connector": {
		may: []string{
			module + "pkg/directory", sdk,
			"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap", "go.uber.org/zap",
			"google.golang.org/grpc/codes", "google.golang.org/grpc/status", "google.golang.org/protobuf/",
		},
		closed: append(noClient, "net/http", "net"),
	},
	"pkg/rudderstack": vendorRoom("rudderstack"),
	"pkg/guru":        vendorRoom("guru"),
	"pkg/command": {
		may: []string{
			module + "pkg/connector", module + "pkg/directory", module + "pkg/rest", sdk,
			"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap", "go.uber.org/zap", "go.uber.org/zap/zapcore", "gopkg.in/yaml.v3",
			"github.com/grpc-ecosystem/go-grpc-middleware/validator", "google.golang.org/grpc", "google.golang.org/grpc/", "google.golang.org/protobuf/",
			"github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/spf13/viper", "github.com/agext/levenshtein",
			"github.com/vbauerster/mpb/v8", "github.com/vbauerster/mpb/v8/decor", "golang.org/x/term",
			"github.com/KimMachineGun/automemlimit/memlimit", "github.com/shirou/gopsutil/v4/disk",
		},
		closed: []string{"net/http", "unsafe"},
	},
	"cmd": {may: []string{module + "pkg/"}, closed: []string{"net/http", "net"}},
}

func vendorRoom(name string) room {
	return room{
		may: []string{
			module + "pkg/directory", module + "pkg/rest", module + "pkg/" + name + "/config",
			"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap", "go.uber.org/zap",
			"google.golang.org/grpc/codes", "google.golang.org/grpc/status",
		},
		closed: append(noClient, "net", "os"),
	}
}

// TestRoomsKeepTheirWalls shows that no package imports what its place in the
// design forbids, neither by itself nor through another of this module: above
// all, that nothing but pkg/rest can send a request.
func TestRoomsKeepTheirWalls(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	packages := goList(t, "../../pkg/...", "../../cmd/...")
	for _, p := range packages {
		path := strings.TrimPrefix(p.ImportPath, module)
		if strings.Contains(path+"/", "/config/") { // a schema and its generator
			for _, imported := range p.Imports {
				if !within(imported, []string{sdk + "pkg/field", sdk + "pkg/config", module + strings.TrimSuffix(path, "/gen")}) && !standard(imported) {
					t.Errorf("%s imports %s", path, imported)
				}
			}
			continue
		}
		name := path
		if strings.HasPrefix(path, "cmd/") {
			name = "cmd"
		}
		r, known := rooms[name]
		if !known {
			t.Errorf("%s is not in the table of rooms", path)
		}
		seen[name] = true
		for _, imported := range p.Imports {
			if standard(imported) && within(imported, r.closed) || !standard(imported) && !within(imported, r.may) {
				t.Errorf("%s imports %s", path, imported)
			}
		}
		if name == "cmd" {
			continue // it puts together what does the work
		}
		for _, below := range reached(packages, p) {
			for _, imported := range below.Imports {
				if standard(imported) && within(imported, r.closed) {
					t.Errorf("%s reaches %s through %s", path, imported, below.ImportPath)
				}
			}
		}
	}
	for name := range rooms {
		if !seen[name] {
			t.Errorf("%s is in the table of rooms but not in the module", name)
		}
	}
}

// reached are those packages that one imports, directly or not. What pkg/rest
// imports is not among them: it is the one door.
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

// TestShippedCodeHasNoSimulator shows that nothing made for tests is linked
// into the binaries.
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
