package lambdaruntime

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/conductorone/baton-sdk/pkg/lambda/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
)

// TestOutcomesOfAnInvocation checks that a caller gets an error if Lambda would
// refuse the answer, or if the function failed.
func TestOutcomesOfAnInvocation(t *testing.T) {
	t.Parallel()
	good, err := json.Marshal(grpc.ErrorResponse(status.Error(codes.NotFound, "no such group")))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, path, body string
		accepted         int
		code             codes.Code
		said             string
	}{
		{"an answer", "/response", string(good), http.StatusAccepted, codes.NotFound, "no such group"},
		{"an answer of the greatest size", "/response", string(good) + strings.Repeat(" ", MaxPayload-len(good)), http.StatusAccepted, codes.NotFound, "no such group"},
		{"one byte too many", "/response", string(good) + strings.Repeat(" ", MaxPayload-len(good)+1), http.StatusRequestEntityTooLarge, codes.Unknown, "ResponseSizeTooLarge"},
		{"a failure", "/error", `{"errorMessage":"out of luck"}`, http.StatusAccepted, codes.Unknown, "out of luck"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := Start(t)
			api := "http://" + strings.TrimPrefix(r.Env()[0], "AWS_LAMBDA_RUNTIME_API=") + prefix
			failed := make(chan error, 1)
			go func() {
				failed <- r.Dial(ConductorOne).Invoke(context.Background(), "/c1.connector.v2.ConnectorService/GetMetadata",
					&v2.ConnectorServiceGetMetadataRequest{}, &v2.ConnectorServiceGetMetadataResponse{})
			}()
			next, err := http.Get(api + "next") //nolint:noctx // bounded by the runtime
			if err != nil {
				t.Fatal(err)
			}
			defer next.Body.Close() //nolint:errcheck // it was read to its end
			request, err := io.ReadAll(next.Body)
			if err != nil || !strings.Contains(string(request), "GetMetadata") || next.Header.Get("Lambda-Runtime-Deadline-Ms") == "" {
				t.Fatalf("the invocation is %s (%v)", request, err)
			}
			url := api + next.Header.Get("Lambda-Runtime-Aws-Request-Id") + row.path
			for _, want := range []int{row.accepted, http.StatusBadRequest} { // the second time there is no such invocation
				resp, err := http.Post(url, "application/json", strings.NewReader(row.body)) //nolint:noctx,gosec // bounded by the runtime, on loopback
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				if resp.StatusCode != want {
					t.Errorf("the runtime answers %s, not %d", resp.Status, want)
				}
			}
			if err := <-failed; status.Code(err) != row.code || !strings.Contains(err.Error(), row.said) {
				t.Errorf("the caller is told %v", err)
			}
			if record := r.Invocations(); len(record) != 1 || !strings.HasSuffix(record[0].Method, "GetMetadata") {
				t.Errorf("the record is %+v", record)
			}
		})
	}
}
