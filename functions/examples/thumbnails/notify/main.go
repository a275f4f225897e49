// Command notify is a function: it tells somebody of each thumbnail. It is made with
// the SDK for Go; the dimensions are extensions of the event.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/signalbox-dev/signalbox/functions/sdk/go/function"
)

func main() { log.Fatal(function.Serve(notify)) }

func notify(ctx context.Context, e function.Event) ([]function.Event, error) {
	text := fmt.Sprintf("%s has a thumbnail of %v x %v, %d bytes", e.Subject(), e.Extensions()["width"], e.Extensions()["height"], len(e.Data()))
	function.Log(ctx).Info(text)
	replies, err := function.Reply("com.example.notified", map[string]string{"text": text})
	if err != nil {
		return nil, err
	}
	replies[0].SetSubject(e.Subject())
	return replies, nil
}
