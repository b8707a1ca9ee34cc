package command

import (
	"crypto/sha256"
	"encoding/hex"
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

// identity tells whose data a sync holds and what part of it: the connector,
// its settings but secrets, and the flags that choose what is synced. Two
// runs may share one sync only if it is the same for both.
func identity(name string, schema field.Configuration, v *viper.Viper) string {
	sum := sha256.New()
	add := func(key string) { fmt.Fprintf(sum, "%q=%q\n", key, fmt.Sprint(v.Get(key))) }
	for _, f := range schema.Fields {
		if f.Variant == field.StringVariant && !f.Secret {
			add(f.FieldName)
		}
	}
	for _, key := range []string{
		"sync-resources", "sync-resource-types", "skip-entitlements-and-grants", "skip-grants",
		"external-resource-c1z", "external-resource-entitlement-id-filter", "external-resource-traits",
	} {
		add(key)
	}
	return name + " " + hex.EncodeToString(sum.Sum(nil))
}
