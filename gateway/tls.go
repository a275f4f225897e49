package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// TLSConfig names the files of a server that speaks TLS (1.2 or later). They are
// read again when they change; the connections there are stay as they are.
type TLSConfig struct {
	// CertFile and KeyFile are the server's certificate, with its chain, and its
	// key (PEM); both or none.
	CertFile, KeyFile string
	// ClientCAFile has the authorities (PEM) of client certificates, each of which
	// then is an identity; "" asks for none. A client may go without.
	ClientCAFile string
}

func (c TLSConfig) validate() error {
	var errs []error
	if (c.CertFile == "") != (c.KeyFile == "") {
		errs = append(errs, errors.New("CertFile and KeyFile: want both or none"))
	}
	if c.ClientCAFile != "" && c.CertFile == "" {
		errs = append(errs, errors.New("ClientCAFile: client certificates need CertFile and KeyFile"))
	}
	return errors.Join(errs...)
}

// certificates serve the certificate and the authorities that the files hold.
type certificates struct {
	config  TLSConfig
	current atomic.Pointer[tls.Config]
	// mu is held by who reads the files; read is what they held.
	mu   sync.Mutex
	read [3][]byte
}

// openCertificates reads the files; nil is no TLS.
func openCertificates(c TLSConfig) (*certificates, error) {
	if c.CertFile == "" {
		return nil, nil
	}
	s := &certificates{config: c}
	_, err := s.reload()
	return s, err
}

// server is the configuration of a server that always speaks by the files as
// they are now.
func (s *certificates) server() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.current.Load(), nil },
	}
}

// reload reads the files and reports whether they have changed. What cannot be
// used leaves in force what is.
func (s *certificates) reload() (changed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var read [3][]byte
	for i, file := range []string{s.config.CertFile, s.config.KeyFile, s.config.ClientCAFile} {
		if file == "" {
			continue
		}
		if read[i], err = os.ReadFile(file); err != nil {
			return false, err
		}
	}
	same := true
	for i := range read {
		same = same && bytes.Equal(read[i], s.read[i])
	}
	if same {
		return false, nil
	}
	next, err := s.parse(read)
	if err != nil {
		return false, err
	}
	s.read = read
	s.current.Store(next)
	return true, nil
}

// parse makes a configuration of the contents of the files. Tickets of sessions
// are not given: a session resumed would outlive its client's certificate.
func (s *certificates) parse(read [3][]byte) (*tls.Config, error) {
	cert, err := tls.X509KeyPair(read[0], read[1])
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", s.config.CertFile, s.config.KeyFile, err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}}
	if s.config.ClientCAFile == "" {
		return c, nil
	}
	c.ClientAuth, c.ClientCAs, c.SessionTicketsDisabled = tls.VerifyClientCertIfGiven, x509.NewCertPool(), true
	if !c.ClientCAs.AppendCertsFromPEM(read[2]) {
		return nil, fmt.Errorf("%s: holds no certificate (PEM)", s.config.ClientCAFile)
	}
	return c, nil
}

// tlsCheck is how often the files are looked at.
const tlsCheck = time.Second

// watch keeps the certificates at the files until ctx ends. A failure is logged
// when it begins: a file and its key are seldom replaced at the same moment.
func (s *certificates) watch(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(tlsCheck)
	defer tick.Stop()
	failed := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		changed, err := s.reload()
		switch {
		case err != nil && err.Error() != failed:
			failed = err.Error()
			log.Warn("the TLS certificate cannot be read again; the one before stays in force", "error", err)
		case err == nil:
			failed = ""
		}
		if changed {
			log.Info("the TLS certificate was read again", "cert", s.config.CertFile)
		}
	}
}
