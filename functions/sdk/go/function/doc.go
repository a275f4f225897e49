// Package function is for functions of the Signalbox gateway in Go: a server that
// calls a handler with each event, for programs and containers.
//
//	func main() {
//		log.Fatal(function.Serve(func(ctx context.Context, e function.Event) ([]function.Event, error) {
//			return function.Reply("com.example.thumbnail", map[string]any{"of": e.Subject()})
//		}))
//	}
//
// Events are those of the CloudEvents SDK.
package function
