package controlplane

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	v1 "github.com/conductorone/baton-sdk/pb/c1/connectorapi/baton/v1"
)

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523, section 2.2
	tokenLife     = 10 * time.Minute
	clockSkew     = 3 * time.Minute
)

// token is an access token that the plane gave out.
type token struct {
	expires time.Time
	// thumbprint binds the token to a DPoP key (RFC 9449, section 6); empty
	// for a bearer token.
	thumbprint string
}

// token answers POST /auth/v1/token. A request without a DPoP proof comes from
// a self-hosted connector and gets a bearer token. A request with a proof comes
// from a cloud-hosted connector. It is challenged for a nonce (RFC 9449,
// section 8) and gets a token bound to its key.
func (p *Plane) token(w http.ResponseWriter, r *http.Request) {
	refuse := func(code int, kind, why string) {
		if kind != "use_dpop_nonce" {
			p.violation("token: " + why)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": kind, "error_description": why})
	}
	if answer := p.tokenAnswer(); answer != nil {
		p.note(Event{Method: "Token"})
		answer(w)
		return
	}
	if err := r.ParseForm(); err != nil {
		refuse(http.StatusBadRequest, "invalid_request", "the body is not a form")
		return
	}
	for name, want := range map[string]string{
		"client_id":             p.clientID,
		"grant_type":            "client_credentials",
		"client_assertion_type": assertionType,
	} {
		if got := r.PostForm.Get(name); got != want {
			refuse(http.StatusUnauthorized, "invalid_client", fmt.Sprintf("%s is %q", name, got))
			return
		}
	}
	identity, err := p.checkAssertion(r.PostForm.Get("client_assertion"))
	if err != nil {
		refuse(http.StatusUnauthorized, "invalid_client", err.Error())
		return
	}
	issued, kind := &token{expires: time.Now().Add(tokenLife)}, "Bearer"
	if proof := r.Header.Get("DPoP"); proof != "" {
		if err := checkIdentity(identity); err != nil {
			refuse(http.StatusUnauthorized, "invalid_client", err.Error())
			return
		}
		checked, err := p.checkProof(proof, "https://"+r.Host+r.URL.Path, "")
		if err != nil {
			refuse(http.StatusBadRequest, "invalid_dpop_proof", err.Error())
			return
		}
		if checked.nonce != p.nonce {
			w.Header().Set("DPoP-Nonce", p.nonce)
			refuse(http.StatusBadRequest, "use_dpop_nonce", "a nonce is required")
			return
		}
		issued.thumbprint, kind = checked.thumbprint, "DPoP"
	}
	text := random()
	p.mu.Lock()
	p.issued[text] = issued
	p.mu.Unlock()
	p.note(Event{Method: "Token"})
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"access_token": text, "token_type": kind, "expires_in": int(tokenLife.Seconds()),
	})
}

// AnswerTokens sets the answers to the next token requests, in this order.
func (p *Plane) AnswerTokens(answers ...func(http.ResponseWriter)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tokenAnswers = append(p.tokenAnswers, answers...)
}

// tokenAnswer takes the next answer that a test has set, or nil.
func (p *Plane) tokenAnswer() func(http.ResponseWriter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.tokenAnswers) == 0 {
		return nil
	}
	answer := p.tokenAnswers[0]
	p.tokenAnswers = p.tokenAnswers[1:]
	return answer
}

// checkAssertion verifies a client assertion (RFC 7523, section 3) and
// returns its id_att claim, which only cloud-hosted connectors send.
func (p *Plane) checkAssertion(assertion string) (string, error) {
	signed, err := jwt.ParseSigned(assertion, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return "", fmt.Errorf("the client assertion is not an EdDSA JWS: %w", err)
	}
	var claims jwt.Claims
	var more struct {
		Identity string `json:"id_att"`
	}
	if err := signed.Claims(p.secret.public, &claims, &more); err != nil {
		return "", fmt.Errorf("the client assertion is not signed with the client secret: %w", err)
	}
	host, _, err := net.SplitHostPort(p.Host())
	if err != nil {
		return "", err
	}
	err = claims.Validate(jwt.Expected{
		Issuer: p.clientID, Subject: p.clientID, AnyAudience: jwt.Audience{host}, Time: time.Now(),
	})
	switch {
	case err != nil:
		return "", fmt.Errorf("the client assertion's claims: %w", err)
	case claims.Expiry == nil || claims.NotBefore == nil || claims.IssuedAt == nil:
		return "", errors.New("the client assertion has no exp, nbf or iat")
	case claims.Expiry.Time().After(time.Now().Add(10 * time.Minute)):
		return "", errors.New("the client assertion lives too long")
	}
	return more.Identity, nil
}

