package e2e

import (
	"context"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	v1 "github.com/conductorone/baton-sdk/pb/c1/connectorapi/baton/v1"
	"github.com/conductorone/baton-sdk/pkg/connectorclient"
	sdksync "github.com/conductorone/baton-sdk/pkg/sync"
	"github.com/conductorone/baton-sdk/pkg/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator"
	"github.com/conductorone/baton-connectors/internal/simulator/controlplane"
	"github.com/conductorone/baton-connectors/internal/simulator/lambdaruntime"
)

// function is a cloud-hosted connector: its configuration service, the
// Runtime API that it polls and its instances.
type function struct {
	*setup
	t         testing.TB
	plane     *controlplane.Plane
	runtime   *lambdaruntime.Runtime
	instances []*process
}

// startFunction runs a connector in one or more instances, as ConductorOne
// hosts it.
func startFunction(t testing.TB, s *setup, fields map[string]any, egress *v1.EgressSection, instances int) *function {
	t.Helper()
	f := &function{setup: s, t: t, plane: controlplane.Start(t), runtime: lambdaruntime.Start(t)}
	f.plane.SetConfig(fields)
	f.plane.SetEgress(egress)
	t.Cleanup(func() {
		for _, violation := range f.plane.Violations() {
			t.Errorf("against C1's protocol: %s", violation)
		}
		for i, instance := range f.instances {
			log := instance.stdout.String() + instance.stderr.String()
			if s.leaks(log) || strings.Contains(log, f.plane.ClientSecret()) {
				t.Errorf("a secret shows in the log of instance %d", i)
			}
		}
		for _, i := range f.runtime.Invocations() {
			if i.Response > lambdaruntime.MaxPayload {
				t.Errorf("%s answered %d bytes, more than Lambda takes", i.Method, i.Response)
			}
		}
	})
	for range instances {
		f.instances = append(f.instances, start(t, fixture.LambdaBinary(t, s.Connector), slices.Concat(f.runtime.Env(), []string{
			"BATON_LAMBDA_CLIENT_ID=" + f.plane.ClientID(),
			"BATON_LAMBDA_CLIENT_SECRET=" + f.plane.ClientSecret(),
			"BATON_LAMBDA_CA_CERT_PATH=" + f.plane.CAFile(),
		}), "lambda"))
	}
	return f
}

// client returns a client that invokes the function.
func (f *function) client(caller lambdaruntime.Caller) types.ConnectorClient {
	return connectorclient.NewConnectorClient(f.alive(), f.runtime.Dial(caller))
}

// alive returns a context that ends when the first instance ends, so a test
// does not wait for an answer that cannot come.
func (f *function) alive() context.Context { return f.instances[0].alive }

// sync runs a whole sync through invocations, as ConductorOne does, and returns
// the path of its c1z.
func (f *function) sync() (string, error) {
	f.t.Helper()
	ctx, path := f.alive(), filepath.Join(f.t.TempDir(), "sync.c1z")
	syncer, err := sdksync.NewSyncer(ctx, f.client(lambdaruntime.ConductorOne),
		sdksync.WithC1ZPath(path), sdksync.WithTmpDir(f.t.TempDir()), sdksync.WithWorkerCount(4),
		sdksync.WithFailFastInvariants(), sdksync.WithDontExpandGrants())
	if err != nil {
		f.t.Fatal(err)
	}
	err = syncer.Sync(ctx)
	if closed := syncer.Close(context.WithoutCancel(ctx)); err == nil {
		err = closed
	}
	return path, err
}

// validate invokes the function's check of its credentials.
func (f *function) validate(caller lambdaruntime.Caller) error {
	_, err := f.client(caller).Validate(f.alive(), &v2.ConnectorServiceValidateRequest{})
	return err
}

