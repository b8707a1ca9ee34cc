package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// oneService is a service with one method, and a connection to it.
func oneService(list func(context.Context, *v2.ResourcesServiceListResourcesRequest) (*v2.ResourcesServiceListResourcesResponse, error), interceptors ...grpc.UnaryServerInterceptor) v2.ResourcesServiceClient {
	conn := &inProcess{methods: map[string]localMethod{}, interceptor: chained(interceptors)}
	v2.RegisterResourcesServiceServer(conn, &listService{list: list})
	return v2.NewResourcesServiceClient(conn)
}

type listService struct {
	v2.UnimplementedResourcesServiceServer
	list func(context.Context, *v2.ResourcesServiceListResourcesRequest) (*v2.ResourcesServiceListResourcesResponse, error)
}

func (s *listService) ListResources(ctx context.Context, request *v2.ResourcesServiceListResourcesRequest) (*v2.ResourcesServiceListResourcesResponse, error) {
	return s.list(ctx, request)
}

// TestACallInTheProcessAnswersLikeANetwork checks that the syncer sees the same
// answers and statuses as over gRPC: it decides by the code whether it retries,
// goes on or ends.
func TestACallInTheProcessAnswersLikeANetwork(t *testing.T) {
	t.Parallel()
	refused := status.Error(codes.PermissionDenied, "no right")
	named := func(n int) *v2.ResourcesServiceListResourcesResponse {
		return v2.ResourcesServiceListResourcesResponse_builder{
			List: []*v2.Resource{v2.Resource_builder{DisplayName: strings.Repeat("x", n)}.Build()}, NextPageToken: "2",
		}.Build()
	}
	for name, c := range map[string]struct {
		answer *v2.ResourcesServiceListResourcesResponse
		err    error
		code   codes.Code
		says   string
	}{
		"an answer":        {answer: named(3)},
		"an empty answer":  {answer: &v2.ResourcesServiceListResourcesResponse{}},
		"almost 4 MiB":     {answer: named(maxAnswer - 20)},
		"more than 4 MiB":  {answer: named(maxAnswer), code: codes.ResourceExhausted, says: "limit of 4194304"},
		"a status":         {err: refused, code: codes.PermissionDenied, says: "no right"},
		"a wrapped status": {err: fmt.Errorf("list groups: %w", refused), code: codes.PermissionDenied, says: "list groups: "},
		"a cancelled sync": {err: context.Canceled, code: codes.Canceled, says: "context canceled"},
		"a deadline":       {err: fmt.Errorf("GET: %w", context.DeadlineExceeded), code: codes.DeadlineExceeded, says: "GET: "},
		"an untyped error": {err: errors.New("cannot read it"), code: codes.Unknown, says: "cannot read it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := oneService(func(context.Context, *v2.ResourcesServiceListResourcesRequest) (*v2.ResourcesServiceListResourcesResponse, error) {
				return c.answer, c.err
			})
			got, err := client.ListResources(t.Context(), &v2.ResourcesServiceListResourcesRequest{})
			if status.Code(err) != c.code || err != nil && !strings.Contains(status.Convert(err).Message(), c.says) {
				t.Fatalf("the error is %v, want %s and %q", err, c.code, c.says)
			}
			if _, ok := status.FromError(err); !ok || errors.Unwrap(err) != nil {
				t.Errorf("%v is not a plain status", err)
			}
			if err == nil && !proto.Equal(got, c.answer) {
				t.Error("the answer differs from the connector's")
			}
		})
	}
}

// TestACallInTheProcessPassesAllInterceptors checks their order, and that neither
// the connector nor an interceptor can change the syncer's request.
func TestACallInTheProcessPassesAllInterceptors(t *testing.T) {
	t.Parallel()
	var passed []string
	passes := func(name string) grpc.UnaryServerInterceptor {
		return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			passed = append(passed, name+" "+info.FullMethod)
			return handler(ctx, request)
		}
	}
	client := oneService(func(_ context.Context, request *v2.ResourcesServiceListResourcesRequest) (*v2.ResourcesServiceListResourcesResponse, error) {
		passed = append(passed, "handler "+request.GetResourceTypeId())
		request.SetPageToken("changed")
		return &v2.ResourcesServiceListResourcesResponse{}, nil
	}, passes("first"), passes("second"))
	request := v2.ResourcesServiceListResourcesRequest_builder{ResourceTypeId: "user", PageToken: "7"}.Build()
	if _, err := client.ListResources(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	const method = "/c1.connector.v2.ResourcesService/ListResources"
	if want := []string{"first " + method, "second " + method, "handler user"}; !slices.Equal(passed, want) {
		t.Errorf("the call passed %v, want %v", passed, want)
	}
	if request.GetPageToken() != "7" {
		t.Error("the connector changed the syncer's request")
	}

	conn := &inProcess{}
	if err := conn.Invoke(t.Context(), method, request, request); status.Code(err) != codes.Unimplemented {
		t.Errorf("a method that is not served: %v", err)
	}
	if _, err := conn.NewStream(t.Context(), nil, method); status.Code(err) != codes.Unimplemented {
		t.Errorf("a stream: %v", err)
	}
}
