// Command gen writes conf.gen.go into the working directory.
package main

import (
	"go/format"
	"log"
	"os"

	"github.com/conductorone/baton-sdk/pkg/config"

	cfg "github.com/conductorone/baton-connectors/pkg/rudderstack/config"
)

func main() {
	config.Generate("rudderstack", cfg.Config)
	// The SDK's output is not as gofmt would have it.
	const name = "conf.gen.go"
	source, err := os.ReadFile(name)
	if err != nil {
		log.Fatal(err)
	}
	formatted, err := format.Source(source)
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(name, formatted, 0o644); err != nil { //nolint:gosec // source code is for all to read
		log.Fatal(err)
	}
}
