// Package artifacts keeps the files of functions under the hash of their
// content: in a directory or an S3 bucket, and unpacked on each machine that runs
// them. See DESIGN.md.
package artifacts
