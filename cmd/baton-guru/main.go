// Command baton-guru reads Guru's users, groups and group memberships
// for ConductorOne.
package main

import (
	"github.com/conductorone/baton-connectors/pkg/command"
	"github.com/conductorone/baton-connectors/pkg/connector"
	"github.com/conductorone/baton-connectors/pkg/guru"
	"github.com/conductorone/baton-connectors/pkg/guru/config"
)

// version is set by the linker.
var version = "dev"

func main() {
	command.Run(version, connector.Info{
		Name:        "baton-guru",
		DisplayName: "Guru",
		Description: "Syncs Guru's users, groups and group memberships. Read-only.",
	}, config.Config, guru.New)
}
