// Command checksum is a function in a container: it answers com.example.uploaded
// with com.example.checksum, the SHA-256 of what was uploaded. It uses the standard
// library only.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	http.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	http.HandleFunc("POST /", checksum)
	server := &http.Server{Addr: ":" + os.Getenv("PORT"), ReadHeaderTimeout: 10 * time.Second}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		<-ctx.Done() // a replacement is there: what is under way is still answered
		ended <- server.Shutdown(context.Background())
	}()
	log.Print("checksum listens on port ", os.Getenv("PORT"))
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	if err := <-ended; err != nil {
		log.Fatal(err)
	}
}

func checksum(w http.ResponseWriter, r *http.Request) {
	h := sha256.New()
	n, err := io.Copy(h, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError) // it is tried again
		return
	}
	log.Printf("%d bytes of %s", n, r.Header.Get("ce-subject"))
	w.Header().Set("ce-specversion", "1.0")
	w.Header().Set("ce-type", "com.example.checksum")
	w.Header().Set("ce-source", "/examples/checksum")
	w.Header().Set("ce-id", r.Header.Get("ce-id")+"-checksum")
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"sha256": fmt.Sprintf("%x", h.Sum(nil)), "bytes": n})
}
