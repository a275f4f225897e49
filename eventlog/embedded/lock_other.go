//go:build !unix

package embedded

import (
	"os"
	"path/filepath"
)

// lockDir only opens the file: elsewhere there is no lock that ends with the
// process in the standard library.
func lockDir(dir string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, "LOCK"), os.O_CREATE|os.O_RDWR, 0o644)
}