// checkIdentity verifies the form of a cloud-hosted connector's identity: a
// signed STS GetCallerIdentity request, which C1 would send to AWS.
func checkIdentity(text string) error {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) == 0 {
		return errors.New("the client assertion has no id_att")
	}
	var wrapped anypb.Any
	var request v1.Sigv4SignedRequestSTSGetCallerIdentity
	if err := proto.Unmarshal(raw, &wrapped); err != nil {
		return fmt.Errorf("id_att: %w", err)
	}
	if err := wrapped.UnmarshalTo(&request); err != nil {
		return fmt.Errorf("id_att: %w", err)
	}
	for _, header := range request.GetHeaders() {
		if strings.EqualFold(header.GetKey(), "Authorization") &&
			slices.ContainsFunc(header.GetValue(), func(v string) bool { return strings.HasPrefix(v, "AWS4-HMAC-SHA256 ") }) {
			return nil
		}
	}
	return errors.New("id_att is not signed")
}

// proof is a verified DPoP proof.
type proof struct {
	key        ed25519.PublicKey
	thumbprint string
	nonce      string
}

// checkProof verifies a DPoP proof (RFC 9449, section 4.3) of a POST to a URL,
// with the access token if there is one.
func (p *Plane) checkProof(text, url, accessToken string) (*proof, error) {
	signed, err := jose.ParseSigned(text, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil || len(signed.Signatures) != 1 {
		return nil, errors.New("the DPoP proof is not an EdDSA JWS")
	}
	header := signed.Signatures[0].Protected
	if header.ExtraHeaders[jose.HeaderType] != "dpop+jwt" || header.JSONWebKey == nil || !header.JSONWebKey.IsPublic() {
		return nil, errors.New("the DPoP proof has no type or no public key")
	}
	payload, err := signed.Verify(header.JSONWebKey)
	if err != nil {
		return nil, fmt.Errorf("the DPoP proof's signature: %w", err)
	}
	var claims struct {
		ID     string           `json:"jti"`
		Method string           `json:"htm"`
		URL    string           `json:"htu"`
		Token  string           `json:"ath"`
		Nonce  string           `json:"nonce"`
		Issued *jwt.NumericDate `json:"iat"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, fmt.Errorf("the DPoP proof's claims: %w", err)
	}
	key, ok := header.JSONWebKey.Key.(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("the DPoP proof's key is not Ed25519")
	}
	thumbprint, err := header.JSONWebKey.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	seen := p.proofs[claims.ID]
	p.proofs[claims.ID] = true
	p.mu.Unlock()
	switch {
	case claims.Method != http.MethodPost || claims.URL != url:
		return nil, fmt.Errorf("the DPoP proof is for %s %s, not for POST %s", claims.Method, claims.URL, url)
	case claims.ID == "" || seen:
		return nil, errors.New("the DPoP proof is not new")
	case claims.Issued == nil || time.Since(claims.Issued.Time()).Abs() > clockSkew:
		return nil, errors.New("the DPoP proof is not of now")
	case accessToken != "" && claims.Token != hash(accessToken):
		return nil, errors.New("the DPoP proof is not for this access token")
	}
	return &proof{key: key, thumbprint: string(thumbprint), nonce: claims.Nonce}, nil
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// authorize checks an RPC's access token. If the token is bound to a key, it
// also checks the proof and returns it.
func (p *Plane) authorize(ctx context.Context, method string) (*proof, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	first := func(name string) string {
		if values := md.Get(name); len(values) > 0 {
			return values[0]
		}
		return ""
	}
	kind, text, _ := strings.Cut(first("authorization"), " ")
	p.mu.Lock()
	issued := p.issued[text]
	p.mu.Unlock()
	switch {
	case issued == nil || time.Now().After(issued.expires):
		return nil, status.Error(codes.Unauthenticated, "no valid access token")
	case issued.thumbprint == "" && strings.EqualFold(kind, "Bearer"):
		return nil, nil
	case issued.thumbprint == "" || kind != "DPoP":
		return nil, status.Error(codes.Unauthenticated, "an access token of another type")
	}
	checked, err := p.checkProof(first("dpop"), "https://"+p.Host()+method, text)
	if err != nil {
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	if checked.thumbprint != issued.thumbprint {
		return nil, status.Error(codes.Unauthenticated, "the access token is bound to another key")
	}
	return checked, nil
}

type proofKey struct{}

// unary lets only authorized, well-formed requests through and records them.
func (p *Plane) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	resp, err := func() (any, error) {
		checked, err := p.authorize(ctx, info.FullMethod)
		if err != nil {
			return nil, err
		}
		if err := validate(req); err != nil {
			return nil, err
		}
		return handler(context.WithValue(ctx, proofKey{}, checked), req)
	}()
	if err != nil {
		p.violation(info.FullMethod + ": " + err.Error())
		return nil, err
	}
	return resp, nil
}

// stream lets only authorized streams through.
func (p *Plane) stream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	_, err := p.authorize(stream.Context(), info.FullMethod)
	if err == nil {
		err = handler(server, stream)
	}
	// A stream that ends because its connection ends is an outage, not a breach.
	if err != nil && status.Code(err) != codes.Canceled {
		p.violation(info.FullMethod + ": " + err.Error())
	}
	return err
}

// validate applies the rules in the protocol's definition.
func validate(message any) error {
	rules, ok := message.(interface{ ValidateAll() error })
	if !ok {
		return status.Errorf(codes.Internal, "%T has no rules", message)
	}
	if err := rules.ValidateAll(); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	return nil
}
