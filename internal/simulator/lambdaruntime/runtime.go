// Package lambdaruntime replaces AWS Lambda on loopback. It serves the Runtime API that a function polls
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html), and it is the caller that invokes a connector as
// ConductorOne does.
package lambdaruntime

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/conductorone/baton-sdk/pkg/lambda/grpc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// MaxPayload is the largest payload of a synchronous invocation in bytes, in either direction
// (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
const MaxPayload = 6 << 20

const (
	prefix  = "/2018-06-01/runtime/invocation/"
	timeout = 2 * time.Minute // of one invocation, far longer than any takes

	issuer   = "https://loopback.example.com"
	subject  = "connector"
	audience = "connector-on-loopback"
)

// Runtime is one function's Runtime API and its caller. Several processes may
// poll it. Each is an instance of the function, with one invocation at a time.
// It is safe for concurrent use.
type Runtime struct {
	server *httptest.Server
	public []byte
	signer jose.Signer
	forger jose.Signer
	queue  chan *invocation

	mu       sync.Mutex
	version  string
	sequence int
	waiting  map[string]*invocation
	record   []Invocation
	polled   map[string]bool // instances that have asked for an invocation
	joined   chan struct{}   // closed, and replaced, when one more has asked
}

// Invocation is one call that a function answered.
type Invocation struct {
	// Method is the connector's RPC, such as
	// /c1.connector.v2.GrantsService/ListGrants.
	Method string
	// Request and Response are the payloads' sizes in bytes.
	Request, Response int
	// Instance is the address of the process's connection.
	Instance string
}

type invocation struct {
	id, method string
	payload    []byte
	done       chan answer // holds one
}

type answer struct {
	payload []byte
	err     error
}

// Start runs a Runtime API until the test ends. A function that still polls it
// then stops by itself.
func Start(tb testing.TB) *Runtime {
	tb.Helper()
	public, signer, err := newSigner()
	if err != nil {
		tb.Fatal(err)
	}
	_, forger, err := newSigner()
	if err != nil {
		tb.Fatal(err)
	}
	r := &Runtime{
		public: public, signer: signer, forger: forger,
		queue: make(chan *invocation), waiting: map[string]*invocation{},
		polled: map[string]bool{}, joined: make(chan struct{}),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+prefix+"next", r.next)
	mux.HandleFunc("POST "+prefix+"{id}/response", r.response)
	mux.HandleFunc("POST "+prefix+"{id}/error", r.failure)
	r.server = httptest.NewServer(mux)
	tb.Cleanup(func() {
		r.server.CloseClientConnections()
		r.server.Close()
	})
	return r
}

// newSigner makes a key pair: the public half as a JWK, the private half as a
// signer of tokens.
func newSigner() ([]byte, jose.Signer, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	const id = "loopback"
	jwk, err := json.Marshal(jose.JSONWebKey{Key: public, KeyID: id, Algorithm: string(jose.EdDSA), Use: "sig"})
	if err != nil {
		return nil, nil, err
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: private, KeyID: id}},
		(&jose.SignerOptions{}).WithType("JWT"))
	return jwk, signer, err
}

// Env lists the function's environment, as AWS and ConductorOne set it.
func (r *Runtime) Env() []string {
	return []string{
		"AWS_LAMBDA_RUNTIME_API=" + r.server.Listener.Addr().String(),
		"AWS_LAMBDA_FUNCTION_NAME=connector-on-loopback",
		// Any credential will do: it signs a request that is never sent.
		"AWS_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID=loopback",
		"AWS_SECRET_ACCESS_KEY=loopback",
		"AWS_EC2_METADATA_DISABLED=true",
		"BATON_LAMBDA_AUTH_JWT_SIGNER=" + string(r.public),
		"BATON_LAMBDA_AUTH_JWT_EXPECTED_ISSUER=" + issuer,
		"BATON_LAMBDA_AUTH_JWT_EXPECTED_SUBJECT=" + subject,
		"BATON_LAMBDA_AUTH_JWT_EXPECTED_AUDIENCE=" + audience,
	}
}

// SetConfigVersion sets the configuration version that later invocations name.
func (r *Runtime) SetConfigVersion(version string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.version = version
}

// Invocations returns the answered invocations, oldest first.
func (r *Runtime) Invocations() []Invocation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Invocation(nil), r.record...)
}

