package artifacts

import (
	"errors"
	"fmt"
)

// Limits bound one artifact, so that no upload fills a disk or a memory.
type Limits struct {
	// Packed bounds the bytes that are sent and kept; 1 KiB to 4 GiB.
	Packed int64
	// Unpacked bounds the bytes of all files together; 1 KiB to 64 GiB.
	Unpacked int64
	// Files bounds their number; 1 to 1000000.
	Files int
}

// DefaultLimits are 128 MiB packed, 1 GiB unpacked and 50000 files.
func DefaultLimits() Limits { return Limits{Packed: 128 << 20, Unpacked: 1 << 30, Files: 50_000} }

func (l Limits) validate() error {
	var faults []error
	for _, b := range []struct {
		field          string
		value, low, up int64
	}{{"Packed", l.Packed, 1 << 10, 4 << 30}, {"Unpacked", l.Unpacked, 1 << 10, 64 << 30}, {"Files", int64(l.Files), 1, 1_000_000}} {
		if b.value < b.low || b.value > b.up {
			faults = append(faults, fmt.Errorf("Limits.%s %d: want %d to %d", b.field, b.value, b.low, b.up))
		}
	}
	return errors.Join(faults...)
}

// budget is what is left of Limits while an archive is gone through.
type budget struct {
	limits Limits
	bytes  int64
	files  int
}

func (b *budget) take(name string, size int64) error {
	b.files++
	if size < 0 || size > b.limits.Unpacked-b.bytes {
		return fmt.Errorf("%w: with %s the files have more than %d bytes", ErrTooLarge, name, b.limits.Unpacked)
	}
	if b.files > b.limits.Files {
		return fmt.Errorf("%w: more than %d files", ErrTooLarge, b.limits.Files)
	}
	b.bytes += size
	return nil
}
