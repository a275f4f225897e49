//go:build !race

package event

// underRace is false: allocations can be counted.
const underRace = false
