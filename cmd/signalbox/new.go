package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/resource"
)

// skeletons are the files of new functions by language. NAME is the function's
// name, MODULE that of its script, see moduleOf.
//
//go:embed skeletons
var skeletons embed.FS

// languages are those that functions can be begun in.
func languages() []string { return []string{"python", "node", "go"} }

func newNew() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:     "new python|node|go NAME",
		Short:   "Begin a function: a manifest and a program that runs",
		Example: "  signalbox new python greet && signalbox dev greet",
		GroupID: "resources",
		Args:    cobra.ExactArgs(2),
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory to write to; it must not hold files of these names (default: the function's name)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		language, name := args[0], args[1]
		if !slices.Contains(languages(), language) {
			return usagef("language %q: want python, node or go", language)
		}
		if err := checkFunctionName(name); err != nil {
			return &usageError{err}
		}
		if dir == "" {
			dir = name
		}
		where := shellWord(dir)
		written, err := writeSkeleton(language, name, dir)
		if err != nil {
			return err
		}
		for _, f := range written {
			fmt.Fprintln(cmd.OutOrStdout(), "wrote", f)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "run it:  signalbox dev %s\nthen:    signalbox emit com.example.%s.asked --data '{\"who\":\"Ada\"}' --wait\nlater:   signalbox deploy %s\n", where, name, where)
		return nil
	}
	return cmd
}

// checkFunctionName refuses what could not be applied.
func checkFunctionName(name string) error {
	o := resource.Object{
		APIVersion: resource.APIVersion, Kind: resource.KindFunction, Metadata: resource.Metadata{Name: name}, Spec: []byte(`{"url":"http://localhost/"}`),
	}
	return o.Validate().Err()
}

// writeSkeleton writes the files of a language, or none of them.
func writeSkeleton(language, name, dir string) (written []string, err error) {
	files, module := map[string][]byte{}, moduleOf(language, name)
	root := path.Join("skeletons", language)
	err = fs.WalkDir(skeletons, root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := skeletons.ReadFile(p)
		// Files that a build or a linter would take for its own end in .txt here.
		target := filepath.Join(dir, fill(strings.TrimSuffix(path.Base(p), ".txt"), name, module))
		files[target] = []byte(fill(string(content), name, module))
		written = append(written, target)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, f := range written {
		if _, err := os.Lstat(f); !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s is there already: nothing was written", f)
		}
	}
	// #nosec G301 -- a project of the user's
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for _, f := range written {
		// #nosec G306 -- a project of the user's
		if err := os.WriteFile(f, files[f], 0o644); err != nil {
			return nil, err
		}
	}
	return written, nil
}

func fill(text, name, module string) string {
	return strings.NewReplacer("MODULE", module, "NAME", name).Replace(text)
}

// moduleOf is the function's name without characters that file names of modules must not
// have, and another one than those of modules that a program or a library may import: they
// would get the function instead.
func moduleOf(language, name string) string {
	module := strings.Map(func(r rune) rune {
		if r == '-' || r == '.' {
			return '_'
		}
		return r
	}, name)
	if language == "python" && slices.Contains(strings.Fields(pythonModules), module) {
		module += "_function"
	}
	return module
}

// pythonModules are the SDK and, of Python's library (3.9 to 3.14), what a function may be called.
const pythonModules = `signalbox fx_ef
abc annotationlib argparse array ast asynchat asyncio asyncore atexit base64 bdb bisect builtins bz2 calendar cgi chunk cmath cmd code
codecs collections compression concurrent contextlib contextvars copy copyreg crypt csv ctypes curses dataclasses datetime dbm decimal
difflib dis doctest email encodings enum errno fcntl fractions functools gc getopt getpass gettext glob graphlib gzip hashlib heapq hmac
html http imaplib imp importlib inspect io ipaddress itertools json keyword linecache locale logging lzma mailbox marshal math mimetypes
mmap multiprocessing netrc numbers opcode operator os pathlib pdb pickle pipes pkgutil platform plistlib posix posixpath pprint profile
pstats pty pwd queue quopri random re readline reprlib resource runpy sched secrets select selectors shelve shlex shutil signal site
smtplib socket socketserver sqlite3 ssl stat statistics string stringprep struct subprocess symtable sys sysconfig syslog tarfile
tempfile termios test textwrap this threading time timeit token tokenize tomllib trace traceback tracemalloc tty turtle types typing
unicodedata unittest urllib uuid venv warnings wave weakref webbrowser xml xmlrpc zipapp zipfile zipimport zlib zoneinfo`

// shellWord is text as a shell takes it for one word.
func shellWord(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r > 127 || strings.ContainsRune("-_./+:@%,=", r)
	}
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool { return !plain(r) }) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
