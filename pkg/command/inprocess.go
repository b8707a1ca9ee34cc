package command

import (
	"context"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"github.com/conductorone/baton-sdk/pkg/connectorclient"
	"github.com/conductorone/baton-sdk/pkg/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxAnswer is gRPC's limit for an answer in bytes.
const maxAnswer = 4 << 20

// inProcess is a gRPC connection to services in this process. It calls their
// handlers and does not encode messages: a sync of 1,000,000 memberships takes a
// tenth less processor time than over an in-memory listener. It has no streams,
// because a sync calls none.
type inProcess struct {
	methods     map[string]localMethod
	interceptor grpc.UnaryServerInterceptor
}

// localMethod is a method of a service.
type localMethod struct {
	service any
	handler grpc.MethodHandler
}

// inProcessClient returns a client of a connector in this process. Answers are not
// copied, so the connector must not change one that it has returned. Calls return
// gRPC statuses, and an answer above maxAnswer is ResourceExhausted, as on a network.
func inProcessClient(ctx context.Context, server types.ConnectorServer, interceptors ...grpc.UnaryServerInterceptor) types.ConnectorClient {
	conn := &inProcess{methods: map[string]localMethod{}, interceptor: chained(interceptors)}
	v2.RegisterConnectorServiceServer(conn, server)
	v2.RegisterResourceTypesServiceServer(conn, server)
	v2.RegisterResourcesServiceServer(conn, server)
	v2.RegisterResourceGetterServiceServer(conn, server)
	v2.RegisterEntitlementsServiceServer(conn, server)
	v2.RegisterGrantsServiceServer(conn, server)
	return connectorclient.NewConnectorClient(ctx, conn)
}

// chained returns one interceptor that runs all, the first one outermost.
func chained(all []grpc.UnaryServerInterceptor) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		for i := len(all) - 1; i >= 0; i-- {
			interceptor, inner := all[i], handler
			handler = func(ctx context.Context, request any) (any, error) { return interceptor(ctx, request, info, inner) }
		}
		return handler(ctx, request)
	}
}

// RegisterService adds the methods of a service.
func (c *inProcess) RegisterService(service *grpc.ServiceDesc, implementation any) {
	for _, m := range service.Methods {
		c.methods["/"+service.ServiceName+"/"+m.MethodName] = localMethod{implementation, m.Handler}
	}
}

// Invoke calls a method with a copy of request, and fills reply.
func (c *inProcess) Invoke(ctx context.Context, method string, request, reply any, _ ...grpc.CallOption) error {
	m, ok := c.methods[method]
	if !ok {
		return status.Errorf(codes.Unimplemented, "the connector does not serve %s", method)
	}
	decode := func(into any) error {
		proto.Merge(message(into), message(request))
		return nil
	}
	answer, err := m.handler(m.service, ctx, decode, c.interceptor)
	if err != nil {
		if s, ok := status.FromError(err); ok {
			return s.Err()
		}
		return status.FromContextError(err).Err()
	}
	if size := proto.Size(message(answer)); size > maxAnswer {
		return status.Errorf(codes.ResourceExhausted, "the answer of %s has %d bytes, more than gRPC's limit of %d", method, size, maxAnswer)
	}
	into := message(reply).ProtoReflect()
	message(answer).ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		into.Set(field, value)
		return true
	})
	return nil
}

// message returns a request or an answer of generated code as what it is.
func message(m any) proto.Message { return m.(proto.Message) } //nolint:forcetypeassert // a protobuf service has no others

// NewStream fails: no method of a sync is a stream.
func (c *inProcess) NewStream(_ context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Errorf(codes.Unimplemented, "the connector does not serve %s", method)
}
