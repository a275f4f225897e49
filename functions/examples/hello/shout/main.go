// Command shout is a function: it answers com.example.greeted
// {"greeting": "Hello, Ada!"} with com.example.shouted {"greeting": "HELLO, ADA!"}.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
	"strings"
)

func main() {
	http.HandleFunc("POST /", shout)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}

func shout(w http.ResponseWriter, r *http.Request) {
	var greeted struct {
		Greeting string `json:"greeting"`
	}
	if err := json.NewDecoder(r.Body).Decode(&greeted); err != nil {
		// A 400 is final: trying again would not help. A 503 would be tried again.
		http.Error(w, `want {"greeting": "…"}: `+err.Error(), http.StatusBadRequest)
		return
	}
	loud := strings.ToUpper(greeted.Greeting)
	log.Print(loud)
	w.Header().Set("ce-specversion", "1.0")
	w.Header().Set("ce-type", "com.example.shouted")
	w.Header().Set("ce-source", "/examples/hello/shout")
	w.Header().Set("ce-id", r.Header.Get("ce-id")+"-shouted")
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"greeting": loud})
}