// TestLambdaSyncsTheWholeTruth checks that a cloud-hosted connector, whose
// instances share no memory, returns the vendor's truth in answers small enough
// for Lambda.
func TestLambdaSyncsTheWholeTruth(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		size      simulator.Size
		instances int
	}{
		"one instance":                    {small, 1},
		"three instances share the pages": {simulator.Size{Users: 500, GroupSizes: []int{0, 1, 100, 101, 499}}, 3},
		"one group of 5,000":              {simulator.Size{Users: 5000, GroupSizes: []int{5000}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachSetup(t, func(t *testing.T, open newSetup) {
				s := open(t, row.size)
				f := startFunction(t, s, s.Fields, nil, row.instances)
				if err := f.runtime.Wait(f.alive(), row.instances); err != nil {
					t.Fatalf("the instances do not start: %v", err)
				}
				path, err := f.sync()
				if err != nil {
					t.Fatal(err)
				}
				fixture.CompareTruth(t, path, s.Now())
				used := map[string]bool{}
				for _, i := range f.runtime.Invocations() {
					used[i.Instance] = true
				}
				// An instance that must reconnect counts twice.
				if len(used) < row.instances {
					t.Errorf("%d instances answered, not %d", len(used), row.instances)
				}
			})
		})
	}
}

// TestLambdaRefusesWhoIsNotConductorOne checks that no other caller can use the
// function to read the vendor's directory.
func TestLambdaRefusesWhoIsNotConductorOne(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, open newSetup) {
		s := open(t, small)
		f := startFunction(t, s, s.Fields, nil, 1)
		for name, caller := range map[string]lambdaruntime.Caller{
			"no token": lambdaruntime.Nobody, "another key": lambdaruntime.Forger,
			"a token for another function": lambdaruntime.Stranger, "an expired token": lambdaruntime.Late,
		} {
			if err := f.validate(caller); status.Code(err) != codes.Unauthenticated {
				t.Errorf("%s: the function answers %v", name, err)
			}
			_, err := f.client(caller).ListResources(f.alive(), v2.ResourcesServiceListResourcesRequest_builder{ResourceTypeId: "user"}.Build())
			if status.Code(err) != codes.Unauthenticated {
				t.Errorf("%s: the function answers %v", name, err)
			}
		}
		if n := len(s.Requests()); n != 0 {
			t.Errorf("the vendor was sent %d requests", n)
		}
		if err := f.validate(lambdaruntime.ConductorOne); err != nil {
			t.Errorf("ConductorOne itself: %v", err)
		}
	})
}

// TestLambdaTakesANewCredential checks that a credential changed in C1 takes
// effect without a new deployment.
func TestLambdaTakesANewCredential(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, open newSetup) {
		s := open(t, small)
		f := startFunction(t, s, s.with("wrong-credential"), nil, 1)
		err := f.validate(lambdaruntime.ConductorOne)
		if status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "wrong-credential") {
			t.Errorf("with a wrong credential the function answers %v", err)
		}
		f.runtime.SetConfigVersion(f.plane.SetConfig(s.Fields))
		path, err := f.sync()
		if err != nil {
			t.Fatal(err)
		}
		fixture.CompareTruth(t, path, s.Now())
	})
}

// with returns the setup's configuration with another credential.
func (s *setup) with(credential string) map[string]any {
	fields := maps.Clone(s.Fields)
	for name, value := range fields {
		if value == s.Credential {
			fields[name] = credential
		}
	}
	return fields
}

// without returns the setup's configuration without its credential.
func (s *setup) without() (fields map[string]any, missing string) {
	fields = maps.Clone(s.Fields)
	for name, value := range fields {
		if value == s.Credential {
			delete(fields, name)
			missing = name
		}
	}
	return fields, missing
}

