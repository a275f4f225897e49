// Package sdk holds the SDKs for scripts, which Signalbox brings along.
package sdk

import "embed"

// Files are the SDKs as workers need them: python/src and node.
//
//go:embed python/src/signalbox/*.py python/src/fx_ef/*.py node/*.cjs
var Files embed.FS
