// Package config is Guru's configuration schema: what a person enters in C1 or
// gives as flag, environment variable or file.
package config

//go:generate go run ./gen

import "github.com/conductorone/baton-sdk/pkg/field"

// Flags of the fields.
const (
	UserEmail     = "user-email"
	APIToken      = "api-token"
	BaseURL       = "base-url"
	OutageMinutes = "outage-minutes"
)

// DefaultBaseURL is Guru's API (https://developer.getguru.com).
const DefaultBaseURL = "https://api.getguru.com/api/v1"

// Config is the schema.
var Config = field.NewConfiguration(
	[]field.SchemaField{
		field.StringField(UserEmail,
			field.WithDisplayName("User Email"),
			field.WithDescription("The e-mail address of the Guru user whose API token is used. It is the user name half of HTTP Basic authentication."),
			field.WithPlaceholder("admin@example.com"),
			field.WithRequired(true),
		),
		field.StringField(APIToken,
			field.WithDisplayName("API Token"),
			field.WithDescription("That user's Guru API token, made under Team settings > Apps and integrations > API access. A collection token cannot read members and groups."),
			field.WithPlaceholder("Paste the user's API token"),
			field.WithIsSecret(true),
			field.WithRequired(true),
		),
		field.StringField(BaseURL,
			field.WithDisplayName("Base URL"),
			field.WithDescription("The base URL of Guru's REST API. Every request goes through it."),
			field.WithDefaultValue(DefaultBaseURL),
			field.WithHidden(true),
			field.WithExportTarget(field.ExportTargetCLIOnly),
		),
		field.IntField(OutageMinutes,
			field.WithDisplayName("Outage limit in minutes"),
			field.WithDescription("How many minutes Guru may be out of reach before a sync gives up."),
			field.WithDefaultValue(15),
			field.WithHidden(true),
			field.WithExportTarget(field.ExportTargetCLIOnly),
		),
	},
	field.WithConnectorDisplayName("Guru"),
	field.WithHelpUrl("/docs/baton/guru"),
	field.WithIconUrl("/static/app-icons/guru.svg"),
	field.WithIsDirectory(false),
)
