// Package invoke calls functions synchronously: a request to /function/<name>
// is passed on to the function, and its own answer back.
package invoke
