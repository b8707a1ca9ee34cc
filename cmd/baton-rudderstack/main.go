// Command baton-rudderstack reads RudderStack's users, groups and group memberships
// for ConductorOne.
package main

import (
	"github.com/conductorone/baton-connectors/pkg/command"
	"github.com/conductorone/baton-connectors/pkg/connector"
	"github.com/conductorone/baton-connectors/pkg/rudderstack"
	"github.com/conductorone/baton-connectors/pkg/rudderstack/config"
)

// version is set by the linker.
var version = "dev"

func main() {
	command.Run(version, connector.Info{
		Name:        "baton-rudderstack",
		DisplayName: "RudderStack",
		Description: "Syncs RudderStack's users, groups and group memberships. Read-only.",
	}, config.Config, rudderstack.New)
}
