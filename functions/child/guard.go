package child

import (
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"sync"
)

// guardScript keeps the process groups it is told of and kills them when its
// input ends without having taken them back: that is, when Signalbox was
// killed. Then it removes the directories it was told of. A parent death signal reaches the programs only, not what they
// started, such as the server below `go run`.
const guardScript = `groups=
while read -r op group; do
  case $op in
  +) groups="$groups $group" ;;
  -) left=
     for g in $groups; do [ "$g" = "$group" ] || left="$left $g"; done
     groups=$left ;;
  d) set -- "$@" "$group" ;;
  esac
done
for g in $groups; do kill -s KILL -- "-$g"; done
[ $# = 0 ] || rm -rf -- "$@"`

// guard is the shell that runs guardScript, started with the first program.
// Where there is no shell, nothing is guarded, which is logged once.
type guard struct {
	log *slog.Logger

	mu    sync.Mutex
	tried bool
	cmd   *exec.Cmd
	input io.WriteCloser
	// dirs are removed at the end.
	dirs []string
}

// open starts the guard, before the first program, so that little time passes
// between a program's start and add.
func (g *guard) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.tried {
		return
	}
	g.tried = true
	if err := g.start(); err != nil {
		g.log.Warn("programs may outlive a killed Signalbox: their guard does not run", "cause", err)
	}
	for _, dir := range g.dirs {
		g.write("d " + dir)
	}
}

func (g *guard) add(group int)    { g.tell('+', group) }
func (g *guard) remove(group int) { g.tell('-', group) }

func (g *guard) tell(op rune, group int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.write(fmt.Sprintf("%c %d", op, group))
}

// write tells the shell one line; g.mu is held.
func (g *guard) write(line string) {
	if g.input == nil {
		return
	}
	if _, err := io.WriteString(g.input, line+"\n"); err != nil {
		g.log.Warn("programs may outlive a killed Signalbox: their guard is gone", "cause", err)
		g.end()
	}
}

// start runs the shell in a session of its own, so that no signal from the
// terminal ends it before us.
func (g *guard) start() error {
	cmd := exec.Command("sh", "-c", guardScript)
	cmd.Dir = "/"
	cmd.SysProcAttr = sessionAttr()
	input, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	g.cmd, g.input = cmd, input
	return nil
}

// close lets the shell end and waits for it.
func (g *guard) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.end()
}

func (g *guard) end() {
	if g.input == nil {
		return
	}
	_ = g.input.Close()
	_ = g.cmd.Wait()
	g.input = nil
}
