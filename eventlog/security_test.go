package eventlog_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/eventlog/eventlogtest"
	"github.com/twmb/franz-go/pkg/kfake"
)

// selfSigned is a certificate for loopback and the PEM file that vouches for it.
func selfSigned(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

func TestSecure(t *testing.T) {
	cert, ca := selfSigned(t)
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser(mechanism, "box", "right-one"),
				kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}}), kfake.GroupMinSessionTimeout(time.Millisecond))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(cluster.Close)
			password := filepath.Join(t.TempDir(), "password")
			if err := os.WriteFile(password, []byte("right-one\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			eventlogtest.RunSecure(t, func(testing.TB) eventlog.Config {
				cfg := eventlog.DefaultConfig()
				cfg.Brokers = cluster.ListenAddrs()
				cfg.Embedded = true
				cfg.TLS = eventlog.TLS{CAFile: ca}
				cfg.SASL = eventlog.SASL{Mechanism: mechanism, User: "box", PasswordFile: password}
				return cfg
			})
		})
	}
}
