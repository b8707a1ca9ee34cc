package controlplane

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	v1 "github.com/conductorone/baton-sdk/pb/c1/connectorapi/baton/v1"
	"github.com/conductorone/baton-sdk/pkg/crypto"
	"github.com/conductorone/baton-sdk/pkg/crypto/providers/jwk"
)

// client speaks to a plane as a connector would, and breaks the protocol if a
// test asks it to.
type client struct {
	t     *testing.T
	plane *Plane
	tls   *tls.Config
	key   ed25519.PrivateKey // for DPoP
}

func newClient(t *testing.T) *client {
	t.Helper()
	p := Start(t)
	authority, err := os.ReadFile(p.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		t.Fatal("the CA file holds no certificate")
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &client{t: t, plane: p, tls: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, key: key}
}

func sign(t *testing.T, key any, opts *jose.SignerOptions, claims any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// assertion returns the JWT that proves a connector's secret.
func (c *client) assertion(secret string, change func(map[string]any)) string {
	c.t.Helper()
	key, err := crypto.ParseClientSecret([]byte(secret), false)
	if err != nil {
		c.t.Fatal(err)
	}
	wrapped, err := anypb.New(v1.Sigv4SignedRequestSTSGetCallerIdentity_builder{Headers: []*v1.SignedHeader{
		v1.SignedHeader_builder{Key: "Authorization", Value: []string{"AWS4-HMAC-SHA256 x"}}.Build(),
	}}.Build())
	if err != nil {
		c.t.Fatal(err)
	}
	identity, err := proto.Marshal(wrapped)
	if err != nil {
		c.t.Fatal(err)
	}
	now := time.Now().Unix()
	claims := map[string]any{
		"iss": c.plane.ClientID(), "sub": c.plane.ClientID(), "aud": "127.0.0.1",
		"iat": now, "nbf": now - 60, "exp": now + 120,
		"id_att": base64.RawURLEncoding.EncodeToString(identity),
	}
	if change != nil {
		change(claims)
	}
	return sign(c.t, key.Key, nil, claims)
}

// proof returns a proof that the client holds a DPoP key.
func (c *client) proof(key ed25519.PrivateKey, change func(map[string]any)) string {
	c.t.Helper()
	claims := map[string]any{
		"jti": random(), "iat": time.Now().Unix(), "htm": "POST",
		"htu": "https://" + c.plane.Host() + "/auth/v1/token", "nonce": c.plane.nonce,
	}
	if change != nil {
		change(claims)
	}
	return sign(c.t, key, &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{
		"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: key.Public()},
	}}, claims)
}

// token requests an access token, with a DPoP proof if one is given.
func (c *client) token(assertion, proof string) (token, refusal string) {
	c.t.Helper()
	form := url.Values{
		"client_id": {c.plane.ClientID()}, "grant_type": {"client_credentials"},
		"client_assertion_type": {assertionType}, "client_assertion": {assertion},
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost,
		"https://"+c.plane.Host()+"/auth/v1/token", strings.NewReader(form.Encode()))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if proof != "" {
		req.Header.Set("DPoP", proof)
	}
	hc := &http.Client{Transport: &http.Transport{TLSClientConfig: c.tls}}
	defer hc.CloseIdleConnections()
	resp, err := hc.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // nothing was written
	var body struct {
		Token string `json:"access_token"`
		Error string `json:"error"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		c.t.Fatal(err)
	}
	return body.Token, body.Error
}

func (c *client) dial() *grpc.ClientConn {
	c.t.Helper()
	conn, err := grpc.NewClient(c.plane.Host(), grpc.WithTransportCredentials(credentials.NewTLS(c.tls)))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func with(headers ...string) context.Context {
	return metadata.AppendToOutgoingContext(context.Background(), headers...)
}

// TestTokenIsGivenToTheRightConnectorOnly checks that the plane refuses every
// wrong assertion and proof. Other tests rely on it: a connector that gets a
// token has sent the right ones.
func TestTokenIsGivenToTheRightConnectorOnly(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	set := func(name string, value any) func(map[string]any) {
		return func(claims map[string]any) { claims[name] = value }
	}
	secret, past := c.plane.ClientSecret(), time.Now().Add(-time.Hour).Unix()
	good := c.assertion(secret, nil)
	for _, row := range []struct{ name, assertion, proof, refusal string }{
		{"self-hosted", good, "", ""},
		{"another secret", c.assertion(c.plane.OtherSecret(), nil), "", "invalid_client"},
		{"another issuer", c.assertion(secret, set("iss", "x")), "", "invalid_client"},
		{"another subject", c.assertion(secret, set("sub", "x")), "", "invalid_client"},
		{"another audience", c.assertion(secret, set("aud", c.plane.Host())), "", "invalid_client"},
		{"expired", c.assertion(secret, set("exp", past)), "", "invalid_client"},
		{"good for a day", c.assertion(secret, set("exp", time.Now().Add(24*time.Hour).Unix())), "", "invalid_client"},
		{"without expiry", c.assertion(secret, func(m map[string]any) { delete(m, "exp") }), "", "invalid_client"},
		{"not a token", "x", "", "invalid_client"},
		{"cloud-hosted", good, c.proof(c.key, nil), ""},
		{"without a nonce", good, c.proof(c.key, set("nonce", "")), "use_dpop_nonce"},
		{"proof of another method", good, c.proof(c.key, set("htm", "GET")), "invalid_dpop_proof"},
		{"proof of another URL", good, c.proof(c.key, set("htu", "https://example.com/")), "invalid_dpop_proof"},
		{"proof of long ago", good, c.proof(c.key, set("iat", past)), "invalid_dpop_proof"},
		{"proof without an id", good, c.proof(c.key, set("jti", "")), "invalid_dpop_proof"},
		{"proof without a key", good, sign(t, c.key, nil, map[string]any{"jti": "x"}), "invalid_dpop_proof"},
		{"without an AWS identity", c.assertion(secret, set("id_att", "")), c.proof(c.key, nil), "invalid_client"},
	} {
		before := len(c.plane.Violations())
		token, refusal := c.token(row.assertion, row.proof)
		if refusal != row.refusal || (token == "") != (refusal != "") {
			t.Errorf("%s: refused with %q, not %q", row.name, refusal, row.refusal)
		}
		breach := row.refusal != "" && row.refusal != "use_dpop_nonce" // a challenge is no breach
		if noted := len(c.plane.Violations()) > before; noted != breach {
			t.Errorf("%s: noted as a violation: %v", row.name, noted)
		}
	}
	again := c.proof(c.key, nil)
	if _, refusal := c.token(good, again); refusal != "" {
		t.Fatalf("a new proof: %s", refusal)
	}
	if _, refusal := c.token(good, again); refusal != "invalid_dpop_proof" {
		t.Errorf("a proof used twice: refused with %q", refusal)
	}
}

// TestConfigIsServedToTheOwnerOfTheKeyOnly checks that a cloud-hosted connector
// gets its configuration only if each call proves that it holds the key of its
// token.
func TestConfigIsServedToTheOwnerOfTheKeyOnly(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	c.plane.SetConfig(map[string]any{"api-token": "s3cret"})
	bound, refusal := c.token(c.assertion(c.plane.ClientSecret(), nil), c.proof(c.key, nil))
	if refusal != "" {
		t.Fatal(refusal)
	}
	bearer, refusal := c.token(c.assertion(c.plane.ClientSecret(), nil), "")
	if refusal != "" {
		t.Fatal(refusal)
	}
	_, other, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	proof := func(key ed25519.PrivateKey, token string) string {
		return c.proof(key, func(claims map[string]any) {
			claims["htu"] = "https://" + c.plane.Host() + v1.ConnectorConfigService_GetConnectorConfig_FullMethodName
			claims["ath"] = hash(token)
		})
	}
	service := v1.NewConnectorConfigServiceClient(c.dial())
	for _, row := range []struct {
		name, authorization, proof string
		code                       codes.Code
	}{
		{"right", "DPoP " + bound, proof(c.key, bound), codes.OK},
		{"no token", "", "", codes.Unauthenticated},
		{"unknown token", "DPoP x", proof(c.key, "x"), codes.Unauthenticated},
		{"no proof", "DPoP " + bound, "", codes.Unauthenticated},
		{"bound token as a bearer token", "Bearer " + bound, "", codes.Unauthenticated},
		{"proof with another key", "DPoP " + bound, proof(other, bound), codes.Unauthenticated},
		{"proof for another token", "DPoP " + bound, proof(c.key, bearer), codes.Unauthenticated},
		{"self-hosted connector", "Bearer " + bearer, "", codes.Unauthenticated},
	} {
		resp, err := service.GetConnectorConfig(with("authorization", row.authorization, "dpop", row.proof), &v1.GetConnectorConfigRequest{})
		if status.Code(err) != row.code {
			t.Errorf("%s: %v, not %s", row.name, err, row.code)
			continue
		}
		if err != nil {
			continue
		}
		plain, err := jwk.DecryptED25519(c.key, resp.GetConfig())
		if err != nil || string(plain) != `{"api-token":"s3cret"}` {
			t.Errorf("%s: the configuration reads %q (%v)", row.name, plain, err)
		}
		if _, err := jwk.DecryptED25519(other, resp.GetConfig()); err == nil {
			t.Errorf("%s: another key can read the configuration", row.name)
		}
	}
}

// TestMalformedMessagesAreRefused checks that a task succeeds only if every
// message is well-formed and the upload is whole.
func TestMalformedMessagesAreRefused(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	token, refusal := c.token(c.assertion(c.plane.ClientSecret(), nil), "")
	if refusal != "" {
		t.Fatal(refusal)
	}
	ctx := with("authorization", "Bearer "+token)
	service := v1.NewBatonServiceClient(c.dial())
	id := c.plane.Enqueue(FullSync())[0]
	want := func(name string, err error, code codes.Code) {
		t.Helper()
		if status.Code(err) != code {
			t.Errorf("%s: %v, not %s", name, err, code)
		}
	}
	heartbeat := func(host, task string) error {
		_, err := service.Heartbeat(ctx, v1.BatonServiceHeartbeatRequest_builder{HostId: host, TaskId: task}.Build())
		return err
	}
	want("a task not handed out", heartbeat("h", id), codes.NotFound)
	got, err := service.GetTask(ctx, v1.BatonServiceGetTaskRequest_builder{HostId: "h"}.Build())
	if err != nil || got.GetTask().GetId() != id || got.GetNextPoll().AsDuration() <= 0 {
		t.Fatalf("the task is %v (%v)", got, err)
	}
	want("no token", func() error {
		_, err := service.GetTask(context.Background(), v1.BatonServiceGetTaskRequest_builder{HostId: "h"}.Build())
		return err
	}(), codes.Unauthenticated)
	want("no host", heartbeat("", id), codes.InvalidArgument)
	want("no task id", heartbeat("h", ""), codes.InvalidArgument)
	want("right", heartbeat("h", id), codes.OK)
	_, err = service.Hello(ctx, v1.BatonServiceHelloRequest_builder{HostId: "h"}.Build())
	want("a hello without metadata", err, codes.InvalidArgument)
	_, err = service.Hello(ctx, v1.BatonServiceHelloRequest_builder{
		HostId: "h", ConnectorMetadata: v2.ConnectorMetadata_builder{DisplayName: "x"}.Build(),
	}.Build())
	want("a hello", err, codes.OK)

	data := bytes.Repeat([]byte("c1z"), 1000)
	sum := sha256.Sum256(data)
	upload := func(task string, sum []byte) error {
		stream, err := service.UploadAsset(ctx)
		if err != nil {
			return err
		}
		send := func(req v1.BatonServiceUploadAssetRequest_builder) {
			_ = stream.Send(req.Build()) // CloseAndRecv reports the error
		}
		send(v1.BatonServiceUploadAssetRequest_builder{
			Metadata: v1.BatonServiceUploadAssetRequest_UploadMetadata_builder{HostId: "h", TaskId: task}.Build(),
		})
		for _, part := range [][]byte{data[:1234], data[1234:]} {
			send(v1.BatonServiceUploadAssetRequest_builder{Data: v1.BatonServiceUploadAssetRequest_UploadData_builder{Data: part}.Build()})
		}
		if sum != nil {
			send(v1.BatonServiceUploadAssetRequest_builder{Eof: v1.BatonServiceUploadAssetRequest_UploadEOF_builder{Sha256Checksum: sum}.Build()})
		}
		_, err = stream.CloseAndRecv()
		return err
	}
	want("an upload with a wrong sum", upload(id, make([]byte, 32)), codes.DataLoss)
	want("an upload with a short sum", upload(id, sum[:31]), codes.InvalidArgument)
	want("an upload without an end", upload(id, nil), codes.InvalidArgument)
	want("an upload for another task", upload(strings.Repeat("x", 27), sum[:]), codes.NotFound)
	want("an upload", upload(id, sum[:]), codes.OK)
	event, err := c.plane.Wait(t.Context(), func(e Event) bool { return e.Method == "UploadAsset" })
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := os.ReadFile(event.File); err != nil || !bytes.Equal(kept, data) {
		t.Errorf("the upload was not kept as it came (%v)", err)
	}

	finish := func(b v1.BatonServiceFinishTaskRequest_builder) error {
		_, err := service.FinishTask(ctx, b.Build())
		return err
	}
	want("an end without an outcome", finish(v1.BatonServiceFinishTaskRequest_builder{HostId: "h", TaskId: id}), codes.InvalidArgument)
	done := v1.BatonServiceFinishTaskRequest_builder{HostId: "h", TaskId: id, Success: &v1.BatonServiceFinishTaskRequest_Success{}}
	want("an end", finish(done), codes.OK)
	want("a second end", finish(done), codes.NotFound)
	want("a heartbeat that the end overtook", heartbeat("h", id), codes.OK)
	if n := len(c.plane.Violations()); n != 11 {
		t.Errorf("%d violations were noted, not 11: %q", n, c.plane.Violations())
	}
}

// TestUnreachableIsUnreachable checks that an outage of the plane also cuts
// open connections, and that it ends.
func TestUnreachableIsUnreachable(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	token, refusal := c.token(c.assertion(c.plane.ClientSecret(), nil), "")
	if refusal != "" {
		t.Fatal(refusal)
	}
	service := v1.NewBatonServiceClient(c.dial())
	ask := func(opts ...grpc.CallOption) error {
		ctx, cancel := context.WithTimeout(with("authorization", "Bearer "+token), maxWait)
		defer cancel()
		_, err := service.GetTask(ctx, v1.BatonServiceGetTaskRequest_builder{HostId: "h"}.Build(), opts...)
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	c.plane.Unreachable()
	if err := ask(); status.Code(err) != codes.Unavailable {
		t.Errorf("an unreachable plane answers %v", err)
	}
	c.plane.Reachable()
	if err := ask(grpc.WaitForReady(true)); err != nil {
		t.Errorf("a plane that is back answers %v", err)
	}
	if v := c.plane.Violations(); len(v) != 0 {
		t.Errorf("an outage counts as a violation: %q", v)
	}
}
