package deps

import (
	_ "github.com/conductorone/baton-sdk/pkg/config"
	_ "github.com/conductorone/baton-sdk/pkg/sync"
	_ "github.com/conductorone/baton-sdk/pkg/dotc1z"
	_ "github.com/elimity-com/scim"
	_ "github.com/spf13/viper"
	_ "go.uber.org/zap"
	_ "google.golang.org/grpc"
	_ "google.golang.org/protobuf/proto"
	_ "github.com/go-jose/go-jose/v4"
	_ "gopkg.in/yaml.v3"
)
