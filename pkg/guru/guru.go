// Package guru reads members, groups and memberships from Guru's REST API as
// a directory.Source.
package guru

import (
	"context"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/guru/config"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// Source implements directory.Source.
type Source struct{ directory.Source }

// New makes a source from a configuration, whose faults it reports without
// any input or output.
func New(ctx context.Context, cfg *config.Guru, opts rest.Options) (directory.Source, error) {
	panic("to come")
}