// Wait waits until the given number of instances have started. It returns an
// error when alive is done or after the timeout of an invocation.
func (r *Runtime) Wait(alive context.Context, instances int) error {
	ctx, cancel := context.WithTimeout(alive, timeout)
	defer cancel()
	for {
		r.mu.Lock()
		n, joined := len(r.polled), r.joined
		r.mu.Unlock()
		if n >= instances {
			return nil
		}
		select {
		case <-joined:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// next hands the next invocation to a process that asks.
func (r *Runtime) next(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	if !r.polled[req.RemoteAddr] {
		r.polled[req.RemoteAddr] = true
		close(r.joined)
		r.joined = make(chan struct{})
	}
	r.mu.Unlock()
	select {
	case i := <-r.queue:
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", i.id)
		w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(timeout).UnixMilli(), 10))
		w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:connector-on-loopback")
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(i.payload)
	case <-req.Context().Done():
	}
}

func (r *Runtime) response(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	switch {
	case err != nil:
		r.end(w, req, http.StatusBadRequest, answer{err: err})
	case len(body) > MaxPayload:
		r.end(w, req, http.StatusRequestEntityTooLarge,
			answer{err: fmt.Errorf("Function.ResponseSizeTooLarge: %d bytes", len(body))})
	default:
		r.end(w, req, http.StatusAccepted, answer{payload: body})
	}
}

func (r *Runtime) failure(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err == nil {
		err = fmt.Errorf("the function failed: %s", body)
	}
	r.end(w, req, http.StatusAccepted, answer{err: err})
}

// end ends an invocation.
func (r *Runtime) end(w http.ResponseWriter, req *http.Request, code int, a answer) {
	r.mu.Lock()
	i := r.waiting[req.PathValue("id")]
	delete(r.waiting, req.PathValue("id"))
	if i != nil {
		r.record = append(r.record, Invocation{
			Method: i.method, Request: len(i.payload), Response: len(a.payload), Instance: req.RemoteAddr,
		})
	}
	r.mu.Unlock()
	if i == nil {
		http.Error(w, "no such invocation", http.StatusBadRequest)
		return
	}
	i.done <- a
	w.WriteHeader(code)
}

// RoundTrip implements the SDK's grpc.ClientTransport: it invokes the
// function.
func (r *Runtime) RoundTrip(ctx context.Context, req *grpc.Request) (*grpc.Response, error) {
	payload, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	if len(payload) > MaxPayload {
		return nil, status.Errorf(codes.ResourceExhausted, "the request has %d bytes", len(payload))
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r.mu.Lock()
	r.sequence++
	i := &invocation{
		id:     fmt.Sprintf("00000000-0000-0000-0000-%012d", r.sequence),
		method: req.Method(), payload: payload, done: make(chan answer, 1),
	}
	r.waiting[i.id] = i
	r.mu.Unlock()
	select {
	case r.queue <- i:
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	select {
	case a := <-i.done:
		if a.err != nil {
			return nil, status.Error(codes.Unknown, a.err.Error())
		}
		resp := &grpc.Response{}
		if err := json.NewDecoder(bytes.NewReader(a.payload)).Decode(resp); err != nil {
			return nil, err
		}
		return resp, nil
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
}

// Caller is the party that invokes the function.
type Caller int

const (
	// ConductorOne signs its invocations.
	ConductorOne Caller = iota
	// Nobody sends no token.
	Nobody
	// Forger sends a token signed with another key.
	Forger
	// Stranger sends a well-signed token for another function.
	Stranger
	// Late sends a token that has expired.
	Late
)

// Dial returns a connection to the function for the SDK's connector client.
func (r *Runtime) Dial(caller Caller) rpc.ClientConnInterface {
	return &conn{ClientConnInterface: grpc.NewClientConn(r), runtime: r, caller: caller}
}

type conn struct {
	rpc.ClientConnInterface
	runtime *Runtime
	caller  Caller
}

// Invoke adds ConductorOne's metadata to a call.
func (c *conn) Invoke(ctx context.Context, method string, args, reply any, opts ...rpc.CallOption) error {
	var headers []string
	if c.caller != Nobody {
		token, err := c.token()
		if err != nil {
			return err
		}
		headers = append(headers, "authorization", "Bearer "+token)
	}
	c.runtime.mu.Lock()
	version := c.runtime.version
	c.runtime.mu.Unlock()
	if version != "" {
		headers = append(headers, "x-baton-connector-config-version", version)
	}
	return c.ClientConnInterface.Invoke(metadata.AppendToOutgoingContext(ctx, headers...), method, args, reply, opts...)
}

func (c *conn) token() (string, error) {
	now := time.Now()
	claims := jwt.Claims{
		Issuer: issuer, Subject: subject, Audience: jwt.Audience{audience},
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now.Add(-time.Minute)),
		Expiry: jwt.NewNumericDate(now.Add(5 * time.Minute)),
	}
	signer := c.runtime.signer
	switch c.caller {
	case Forger:
		signer = c.runtime.forger
	case Stranger:
		claims.Audience = jwt.Audience{"another-function"}
	case Late:
		claims.IssuedAt = jwt.NewNumericDate(now.Add(-2 * time.Hour))
		claims.NotBefore = claims.IssuedAt
		claims.Expiry = jwt.NewNumericDate(now.Add(-time.Hour))
	case ConductorOne, Nobody:
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	return strings.TrimSpace(token), err
}
