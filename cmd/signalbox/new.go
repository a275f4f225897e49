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
// name, MODULE the same without characters that file names of modules must not have.
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
		written, err := writeSkeleton(language, name, dir)
		if err != nil {
			return err
		}
		for _, f := range written {
			fmt.Fprintln(cmd.OutOrStdout(), "wrote", f)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "run it:  signalbox dev %s\nthen:    signalbox emit com.example.%s.asked --data '{\"who\":\"Ada\"}' --wait\nlater:   signalbox deploy %s\n", dir, name, dir)
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
	files := map[string][]byte{}
	root := path.Join("skeletons", language)
	err = fs.WalkDir(skeletons, root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := skeletons.ReadFile(p)
		// Files that a build or a linter would take for its own end in .txt here.
		target := filepath.Join(dir, fill(strings.TrimSuffix(path.Base(p), ".txt"), name))
		files[target] = []byte(fill(string(content), name))
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

func fill(text, name string) string {
	module := strings.Map(func(r rune) rune {
		if r == '-' || r == '.' {
			return '_'
		}
		return r
	}, name)
	return strings.NewReplacer("MODULE", module, "NAME", name).Replace(text)
}
