package dispatcher_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
)

func newTLSServer(t *testing.T) string {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}
