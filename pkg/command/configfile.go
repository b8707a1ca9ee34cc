package command

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

// configPathEnv names the configuration file; without it, .baton.yaml or
// .baton.yml in the working directory is read if it is there.
const configPathEnv = "BATON_CONFIG_PATH"

// checkConfigPath refuses a name that the SDK would refuse without saying
// whose name it is.
func checkConfigPath(path string) error {
	if ext := filepath.Ext(path); path != "" && ext != ".yaml" && ext != ".yml" {
		return fmt.Errorf("%s: the configuration file %s must end in .yaml or .yml", configPathEnv, path)
	}
	return nil
}

// checkConfigFile reports what the SDK passes over in silence: a file that is
// missing or cannot be read, that is not YAML, or that holds keys which mean
// nothing. asked is the value of BATON_CONFIG_PATH, used the file that the SDK
// has settled on, and known says which keys mean something. The message holds
// no value of the file, which may be a secret.
func checkConfigFile(asked, used string, known func(key string) bool, own []string) error {
	path := used
	if asked != "" {
		path = asked
		info, err := os.Stat(asked)
		switch {
		case err != nil:
			return fmt.Errorf("%s: cannot read the configuration file: %w", configPathEnv, err)
		case info.IsDir():
			return fmt.Errorf("%s: the configuration file %s is a directory", configPathEnv, asked)
		}
		// The SDK drops the extension and takes the first file of that name
		// with any extension that it knows, .json before .yaml.
		if other, err := os.Stat(used); err != nil || !os.SameFile(info, other) {
			return fmt.Errorf("%s: %s is there too and would be read instead of %s; rename one of them", configPathEnv, used, asked)
		}
	}
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path) //nolint:gosec // the user's own file
	if err != nil {
		return fmt.Errorf("cannot read the configuration file: %w", err)
	}
	fault := func(format string, args ...any) error {
		return fmt.Errorf("the configuration file %s %s", path, fmt.Sprintf(format, args...))
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return fault("is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(document.Content) == 0 {
		return nil // empty
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return fault("does not hold settings: write one \"key: value\" a line")
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		node := root.Content[i]
		key := strings.ToLower(node.Value)
		switch first, twice := seen[key]; {
		case twice:
			return fault("line %d: %s is there already in line %d", node.Line, node.Value, first)
		case !known(key):
			hint := ""
			if right := nearest(key, known, own); right != "" {
				hint = "; write " + right
			}
			return fault("line %d: %s is not a setting%s", node.Line, node.Value, hint)
		}
		seen[key] = node.Line
	}
	// Whatever else keeps the SDK from reading it.
	var settings map[string]any
	if err := yaml.Unmarshal(text, &settings); err != nil {
		return fault("cannot be read as settings: a key or a value is of the wrong kind")
	}
	return nil
}

// nearest is the setting that a wrong key most likely means, or nothing: the
// same words in another spelling, or one of the connector's own names with a
// slip of the pen in it.
func nearest(key string, known func(string) bool, own []string) string {
	kebab := strings.NewReplacer("_", "-", " ", "-", ".", "-").Replace(key)
	for _, candidate := range []string{kebab, strings.TrimPrefix(kebab, "baton-")} {
		if known(candidate) {
			return candidate
		}
	}
	best, bestDistance := "", 3
	for _, name := range own {
		if d := distance(strings.ReplaceAll(kebab, "-", ""), strings.ReplaceAll(name, "-", "")); d < bestDistance {
			best, bestDistance = name, d
		}
	}
	return best
}

// distance is how many letters must be put in, taken out or changed to turn
// one word into the other (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
