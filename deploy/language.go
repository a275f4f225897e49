package deploy

import (
	"os"
	"path/filepath"
)

// Language is what a function is written in.
type Language string

// The languages that are known.
const (
	Go     Language = "go"
	Node   Language = "node"
	Python Language = "python"
)

// LanguageOf tells by its files what is in a directory.
func LanguageOf(dir string) (Language, error) {
	for _, sign := range []struct {
		pattern string
		is      Language
	}{
		{"go.mod", Go}, {"package.json", Node}, {"requirements.txt", Python}, {"pyproject.toml", Python},
		{"*.go", Go}, {"*.py", Python}, {"*.js", Node}, {"*.mjs", Node}, {"*.cjs", Node},
	} {
		found, err := filepath.Glob(filepath.Join(dir, sign.pattern))
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			return sign.is, nil
		}
	}
	return "", ErrUnknownLanguage
}

// HasDockerfile reports whether a directory says itself how to build it.
func HasDockerfile(dir string) bool { return exists(filepath.Join(dir, "Dockerfile")) }

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
