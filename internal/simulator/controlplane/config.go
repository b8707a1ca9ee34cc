package controlplane

import (
	"context"
	"encoding/json"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	v1 "github.com/conductorone/baton-sdk/pb/c1/connectorapi/baton/v1"
	"github.com/conductorone/baton-sdk/pkg/crypto/providers/jwk"
)

// served is a cloud-hosted connector's configuration.
type served struct {
	fields  map[string]any
	egress  *v1.EgressSection
	version int
}

// SetConfig changes a cloud-hosted connector's configuration and returns its
// version. Later invocations must name that version.
func (p *Plane) SetConfig(fields map[string]any) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.config.fields = fields
	p.config.version++
	return p.config.label()
}

// SetEgress changes the hosts that a cloud-hosted connector may reach, and
// returns the version of its configuration. nil states no policy.
func (p *Plane) SetEgress(egress *v1.EgressSection) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.config.egress = egress
	p.config.version++
	return p.config.label()
}

func (s *served) label() string { return fmt.Sprintf("cv-%d", s.version) }

// GetConnectorConfig implements ConnectorConfigServiceServer. Only the key that
// the request proves to own can decrypt the answer.
func (p *Plane) GetConnectorConfig(ctx context.Context, req *v1.GetConnectorConfigRequest) (*v1.GetConnectorConfigResponse, error) {
	checked, _ := ctx.Value(proofKey{}).(*proof)
	if checked == nil {
		return nil, status.Error(codes.Unauthenticated, "the configuration is served to cloud-hosted connectors only")
	}
	p.mu.Lock()
	config := p.config
	p.mu.Unlock()
	plain, err := json.Marshal(config.fields)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	sealed, err := jwk.EncryptED25519(checked.key, plain)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	version := config.label()
	answer := v1.GetConnectorConfigResponse_builder{
		Config: sealed, LastUpdated: timestamppb.Now(), ConfigVersion: &version,
	}
	if config.egress != nil {
		answer.ServedPolicyEnvelope = v1.ServedPolicyEnvelope_builder{
			EnvelopeVersion: 1, ConfigVersion: version, Egress: config.egress,
		}.Build()
	}
	p.note(Event{Method: "GetConnectorConfig", Message: req})
	return answer.Build(), nil
}
