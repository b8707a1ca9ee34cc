package command

import (
	"fmt"
	"strings"

	"github.com/conductorone/baton-sdk/pkg/field"
	"github.com/spf13/viper"

	"github.com/conductorone/baton-connectors/pkg/rest"
)

func fieldNames(schema field.Configuration) []string {
	names := make([]string, 0, len(schema.Fields))
	for _, f := range schema.Fields {
		names = append(names, f.FieldName)
	}
	return names
}

// checkRequired names the required settings that are missing, by flag and by
// environment variable: cobra knows of flags only.
func checkRequired(schema field.Configuration, v *viper.Viper) error {
	var missing []string
	for _, f := range schema.Fields {
		if f.Required && v.GetString(f.FieldName) == "" {
			missing = append(missing, rest.Setting(f.FieldName).String())
		}
	}
	switch len(missing) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%s is required", missing[0])
	default:
		last := len(missing) - 1
		return fmt.Errorf("%s and %s are required", strings.Join(missing[:last], ", "), missing[last])
	}
}
