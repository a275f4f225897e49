//go:build failpoint

package failpoint

import (
	"fmt"
	"os"
	"sync"
)

// ordered are the orders of the environment. Package state, which nothing else
// in this module has: a failpoint that had to be passed to every function
// would change the code that it is there to try.
var ordered = sync.OnceValue(func() *orders {
	o, err := parse(os.Getenv(Variable))
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", Variable, err)
		os.Exit(2)
	}
	return o
})

// Hit says that the process has come to a point. Told to die there, it does not
// return. It may be called from any goroutine.
func Hit(p Point) { ordered().hit(p) }
