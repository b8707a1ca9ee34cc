package command

import (
	"context"
	"fmt"
	"time"

	"github.com/conductorone/baton-sdk/pkg/uotel"
)

// startTelemetry starts sending traces and logs to the collector of the SDK's
// --otel settings, if there is one. stop sends the rest within 5 s.
func (p *program[T]) startTelemetry(ctx context.Context) (_ context.Context, stop func(), err error) {
	endpoint := p.v.GetString("otel-collector-endpoint")
	if endpoint == "" {
		return ctx, func() {}, nil
	}
	options := []uotel.Option{uotel.WithServiceName(p.info.Name + "-server")}
	if p.v.GetBool("otel-tracing-disabled") {
		options = append(options, uotel.WithTracingDisabled())
	}
	if p.v.GetBool("otel-logging-disabled") {
		options = append(options, uotel.WithLoggingDisabled())
	}
	if p.v.GetBool("otel-collector-endpoint-tls-insecure") {
		options = append(options, uotel.WithInsecureOtelEndpoint(endpoint))
	} else {
		options = append(options, uotel.WithOtelEndpoint(endpoint,
			p.v.GetString("otel-collector-endpoint-tls-cert-path"), p.v.GetString("otel-collector-endpoint-tls-cert")))
	}
	ctx, shutdown, err := uotel.InitOtel(ctx, options...)
	if err != nil {
		return ctx, nil, fmt.Errorf("%s: %w", setting("otel-collector-endpoint"), err)
	}
	return ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if shutdown != nil {
			_ = shutdown(ctx) // telemetry does not change how a run ends
		}
	}, nil
}