// TestLambdaReportsABadConfig checks that a configuration that cannot work ends
// the function at its start with a line that names the field, and that a later
// bad configuration leaves the function unchanged.
func TestLambdaReportsABadConfig(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, open newSetup) {
		s := open(t, small)
		fields, missing := s.without()
		f := startFunction(t, s, fields, nil, 1)
		if code := f.instances[0].wait(); code == 0 {
			t.Error("a function without a credential ended with 0")
		}
		if line := f.instances[0].lastLine(); !strings.HasPrefix(line, s.Connector+": ") || !strings.Contains(line, missing) {
			t.Errorf("its last words are %q", line)
		}
		blank := s.with("two words")
		f = startFunction(t, s, blank, nil, 1)
		if code := f.instances[0].wait(); code == 0 {
			t.Error("a function with a malformed credential ended with 0")
		}
		if line := f.instances[0].lastLine(); !strings.HasPrefix(line, s.Connector+": ") || !strings.Contains(line, missing) || strings.Contains(line, "two words") {
			t.Errorf("its last words are %q", line)
		}

		f = startFunction(t, s, s.Fields, nil, 1)
		if err := f.validate(lambdaruntime.ConductorOne); err != nil {
			t.Fatal(err)
		}
		before := len(s.Requests())
		f.runtime.SetConfigVersion(f.plane.SetConfig(blank))
		err := f.validate(lambdaruntime.ConductorOne)
		if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), missing) || strings.Contains(err.Error(), "two words") {
			t.Errorf("after a change to a malformed credential the function answers %v", err)
		}
		if n := len(s.Requests()); n != before {
			t.Error("the vendor was sent a request")
		}
		f.runtime.SetConfigVersion(f.plane.SetConfig(s.Fields))
		if err := f.validate(lambdaruntime.ConductorOne); err != nil {
			t.Errorf("after the change back the function answers %v", err)
		}
	})
}

// TestLambdaKeepsToTheEgressPolicy checks that a host that C1's policy forbids
// gets no request, and so no credential.
func TestLambdaKeepsToTheEgressPolicy(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		hosts     []string
		httpsOnly bool
		mode      v1.EgressMode
		allowed   bool
	}{
		"the vendor's host":              {[]string{"api.example.com", "localhost"}, false, v1.EgressMode_EGRESS_MODE_ENFORCE, true},
		"other hosts only":               {[]string{"api.example.com"}, false, v1.EgressMode_EGRESS_MODE_ENFORCE, false},
		"part of the vendor's host":      {[]string{"host"}, false, v1.EgressMode_EGRESS_MODE_ENFORCE, false},
		"no host":                        {nil, false, v1.EgressMode_EGRESS_MODE_ENFORCE, false},
		"a wildcard, which is no host":   {[]string{"*"}, false, v1.EgressMode_EGRESS_MODE_ENFORCE, false},
		"https only":                     {[]string{"localhost"}, true, v1.EgressMode_EGRESS_MODE_ENFORCE, false},
		"other hosts, only for a report": {[]string{"api.example.com"}, false, v1.EgressMode_EGRESS_MODE_REPORT, true},
		"https only, beside a report":    {[]string{"localhost"}, true, v1.EgressMode_EGRESS_MODE_REPORT, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachSetup(t, func(t *testing.T, open newSetup) {
				s := open(t, small)
				fields := maps.Clone(s.Fields)
				for name, value := range fields { // policies name no IP addresses
					if text, ok := value.(string); ok {
						fields[name] = strings.Replace(text, "127.0.0.1", "localhost", 1)
					}
				}
				f := startFunction(t, s, fields, v1.EgressSection_builder{
					SchemaVersion: 1, AllowedHosts: row.hosts, HttpsOnly: row.httpsOnly, Mode: row.mode,
				}.Build(), 1)
				path, err := f.sync()
				if row.allowed {
					if err != nil {
						t.Fatal(err)
					}
					fixture.CompareTruth(t, path, s.Now())
					return
				}
				if err == nil || !strings.Contains(err.Error(), "egress policy") || !strings.Contains(err.Error(), s.Connector+": ") {
					t.Errorf("the sync ended with %v", err)
				}
				if n := len(s.Requests()); n != 0 {
					t.Errorf("the vendor was sent %d requests", n)
				}
			})
		})
	}
}

