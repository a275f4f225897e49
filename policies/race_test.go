//go:build race

package policies

// raceEnabled: under the race detector sync.Pool drops things at random.
const raceEnabled = true
