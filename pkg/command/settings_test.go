package command

import (
	"strings"
	"testing"

	"github.com/spf13/viper"

	"github.com/conductorone/baton-connectors/pkg/connector"
)

// C1 sends a Lambda function its settings as JSON. A credential of another type
// must not stand in the error, which goes into AWS's log.
func TestACredentialOfAnotherTypeIsNotPrinted(t *testing.T) {
	t.Setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1")
	p := &program[*testConfig]{info: connector.Info{Name: "baton-test"}, schema: testSchema}
	for name, value := range map[string]any{"number": 12345, "list": []any{"12345"}, "object": map[string]any{"12345": true}} {
		v := viper.New()
		v.Set("base-url", "https://api.example.com")
		v.Set("api-token", value)
		_, err := p.serviceConfiguration(v)
		if err == nil {
			t.Fatalf("%s: it was taken", name)
		}
		if text := err.Error(); strings.Contains(text, "12345") || !strings.Contains(text, "--api-token (BATON_API_TOKEN) must be a string") {
			t.Errorf("%s: it says %s", name, text)
		}
	}
}
