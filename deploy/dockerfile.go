package deploy

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
)

// Dockerfile says how to make one.
type Dockerfile struct {
	// Dir is looked at for what there is to install.
	Dir      string
	Language Language
	// Command starts the program in a copy of the directory; of Go it is not needed.
	Command []string
	// Base is the image to begin with; "" is the language's own.
	Base string
}

// bases are the images that languages begin with.
func bases() map[Language]string {
	return map[Language]string{Go: "golang:1.26", Node: "node:24-slim", Python: "python:3.13-slim"}
}

// String is the Dockerfile.
func (d Dockerfile) String() (string, error) {
	if d.Base == "" {
		d.Base = bases()[d.Language]
	}
	if d.Language != Go && len(d.Command) == 0 {
		return "", fmt.Errorf("a Dockerfile of %s: want spec.command in the manifest, which starts the program", d.Language)
	}
	command, err := json.Marshal(d.Command)
	if err != nil {
		return "", err
	}
	switch d.Language {
	case Go:
		return fmt.Sprintf(`FROM %s AS build
WORKDIR /src
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /function .
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /function /function
%sENTRYPOINT ["/function"]
`, d.Base, d.settings()), nil
	case Node, Python:
		// Its own: files that only their author may read would be closed to who runs them.
		return fmt.Sprintf("FROM %s\nWORKDIR /app\n%sCOPY --chown=%d:%d . .\n%sCMD %s\n", d.Base, d.install(), User, User, d.settings(), command), nil
	}
	return "", ErrUnknownLanguage
}

// settings are the same for all.
func (d Dockerfile) settings() string {
	env := "ENV PORT=" + defaultPort + " SIGNALBOX_HOST=0.0.0.0"
	switch d.Language {
	case Python:
		env += " PYTHONUNBUFFERED=1"
	case Node:
		env += " NODE_ENV=production"
	}
	return fmt.Sprintf("%s\nEXPOSE %s\nUSER %d:%d\n", env, defaultPort, User, User)
}

// install is a layer of its own, so that it is made again only when what there is
// to install has changed.
func (d Dockerfile) install() string {
	has := func(name string) bool { return exists(filepath.Join(d.Dir, name)) }
	switch {
	case d.Language == Python && has("requirements.txt"):
		return "COPY requirements.txt .\nRUN pip install --no-cache-dir -r requirements.txt\n"
	case d.Language == Node && has("package-lock.json"):
		return "COPY package.json package-lock.json ./\nRUN npm ci --omit=dev\n"
	case d.Language == Node && has("package.json"):
		return "COPY package.json ./\nRUN npm install --omit=dev\n"
	}
	return ""
}

// Ignored is what a generated Dockerfile's build leaves out, for a .dockerignore.
func Ignored() string {
	return strings.Join([]string{".git", ".venv", "venv", "node_modules", "__pycache__", "**/*.pyc", ".signalbox", ".env", ""}, "\n")
}
