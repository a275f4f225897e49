// Command greet is a function: it answers com.example.hello {"name": "Ada"}
// with com.example.greeted {"greeting": "Hello, Ada!"}.
package main

import (
	"cmp"
	"encoding/json"
	"log"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("POST /", greet)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}

// greet gets an event: its attributes are the ce- headers, its data the body.
// A 200 with ce- headers of its own is an event too, the reply.
func greet(w http.ResponseWriter, r *http.Request) {
	var hello struct {
		Name string `json:"name"`
	}
	if err := json.NewDecoder(r.Body).Decode(&hello); err != nil && r.ContentLength != 0 {
		http.Error(w, `want {"name": "…"}: `+err.Error(), http.StatusBadRequest)
		return
	}
	log.Printf("hello from %q, attempt %s", hello.Name, r.Header.Get("Signalbox-Attempt"))
	w.Header().Set("ce-specversion", "1.0")
	w.Header().Set("ce-type", "com.example.greeted")
	w.Header().Set("ce-source", "/examples/hello/greet")
	// The same event gives the same id, however often it is delivered.
	w.Header().Set("ce-id", r.Header.Get("ce-id")+"-greeted")
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"greeting": "Hello, " + cmp.Or(hello.Name, "world") + "!"})
}
