//go:build race

package app

// underRace: the race detector makes reading the log many times slower.
const underRace = true
