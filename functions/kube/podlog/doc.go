// Package podlog reads what the pods of functions print: one process reads each
// pod, whoever holds the Lease of the pod's version.
package podlog