// TestLambdaIsQuietBetweenInvocations checks that the function prefetches
// nothing. AWS freezes the process after an answer, and a request in progress
// would then return dead or stale.
func TestLambdaIsQuietBetweenInvocations(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, open newSetup) {
		s := open(t, simulator.Size{Users: 1300, GroupSizes: []int{3}})
		f := startFunction(t, s, s.Fields, nil, 1)
		type held struct{ release chan struct{} }
		arrived := make(chan held)
		s.OnRequest(func(_ int, r *http.Request) {
			h := held{make(chan struct{})}
			select {
			case arrived <- h:
				<-h.release
			case <-r.Context().Done():
			}
		})
		pages := 0
		for token := ""; ; {
			answered := make(chan error, 1)
			var page *v2.ResourcesServiceListResourcesResponse
			go func() {
				var err error
				page, err = f.client(lambdaruntime.ConductorOne).ListResources(f.alive(),
					v2.ResourcesServiceListResourcesRequest_builder{ResourceTypeId: "user", PageToken: token}.Build())
				answered <- err
			}()
			for waiting := true; waiting; {
				select {
				case err := <-answered:
					if err != nil {
						t.Fatal(err)
					}
					waiting = false
				case h := <-arrived:
					// An answer that does not wait for this request proves that
					// the request is for a later one. The length of the wait
					// decides only how surely the test fails.
					select {
					case err := <-answered:
						close(h.release)
						t.Fatalf("the function answered (%v) while it read from the vendor", err)
					case <-time.After(50 * time.Millisecond):
						close(h.release)
					}
				}
			}
			select {
			case h := <-arrived:
				close(h.release)
				t.Fatal("the function reads from the vendor after its answer")
			default:
			}
			pages++
			if token = page.GetNextPageToken(); token == "" {
				break
			}
		}
		if pages < 2 {
			t.Errorf("the list has %d pages, too few to show anything", pages)
		}
	})
}

// TestLambdaDoesNotPrintACredentialOfAnotherType checks a credential that C1
// sends as another JSON type than a string. It must end the function at its
// start, or fail the invocation, without being shown.
func TestLambdaDoesNotPrintACredentialOfAnotherType(t *testing.T) {
	t.Parallel()
	const hidden = "8912345067123"
	for name, value := range map[string]any{
		"a number": 8912345067123, "a list": []any{hidden}, "an object": map[string]any{"value": hidden},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachSetup(t, func(t *testing.T, open newSetup) {
				s := open(t, small)
				fields, missing := s.without()
				fields[missing] = value
				f := startFunction(t, s, fields, nil, 1)
				if code := f.instances[0].wait(); code == 0 {
					t.Error("the function ended with 0")
				}
				log := f.instances[0].stdout.String() + f.instances[0].stderr.String()
				if line := f.instances[0].lastLine(); !strings.HasPrefix(line, s.Connector+": ") || !strings.Contains(line, missing) {
					t.Errorf("its last words are %q", line)
				}
				if strings.Contains(log, hidden) || strings.Contains(log, "8.912345067123e") {
					t.Errorf("the credential shows: %s", log)
				}
				f = startFunction(t, s, s.Fields, nil, 1)
				if err := f.validate(lambdaruntime.ConductorOne); err != nil {
					t.Fatal(err)
				}
				f.runtime.SetConfigVersion(f.plane.SetConfig(fields))
				err := f.validate(lambdaruntime.ConductorOne)
				log = f.instances[0].stdout.String() + f.instances[0].stderr.String()
				if text := log + err.Error(); strings.Contains(text, hidden) || strings.Contains(text, "8.912345067123e") {
					t.Errorf("after a change, the credential shows: %v", err)
				}
			})
		})
	}
}
