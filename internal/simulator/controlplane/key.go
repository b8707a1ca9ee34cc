package controlplane

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// discard drops the HTTP server's messages about connections that tests cut on purpose.
var discard = log.New(io.Discard, "", 0)

// key is a connector's credential.
type key struct {
	public ed25519.PublicKey
	// text is the client secret as a user pastes it: two parts that only C1
	// uses, the version, and the private key as a JWK.
	text string
}

func newKey() *key {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // the system has no randomness
	}
	jwk, err := (&jose.JSONWebKey{Key: private}).MarshalJSON()
	if err != nil {
		panic(err)
	}
	return &key{public: public, text: "secret-token:loopback:v1:" + base64.RawURLEncoding.EncodeToString(jwk)}
}

// random returns a text that cannot be guessed.
func random() string { return rand.Text() }

// newCertificate makes a certificate for loopback and, in PEM, the authority
// that signed it.
func newCertificate() (certificate tls.Certificate, authority []byte) {
	check := func(err error) {
		if err != nil {
			panic(err) // no input can cause this
		}
	}
	now := time.Now()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	ca := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "loopback control plane CA"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	check(err)
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: "loopback control plane"},
		NotBefore:    ca.NotBefore,
		NotAfter:     ca.NotAfter,
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &leafKey.PublicKey, caKey)
	check(err)
	var text bytes.Buffer
	check(pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: caDER}))
	return tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: leafKey}, text.Bytes()
}
