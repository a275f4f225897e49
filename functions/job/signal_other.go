//go:build !unix

package job

import "os"

func signalled(state *os.ProcessState) ending { return ending{failed: true, reason: state.String()} }

// lock takes nothing here: what a crashed process has left stays.
func lock(*os.File) bool { return false }
