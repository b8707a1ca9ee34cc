package connector

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

// codedError gives an error a gRPC code and does not change its text, as
// status.Errorf would.
type codedError struct {
	code codes.Code
	err  error
}

func (e *codedError) Error() string              { return e.err.Error() }
func (e *codedError) Unwrap() error              { return e.err }
func (e *codedError) GRPCStatus() *status.Status { return status.New(e.code, e.Error()) }

func errorf(code codes.Code, format string, args ...any) error {
	return &codedError{code, fmt.Errorf(format, args...)}
}

// failed puts the connector's name and the activity before an error. It keeps
// the gRPC code.
func (c *Connector) failed(doing string, err error) error {
	if errors.Is(err, directory.ErrCursor) {
		err = &codedError{codes.InvalidArgument, err}
	}
	return fmt.Errorf("%s: %s: %w", c.info.Name, doing, err)
}
