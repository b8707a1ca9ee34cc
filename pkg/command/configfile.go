package command

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

// configPathEnv names the configuration file. Without it the SDK reads .baton.yaml
// or .baton.yml in the working directory, if there is one.
const configPathEnv = "BATON_CONFIG_PATH"

// checkConfigPath refuses a name that the SDK would refuse without naming the
// variable.
func checkConfigPath(path string) error {
	if ext := filepath.Ext(path); path != "" && ext != ".yaml" && ext != ".yml" {
		return fmt.Errorf("%s: the configuration file %s must end in .yaml or .yml", configPathEnv, path)
	}
	return nil
}

// checkConfigFile fails if the file has a fault that the SDK ignores: the file
// is missing, cannot be read or is not YAML, or a key is not a setting. asked
// is the value of BATON_CONFIG_PATH, used the file that the SDK reads. The
// error holds no value of the file, which may be a secret.
func checkConfigFile(asked, used string, settings *flags) error {
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
		// The SDK ignores the extension and reads the first file of that name
		// with an extension that it knows, .json before .yaml.
		if other, err := os.Stat(used); err != nil || !os.SameFile(info, other) {
			return fmt.Errorf("%s: %s exists too, and would be read instead of %s; rename one of them", configPathEnv, used, asked)
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
		return fault("has no settings: write one \"key: value\" per line")
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		node := root.Content[i]
		key := strings.ToLower(node.Value)
		switch first, twice := seen[key]; {
		case twice:
			return fault("line %d: %s is already set in line %d", node.Line, node.Value, first)
		case !settings.known(key):
			hint := ""
			if right := settings.nearest(key); right != "" {
				hint = "; write " + right
			}
			return fault("line %d: %s is not a setting%s", node.Line, node.Value, hint)
		}
		seen[key] = node.Line
	}
	// The SDK could not read it for another reason.
	var values map[string]any
	if err := yaml.Unmarshal(text, &values); err != nil {
		return fault("cannot be read as settings: a key or a value is of the wrong kind")
	}
	return nil
}
