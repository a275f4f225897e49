// Package catalogue knows the types of events that pass: how many, how often,
// from which sources, with a sample, and which functions emit them. A Catalogue
// gathers what one process sees at a cost the hot path does not notice; what it
// gathered is drained as Deltas, which whoever keeps them merges with those of
// other processes into Types. It is a leaf: it imports only package event.
package catalogue
