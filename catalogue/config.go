package catalogue

import (
	"errors"
	"fmt"
)

// Config bounds what is kept.
type Config struct {
	// MaxTypes bounds the types; those seen least lately go. 64 to 1000000.
	MaxTypes int
	// MaxSources, MaxContentTypes and MaxEmitters bound what is listed of one type;
	// 1 to 1000.
	MaxSources, MaxContentTypes, MaxEmitters int
	// SampleBytes bounds the data of a sample: of larger events the sample has none.
	// 0 to 1048576.
	SampleBytes int
}

// DefaultConfig keeps 10,000 types with 20 sources, 8 content types and 50
// functions each, and samples of up to 4 KiB.
func DefaultConfig() Config {
	return Config{MaxTypes: 10_000, MaxSources: 20, MaxContentTypes: 8, MaxEmitters: 50, SampleBytes: 4 << 10}
}

func (c Config) validate() error {
	var errs []error
	within := func(field string, v, low, high int) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("%s %d: want %d to %d", field, v, low, high))
		}
	}
	within("MaxTypes", c.MaxTypes, shards, 1e6)
	within("MaxSources", c.MaxSources, 1, 1000)
	within("MaxContentTypes", c.MaxContentTypes, 1, 1000)
	within("MaxEmitters", c.MaxEmitters, 1, 1000)
	within("SampleBytes", c.SampleBytes, 0, 1<<20)
	return errors.Join(errs...)
}
