// Command knative-check reads a Knative Service as JSON and says what Knative's own admission would refuse in it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"knative.dev/pkg/apis"
	"knative.dev/serving/pkg/apis/serving/v1"
)

func main() {
	var s v1.Service
	d := json.NewDecoder(os.Stdin)
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx := apis.WithinCreate(context.Background())
	s.SetDefaults(ctx)
	if err := s.Validate(ctx); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
