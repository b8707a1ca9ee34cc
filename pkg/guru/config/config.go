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
			field.WithDescription("The email address of the Guru user who owns the API token."),
			field.WithPlaceholder("admin@example.com"),
			field.WithRequired(true),
		),
		field.StringField(APIToken,
			field.WithDisplayName("API Token"),
			field.WithDescription("That user's API token, from Manage > Apps & Integrations > API Access > Generate User Token. Do not use a collection token; it cannot read members."),
			field.WithPlaceholder("Paste the user's API token"),
			field.WithIsSecret(true),
			field.WithRequired(true),
		),
		field.StringField(BaseURL,
			field.WithDisplayName("Base URL"),
			field.WithDescription("The base URL of Guru's REST API."),
			field.WithDefaultValue(DefaultBaseURL),
			field.WithHidden(true),
			field.WithExportTarget(field.ExportTargetCLIOnly),
		),
		field.IntField(OutageMinutes,
			field.WithDisplayName("Outage limit in minutes"),
			field.WithDescription("End a sync after this many minutes without an answer from Guru."),
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
