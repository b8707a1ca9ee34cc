package command

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/pkg/rest"
)

// configFault is the exit code of a fault in the configuration. It is the
// SDK's for an error without a gRPC code.
const configFault = int(codes.Unknown)

// ending is how a run ended: what a person reads and what a script reads. As
// an error it ends the process as it says.
type ending struct {
	// Line is for stderr; empty where somebody else prints it.
	Line string `json:"line"`
	// Code is the exit code, never 0.
	Code int `json:"code"`
	// Outage is that of a rest.Error.
	Outage bool `json:"outage,omitempty"`
}

// Error implements error.
func (e *ending) Error() string { return e.Line }

// endingOf turns an error into an ending. The codes are those of the SDK's
// package exit.
func endingOf(name string, err error) *ending {
	code := configFault
	switch grpc, ok := status.FromError(err); {
	case ok && grpc.Code() != codes.OK:
		code = int(grpc.Code())
	case ok:
		code = int(codes.Internal)
	case errors.Is(err, context.Canceled):
		code = int(codes.Canceled)
	case errors.Is(err, context.DeadlineExceeded):
		code = int(codes.DeadlineExceeded)
	}
	var fault *rest.Error
	return &ending{Line: oneLine(name, err), Code: code, Outage: errors.As(err, &fault) && fault.Outage}
}

// transport is what gRPC and the SDK put before an error each time they pass
// it on.
var transport = regexp.MustCompile(`rpc error: code = \w+ desc = `)

// oneLine is the error as a person reads it: what the connector said first,
// without the layers of transport that the SDK wraps around it. What the SDK
// joins to it, a line each, are the faults that other workers met on the same
// way, and that they were stopped for it.
func oneLine(name string, err error) string {
	own := name + ": "
	text := transport.ReplaceAllString(err.Error(), "")
	for line := range strings.Lines(text) {
		if at := strings.Index(line, own); at >= 0 {
			return strings.Join(strings.Fields(line[at:]), " ")
		}
	}
	return own + strings.Join(strings.Fields(text), " ")
}
