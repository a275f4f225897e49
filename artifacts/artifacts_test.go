package artifacts

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// write makes a directory with files; a name that ends in ! can be executed.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		name, executable := strings.CutSuffix(name, "!")
		mode := fs.FileMode(0o600)
		if executable {
			mode = 0o700
		}
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), mode)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func pack(t testing.TB, files map[string]string) ([]byte, Packed) {
	t.Helper()
	var b bytes.Buffer
	p, err := Pack(write(t, files), DefaultLimits(), nil, &b)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), p
}

// names lists the files of a directory.
func names(t testing.TB, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			all = append(all, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

func TestTheDigestFollowsFromTheFilesAlone(t *testing.T) {
	files := map[string]string{"a.py": "1", "b/c.py": "2", "run!": "3"}
	b, first := pack(t, files)
	dir := write(t, files)
	if err := errors.Join(os.Chtimes(filepath.Join(dir, "a.py"), time.Unix(1, 0), time.Unix(1, 0)), os.Chmod(filepath.Join(dir, "b/c.py"), 0o444)); err != nil {
		t.Fatal(err)
	}
	again, err := Pack(dir, DefaultLimits(), nil, new(bytes.Buffer))
	if err != nil || again != first || first.Files != 3 || first.Size != 3 {
		t.Errorf("%+v and %+v: %v", first, again, err)
	}
	if known := "sha256:f16d101c750086fd290c71b3ab7ca34dbbd06a56dd0c00eb92f87fcccc1eeb83"; first.Digest != known {
		t.Errorf("%s: want %s for ever, since what is stored keeps its name", first.Digest, known)
	}
	for name, other := range map[string]map[string]string{
		"another content":   {"a.py": "x", "b/c.py": "2", "run!": "3"},
		"another name":      {"a2.py": "1", "b/c.py": "2", "run!": "3"},
		"not executable":    {"a.py": "1", "b/c.py": "2", "run": "3"},
		"one file less":     {"a.py": "1", "run!": "3"},
		"content elsewhere": {"a.py": "2", "b/c.py": "1", "run!": "3"},
	} {
		if _, p := pack(t, other); p.Digest == first.Digest {
			t.Errorf("%s: the same digest", name)
		}
	}
	out := t.TempDir()
	if err := Unpack(bytes.NewReader(b), first.Digest, out, DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	if got, size, err := digestOf(out); got != first.Digest || size != 3 || err != nil {
		t.Errorf("unpacked it is %s of %d bytes: %v", got, size, err)
	}
	if info, err := os.Stat(filepath.Join(out, "run")); err != nil || info.Mode().Perm() != 0o555 {
		t.Errorf("%v %v", info, err)
	}
}

func TestWhatIsLeftOut(t *testing.T) {
	dir := write(t, map[string]string{
		"a.py": "", "b.log": "", "keep.log": "", ".git/config": "", "x/.git/HEAD": "", "__pycache__/a.pyc": "", "c.pyc": "", ".env": "",
		"node_modules/m/index.js": "", "venv/bin/python": "", "data/big": "", "sub/data/small": "", "build/out/x": "", "build/keep/y": "", "f.yaml": "", ".ssh/id": "", ".well-known/x": "",
		IgnoreFile: "# comment\n*.log\n!keep.log\n/data\nbuild/**/x\n!.well-known/\n",
	})
	var b bytes.Buffer
	p, err := Pack(dir, DefaultLimits(), func(name string) bool { return name == "f.yaml" }, &b)
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	if err := Unpack(&b, p.Digest, out, DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	if got := names(t, out); got != ".well-known/x a.py build/keep/y keep.log node_modules/m/index.js sub/data/small" {
		t.Error(got)
	}
}

func TestLinks(t *testing.T) {
	dir := write(t, map[string]string{"a.py": "content", "d/x": ""})
	link := func(to, name string) {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("a.py", "b.py")
	var b bytes.Buffer
	p, err := Pack(dir, DefaultLimits(), nil, &b)
	if err != nil || p.Files != 3 || p.Size != 14 {
		t.Errorf("a link to a file is packed as the file: %+v %v", p, err)
	}
	for _, to := range []string{"d", "/etc/passwd", "../../etc/passwd", "nowhere"} {
		link(to, "bad")
		if _, err := Pack(dir, DefaultLimits(), nil, new(bytes.Buffer)); err == nil {
			t.Errorf("a link to %s is packed", to)
		}
		if err := os.Remove(filepath.Join(dir, "bad")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTooMuchIsNotPacked(t *testing.T) {
	dir := write(t, map[string]string{"a": strings.Repeat("x", 600), "b": strings.Repeat("y", 600), "models/c": strings.Repeat("z", 5000)})
	for want, limits := range map[string]Limits{
		"mostly models 4.9 KiB": {Packed: 1 << 20, Unpacked: 2000, Files: 10},
		"more than 2 files":     {Packed: 1 << 20, Unpacked: 1 << 20, Files: 2},
		"too many bytes even":   {Packed: 50, Unpacked: 1 << 20, Files: 10},
	} {
		if _, err := Pack(dir, limits, nil, new(bytes.Buffer)); !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q", err, want)
		}
	}
}

// entry of a hostile archive.
type member struct {
	header  tar.Header
	content string
}

func hostile(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	w := tar.NewWriter(zip)
	for _, m := range members {
		if m.header.Size == 0 {
			m.header.Size = int64(len(m.content))
		}
		if err := w.WriteHeader(&m.header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(m.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func regular(name, content string) member {
	return member{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, content}
}

func TestHostileArchivesAreRefused(t *testing.T) {
	for name, b := range map[string][]byte{
		"path upwards":               hostile(t, regular("../x", "x")),
		"path upwards in the middle": hostile(t, regular("a/../../x", "x")),
		"absolute path":              hostile(t, regular("/etc/x", "x")),
		"path in two ways":           hostile(t, regular("./a", "x")),
		"double slash":               hostile(t, regular("a//b", "x")),
		"backslash":                  hostile(t, regular(`..\x`, "x")),
		"drive":                      hostile(t, regular(`c:x`, "x")),
		"control character":          hostile(t, regular("a\nb", "x")),
		"file twice":                 hostile(t, regular("a", "x"), regular("a", "y")),
		"file below a file":          hostile(t, regular("a", "x"), regular("a/b", "y")),
		"not in order":               hostile(t, regular("b", "x"), regular("a", "y")),
		"symbolic link":              hostile(t, member{tar.Header{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "/etc/passwd"}, ""}),
		"file through a link":        hostile(t, member{tar.Header{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "/tmp"}, ""}, regular("a/b", "x")),
		"hard link":                  hostile(t, member{tar.Header{Typeflag: tar.TypeLink, Name: "a", Linkname: "/etc/passwd"}, ""}),
		"device":                     hostile(t, member{tar.Header{Typeflag: tar.TypeChar, Name: "a", Devmajor: 1, Devminor: 3}, ""}),
		"directory":                  hostile(t, member{tar.Header{Typeflag: tar.TypeDir, Name: "a/"}, ""}),
		"deep":                       hostile(t, regular(strings.Repeat("a/", 70)+"x", "x")),
		"long name":                  hostile(t, regular(strings.Repeat("a", 1025), "x")),
		"no archive":                 []byte("hello"),
		"nothing":                    nil,
		"broken off":                 hostile(t, regular("a", strings.Repeat("x", 9000)))[:60],
		"something behind the end":   append(hostile(t, regular("a", "x")), "more"...),
		"another member of the gzip": append(hostile(t, regular("a", "x")), hostile(t, regular("b", strings.Repeat("x", 1<<20)))...),
		"bomb of many files":         hostile(t, many(40)...),
		"bomb of one file":           hostile(t, regular("a", strings.Repeat("\x00", 1<<20))),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			inside := filepath.Join(dir, "in")
			if err := os.Mkdir(inside, 0o755); err != nil {
				t.Fatal(err)
			}
			limits := Limits{Packed: 1 << 20, Unpacked: 100 << 10, Files: 30}
			// Whatever it is, it must not be taken for what it would be if all of it were right.
			_, err := check(bytes.NewReader(b), "sha256:"+strings.Repeat("0", 64), limits, nil)
			if err == nil || errors.Is(err, ErrDigest) && !errors.Is(err, ErrMalformed) {
				// "file below a file" and the like show when they are written.
				err = Unpack(bytes.NewReader(b), digestIn(t, b, limits), inside, limits)
			}
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooLarge) {
				t.Errorf("%v: want it refused", err)
			}
			if got := names(t, dir); strings.Contains(got, "..") || got != "" && !strings.HasPrefix(got, "in/") {
				t.Errorf("written: %s", got)
			}
		})
	}
}

func many(n int) (all []member) {
	for i := range n {
		all = append(all, regular(string(rune('A'+i/26))+string(rune('a'+i%26)), "x"))
	}
	return all
}

// digestIn is the digest that an archive has by what it holds.
func digestIn(t testing.TB, b []byte, limits Limits) string {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return ""
	}
	digest, _, _ := readArchive(zip, limits, nil)
	return digest
}

func FuzzUnpack(f *testing.F) {
	good, p := pack(f, map[string]string{"a.py": "print(1)", "b/c.cjs": "1", "run!": "x"})
	f.Add(good)
	f.Add(hostile(f, regular("../x", "x")))
	f.Add(hostile(f, member{tar.Header{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "/tmp"}, ""}, regular("a/b", "x")))
	limits := Limits{Packed: 1 << 16, Unpacked: 1 << 18, Files: 16}
	f.Fuzz(func(t *testing.T, b []byte) {
		outer := t.TempDir()
		dir := filepath.Join(outer, "in")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, digest := range []string{p.Digest, digestIn(t, b, limits)} {
			err := Unpack(bytes.NewReader(b), digest, dir, limits)
			if err == nil {
				if got, size, err := digestOf(dir); got != digest || size > limits.Unpacked || err != nil {
					t.Errorf("unpacked %s is %s of %d bytes: %v", digest, got, size, err)
				}
				break
			}
			if err := removeAll(dir); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		entries, err := os.ReadDir(outer)
		if err != nil || len(entries) != 1 {
			t.Errorf("beside the directory: %v %v", entries, err)
		}
	})
}
