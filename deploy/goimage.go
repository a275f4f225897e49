package deploy

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// User is whom functions run as in images that are made here.
const User = 65532

// Where programs of images listen unless they are told otherwise.
const defaultPort = "8080"

// GoImage says how to make an image of a Go program.
type GoImage struct {
	// Dir is where the go command is run, Package what it builds; "" is ".".
	Dir, Package string
	// Platform is os/arch; "" is linux and this machine's architecture.
	Platform string
	// Args are given to the program.
	Args []string
	// Output gets what the go command says.
	Output io.Writer
}

// Build builds a static program and puts it into an image of its own: the program,
// the certificates of authorities, a user and a directory for temporary files. The
// same program gives the same image.
func (g GoImage) Build(ctx context.Context) (v1.Image, error) {
	system, arch, err := g.platform()
	if err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp("", "signalbox-deploy-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)
	program := filepath.Join(temp, "function")
	if err := g.compile(ctx, system, arch, program); err != nil {
		return nil, err
	}
	layer, err := goLayer(program)
	if err != nil {
		return nil, err
	}
	return g.image(system, arch, layer)
}

func (g GoImage) platform() (system, arch string, err error) {
	if g.Platform == "" {
		return "linux", runtime.GOARCH, nil
	}
	system, arch, ok := strings.Cut(g.Platform, "/")
	if !ok || system == "" || arch == "" || strings.Contains(arch, "/") {
		return "", "", fmt.Errorf("platform %q: want os/arch, such as linux/arm64", g.Platform)
	}
	return system, arch, nil
}

func (g GoImage) compile(ctx context.Context, system, arch, program string) error {
	pkg := g.Package
	if pkg == "" {
		pkg = "."
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-o", program, pkg)
	cmd.Dir = g.Dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch)
	return tell(cmd, g.Output, "go build")
}

// tell runs a program; what it says goes to output, unless that is nil, and its end
// into the error.
func tell(cmd *exec.Cmd, output io.Writer, what string) error {
	var said bytes.Buffer
	to := io.Writer(&said)
	if output != nil {
		to = io.MultiWriter(output, &said)
	}
	cmd.Stdout, cmd.Stderr = to, to
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", what, err, lastLines(said.String()))
	}
	return nil
}

// lastLines is the end of what a program said.
func lastLines(s string) string {
	const most = 800
	if s = strings.TrimSpace(s); len(s) > most {
		s = "…" + s[len(s)-most:]
	}
	return s
}

func (g GoImage) image(system, arch string, layer v1.Layer) (v1.Image, error) {
	image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), layer)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = system, arch, v1.Time{}
	config.Config = v1.Config{
		Entrypoint: []string{"/function"}, Cmd: g.Args, User: fmt.Sprintf("%d:%d", User, User), WorkingDir: "/",
		Env:          []string{"PATH=/", "PORT=" + defaultPort, "SIGNALBOX_HOST=0.0.0.0", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"},
		ExposedPorts: map[string]struct{}{defaultPort + "/tcp": {}},
	}
	return mutate.ConfigFile(image, config)
}

// goLayer is the one layer of an image.
func goLayer(program string) (v1.Layer, error) {
	content, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	passwd := fmt.Sprintf("root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:%d:%d:nonroot:/tmp:/sbin/nologin\n", User, User)
	files := []layerFile{
		{name: "etc/", mode: 0o755}, {name: "etc/passwd", mode: 0o644, content: []byte(passwd)},
		{name: "etc/ssl/", mode: 0o755}, {name: "etc/ssl/certs/", mode: 0o755},
	}
	if authorities := systemAuthorities(); authorities != nil {
		files = append(files, layerFile{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, content: authorities})
	}
	files = append(files, layerFile{name: "function", mode: 0o755, content: content}, layerFile{name: "tmp/", mode: 0o1777})
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		if err := f.write(w); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer))
}

// layerFile is a file of a layer, or a directory where its name ends in a slash.
type layerFile struct {
	name    string
	mode    int64
	content []byte
}

func (f *layerFile) write(w *tar.Writer) error {
	h := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content)), ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
	if strings.HasSuffix(f.name, "/") {
		h.Typeflag = tar.TypeDir
	}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := w.Write(f.content)
	return err
}

// systemAuthorities are the certificates that this machine trusts; nil: it has none.
func systemAuthorities() []byte {
	files := []string{os.Getenv("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"}
	for _, file := range files {
		if b, err := os.ReadFile(file); err == nil && len(b) > 0 {
			return b
		} else if err != nil && !errors.Is(err, os.ErrNotExist) {
			continue
		}
	}
	return nil
}
