package docs

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// TestPublishedPages checks the two pages of C1's documentation against the
// rules of that site: front matter, known elements, no code.
func TestPublishedPages(t *testing.T) {
	t.Parallel()
	allowed := strings.Fields("Card Check Frame Icon Info Note Step Steps Tab Tabs Tip Warning")
	element := regexp.MustCompile(`<(/?)([A-Za-z][A-Za-z0-9]*)[^>]*?(/?)>`)
	found := 0
	for _, d := range documents(t) {
		if !strings.HasSuffix(d.path, ".mdx") {
			continue
		}
		found++
		parts := strings.SplitN(d.text, "---\n", 3)
		if len(parts) != 3 || parts[0] != "" {
			t.Fatalf("%s has no front matter", d.path)
		}
		var front map[string]string
		if err := yaml.Unmarshal([]byte(parts[1]), &front); err != nil {
			t.Fatalf("%s: front matter: %v", d.path, err)
		}
		for _, key := range []string{"title", "og:title", "description", "og:description", "sidebarTitle"} {
			if front[key] == "" {
				t.Errorf("%s: the front matter lacks %s", d.path, key)
			}
		}
		name := front["sidebarTitle"]
		fixed := regexp.MustCompile(`^C1 provides identity governance for ` + name + `\. Integrate your ` + name + ` (organization|team) with C1 for unified visibility and governance over user access\.$`)
		if !fixed.MatchString(front["description"]) || front["og:description"] != front["description"] || front["title"] != "Set up a "+name+" connector" || front["og:title"] != front["title"] {
			t.Errorf("%s: the front matter differs from that of C1's other connector pages: %v", d.path, front)
		}
		for words, times := range map[string]int{
			"**Apps** > **Connectors**": 2, "**Integrations** > **Connectors**": 2, "    **Done.** ": 2,
			"    ### Step 1: ": 1, "    ### Step 2: ": 1, "    ### Step 3: ": 1, "```yaml expandable": 2,
		} {
			if found := strings.Count(parts[2], words); found != times {
				t.Errorf("%s has %q %d times, want %d", d.path, words, found, times)
			}
		}
		prose := codeSpan.ReplaceAllString(document{text: parts[2]}.prose(), "")
		if strings.ContainsAny(prose, "{}") || regexp.MustCompile(`(?m)^(import|export) `).MatchString(prose) {
			t.Errorf("%s holds code outside a code block", d.path)
		}
		var open []string
		for _, m := range element.FindAllStringSubmatch(prose, -1) {
			switch name := m[2]; {
			case !slices.Contains(allowed, name):
				t.Errorf("%s uses <%s>", d.path, name)
			case m[3] == "/":
			case m[1] == "":
				open = append(open, name)
			case len(open) == 0 || open[len(open)-1] != name:
				t.Errorf("%s closes <%s>, which is not what is open: %v", d.path, name, open)
			default:
				open = open[:len(open)-1]
			}
		}
		if len(open) > 0 {
			t.Errorf("%s leaves open %v", d.path, open)
		}
	}
	if found != 2 {
		t.Errorf("found %d pages, not 2", found)
	}
}
