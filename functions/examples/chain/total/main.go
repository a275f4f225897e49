// Command total is a function: it answers com.example.order.placed
// {"items": [{"name": "tea", "price": 350, "count": 2}]} with
// com.example.order.totalled, which has the items and their total (in cents).
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("POST /", total)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}

type order struct {
	Items []item `json:"items"`
	Total int    `json:"total"`
}

type item struct {
	Name  string `json:"name"`
	Price int    `json:"price"`
	Count int    `json:"count"`
}

func total(w http.ResponseWriter, r *http.Request) {
	var o order
	if err := json.NewDecoder(r.Body).Decode(&o); err != nil || len(o.Items) == 0 {
		http.Error(w, `want {"items": [{"name": …, "price": …, "count": …}]}`, http.StatusBadRequest)
		return
	}
	o.Total = 0
	for _, i := range o.Items {
		o.Total += i.Price * i.Count
	}
	log.Printf("total %d", o.Total)
	w.Header().Set("ce-specversion", "1.0")
	w.Header().Set("ce-type", "com.example.order.totalled")
	w.Header().Set("ce-source", "/examples/chain/total")
	w.Header().Set("ce-id", r.Header.Get("ce-id")+"-totalled")
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(o)
}
