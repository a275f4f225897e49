package artifacts

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// IgnoreFile names what is left out of an artifact, one pattern a line, as
// .gitignore does: * and ? within a name, ** over directories, a / at the end for
// directories only, one at the beginning or in the middle for a path from the top,
// ! to take in again, # for a comment.
const IgnoreFile = ".signalboxignore"

// alwaysIgnored is what a function does not need, and names with a dot, behind
// which histories, environments and credentials lie; an ignore file can take them
// in again. Dependencies in node_modules are packed: nobody fetches them later.
const alwaysIgnored = ".*\nvenv/\n__pycache__/\n*.pyc\n"

// maxIgnore bounds the ignore file, in bytes.
const maxIgnore = 64 << 10

type pattern struct {
	// parts are those of the path; ** stands for any number of them.
	parts       []string
	negated     bool
	directories bool
}

type ignore []pattern

func readIgnore(root *os.Root) (ignore, error) {
	patterns := parseIgnore(alwaysIgnored)
	f, err := root.Open(IgnoreFile)
	if errors.Is(err, fs.ErrNotExist) {
		return patterns, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxIgnore+1))
	if err == nil && len(text) > maxIgnore {
		err = fmt.Errorf("%s: want at most %d bytes", IgnoreFile, maxIgnore)
	}
	return append(patterns, parseIgnore(string(text))...), err
}

func parseIgnore(text string) (all ignore) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		var p pattern
		line, p.negated = strings.CutPrefix(line, "!")
		line, p.directories = strings.CutSuffix(line, "/")
		anchored := strings.Contains(line, "/")
		line = strings.TrimPrefix(line, "/")
		p.parts = strings.Split(line, "/")
		if !anchored {
			p.parts = append([]string{"**"}, p.parts...)
		}
		all = append(all, p)
	}
	return all
}

// has reports whether a path is left out; the last pattern that fits decides.
func (all ignore) has(name string, dir bool) bool {
	parts := strings.Split(name, "/")
	for i := len(all) - 1; i >= 0; i-- {
		if p := &all[i]; (dir || !p.directories) && fits(p.parts, parts) {
			return !p.negated
		}
	}
	return false
}

// fits goes through the pattern once, with all that can be reached at a time, so that
// it takes no more than the product of both lengths.
func fits(pattern, parts []string) bool {
	reach := make([]bool, len(parts)+1) // reach[i]: the pattern so far fits the first i parts
	reach[0] = true
	for _, p := range pattern {
		next := make([]bool, len(parts)+1)
		if p == "**" {
			open := false
			for i := range reach {
				open = open || reach[i]
				next[i] = open
			}
		} else {
			for i := range parts {
				ok, err := path.Match(p, parts[i])
				next[i+1] = reach[i] && ok && err == nil
			}
		}
		reach = next
	}
	return reach[len(parts)]
}
