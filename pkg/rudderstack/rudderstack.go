// Package rudderstack reads users, groups and memberships from RudderStack's
// SCIM 2.0 API as a directory.Source.
package rudderstack

import (
	"context"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
	"github.com/conductorone/baton-connectors/pkg/rudderstack/config"
)

// Source implements directory.Source.
type Source struct{ directory.Source }

// New makes a source from a configuration, whose faults it reports without
// any input or output.
func New(ctx context.Context, cfg *config.Rudderstack, opts rest.Options) (directory.Source, error) {
	panic("to come")
}
