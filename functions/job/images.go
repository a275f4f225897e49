package job

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// images sees to it that the engine has the images of jobs.
type images struct {
	c    *Config
	life context.Context
	end  context.CancelFunc
	work sync.WaitGroup

	mu sync.Mutex
	of map[imageKey]*image
}

// imageKey is an image as a version of a function wants it: one that is to be fetched
// always is fetched once for each version.
type imageKey struct{ image, pull, version string }

// image is on its way, there, or cannot be had: then err says why, until again.
type image struct {
	done  bool
	err   error
	again time.Time
}

// imageRetry is the pause before an image that could not be had is asked for again.
const imageRetry = 5 * time.Second

func newImages(c *Config) *images {
	i := &images{c: c, of: map[imageKey]*image{}}
	i.life, i.end = context.WithCancel(context.Background())
	return i
}

func keyOf(fn *resource.Function) imageKey {
	k := imageKey{image: fn.Spec.Job.Image, pull: fn.Spec.Container.WithDefaults().Pull}
	if k.pull == resource.PullAlways {
		k.version = nameOf(fn)
	}
	return k
}

var errFetching = errors.New("its image is being fetched")

// ready says why the image cannot be run now, and has it fetched.
func (i *images) ready(fn *resource.Function) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	k := keyOf(fn)
	one := i.of[k]
	switch {
	case one == nil:
		one = &image{}
		i.of[k] = one
	case one.done:
		return nil
	case one.err == nil:
		return errFetching
	case i.c.Now().Before(one.again):
		return one.err
	default:
		one.err = nil
	}
	if i.life.Err() == nil {
		i.work.Go(func() { i.fetch(k, one) })
	}
	return errFetching
}

func (i *images) fetch(k imageKey, one *image) {
	err := i.c.Engine.Pull(i.life, k.image, k.pull)
	i.mu.Lock()
	defer i.mu.Unlock()
	if err != nil {
		one.err, one.again = fmt.Errorf("its image cannot be had: %w", err), i.c.Now().Add(imageRetry)
		i.c.Log.Warn("the image of a job cannot be had", "image", k.image, "error", err)
		return
	}
	one.done = true
}

// gone forgets an image that is not there any more.
func (i *images) gone(fn *resource.Function) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.of, keyOf(fn))
}

func (i *images) close() {
	i.end()
	i.work.Wait()
}
