// Package config is RudderStack's configuration schema: what a person enters
// in C1 or gives as flag, environment variable or file.
package config

//go:generate go run ./gen

import "github.com/conductorone/baton-sdk/pkg/field"

// Flags of the fields.
const (
	BaseURL       = "rudderstack-scim-base-url"
	Token         = "rudderstack-scim-token" //nolint:gosec // a name, not a token
	SyncUsersOnly = "sync-users-only"
	OutageMinutes = "outage-minutes"
)

// Config is the schema.
var Config = field.NewConfiguration(
	[]field.SchemaField{
		field.StringField(BaseURL,
			field.WithDisplayName("RudderStack SCIM base URL"),
			field.WithDescription("The base URL of RudderStack's SCIM 2.0 API, including the /scim/v2 suffix. For RudderStack Cloud (US): https://api.rudderstack.com/scim/v2."),
			field.WithPlaceholder("https://api.rudderstack.com/scim/v2"),
			field.WithRequired(true),
		),
		field.StringField(Token,
			field.WithDisplayName("RudderStack SCIM token"),
			field.WithDescription("An organization-level Service Access Token, from Settings > Organization > Service Access Tokens. Do not use a workspace-level or personal token; it cannot read SCIM."),
			field.WithPlaceholder("Paste the organization-level Service Access Token"),
			field.WithIsSecret(true),
			field.WithRequired(true),
		),
		field.BoolField(SyncUsersOnly,
			field.WithDisplayName("Sync users only"),
			field.WithDescription("Leave out groups and memberships. Turn this on if syncs fail because your RudderStack serves no SCIM groups. C1 removes groups that were synced before."),
		),
		field.IntField(OutageMinutes,
			field.WithDisplayName("Outage limit in minutes"),
			field.WithDescription("End a sync after this many minutes without an answer from RudderStack."),
			field.WithDefaultValue(15),
			field.WithHidden(true),
			field.WithExportTarget(field.ExportTargetCLIOnly),
		),
	},
	field.WithConnectorDisplayName("RudderStack"),
	field.WithHelpUrl("/docs/baton/rudderstack"),
	field.WithIconUrl("/static/app-icons/rudderstack.svg"),
	field.WithIsDirectory(false),
)
