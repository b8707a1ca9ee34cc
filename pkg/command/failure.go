package command

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/conductorone/baton-sdk/pkg/crypto"
	"github.com/conductorone/baton-sdk/pkg/ugrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// exitConfig is the exit code of a fault in the settings. The SDK uses it for
// every error without a gRPC code.
const exitConfig = int(codes.Unknown)

// failure is a failed run: the line that the user reads and the exit code.
type failure struct {
	// line is the message, without a line break; empty if it has been printed
	// already.
	line string
	// code is the exit code, never 0.
	code int
}

// Error implements error.
func (f *failure) Error() string { return f.line }

// malformed are the SDK's errors about C1's credentials, which do not name the
// setting.
var malformed = map[error]string{
	ugrpc.ErrInvalidClientID:      "client-id",
	crypto.ErrInvalidClientSecret: "client-secret",
}

// failureOf turns any error into a failure. Exit codes are gRPC codes, as in
// the SDK's package exit.
func failureOf(name string, err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	for sdk, name := range malformed {
		if errors.Is(err, sdk) {
			err = fmt.Errorf("%s is not what C1 shows; copy it again from the connector's page in C1", setting(name))
		}
	}
	code := exitConfig
	switch st, ok := status.FromError(err); {
	case ok && st.Code() != codes.OK:
		code = int(st.Code())
	case ok:
		code = int(codes.Internal)
	case errors.Is(err, context.Canceled):
		code = int(codes.Canceled)
	case errors.Is(err, context.DeadlineExceeded):
		code = int(codes.DeadlineExceeded)
	}
	return &failure{line: oneLine(name, err), code: code}
}

// grpcPrefix is the text that gRPC puts before each error that it passes on.
var grpcPrefix = regexp.MustCompile(`rpc error: code = \w+ desc = `)

// oneLine returns the error's message as one line that starts with the
// connector's name. It drops the text that gRPC and the SDK put before the
// connector's own message, and the errors that the SDK joins to it, in which
// other workers report that they were stopped.
func oneLine(name string, err error) string {
	own := name + ": "
	text := grpcPrefix.ReplaceAllString(err.Error(), "")
	for line := range strings.Lines(text) {
		if at := strings.Index(line, own); at >= 0 {
			return strings.Join(strings.Fields(line[at:]), " ")
		}
	}
	return own + strings.Join(strings.Fields(text), " ")
}
