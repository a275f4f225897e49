package settings

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// MountsVar names the directory below which a local program finds its mounts:
// the file /etc/app/token is at $SIGNALBOX_MOUNTS/etc/app/token.
const MountsVar = "SIGNALBOX_MOUNTS"

// WriteFiles writes files below a new directory of root, which only this user can
// enter. root is made if it is not there. Whoever calls it removes the directory.
// No files are no directory: "".
func WriteFiles(root string, files []File) (dir string, err error) {
	if len(files) == 0 {
		return "", nil
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return "", fmt.Errorf("mounts: %w", err)
	}
	if dir, err = os.MkdirTemp(root, "mounts-"); err != nil { // of mode 0700
		return "", fmt.Errorf("mounts: %w", err)
	}
	for _, f := range files {
		name := filepath.Join(dir, filepath.FromSlash(f.Path)) // a mount's path is clean and absolute
		if err = os.MkdirAll(filepath.Dir(name), 0o700); err == nil {
			err = os.WriteFile(name, f.Data, 0o600)
		}
		if err != nil {
			return "", errors.Join(fmt.Errorf("mount %s: %w", f.Path, err), os.RemoveAll(dir))
		}
	}
	return dir, nil
}

// RemoveFiles removes what WriteFiles made; "" is nothing.
func RemoveFiles(dir string) error {
	if dir == "" {
		return nil
	}
	return os.RemoveAll(dir)
}
