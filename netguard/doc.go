// Package netguard keeps addresses that somebody else chose from leading where
// they should not: into this machine, to its neighbours, to the metadata of a
// cloud. An address is judged when it is dialled, after its name was resolved, so
// that a name which changes its mind is judged as well.
package netguard
