package settings

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFilesAreWrittenWhereOnlyTheUserCanGo(t *testing.T) {
	root := filepath.Join(t.TempDir(), "deep", "root")
	dir, err := WriteFiles(root, []File{{Path: "/etc/app/token", Data: []byte("s3cret")}, {Path: "/mode", Data: nil}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "etc", "app", "token")); err != nil || string(got) != "s3cret" {
		t.Errorf("%q, %v", got, err)
	}
	for path, want := range map[string]os.FileMode{root: 0o700, dir: 0o700, dir + "/etc/app": 0o700, dir + "/etc/app/token": 0o600, dir + "/mode": 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v, want %v", path, info.Mode(), err, want)
		}
	}
	if err := RemoveFiles(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("after removal: %v", err)
	}
}

func TestNothingIsLeftOfFilesThatCannotBe(t *testing.T) {
	root := t.TempDir()
	if _, err := WriteFiles(root, []File{{Path: "/a"}, {Path: "/a/b"}}); err == nil {
		t.Fatal("a file was also a directory")
	}
	if left, err := os.ReadDir(root); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

func TestNoFilesNeedNoDirectory(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	if dir, err := WriteFiles(root, nil); dir != "" || err != nil {
		t.Errorf("%q %v", dir, err)
	}
	if err := RemoveFiles(""); err != nil {
		t.Error(err)
	}
}
