//go:build race

package event

// underRace: the race detector makes sync.Pool drop what it holds at random.
const underRace = true
