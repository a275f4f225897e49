// Package failpoint names the steps of an event's way at which a crash is
// worth trying, and ends or delays the process there when it was built to.
//
// Built with the tag failpoint, [Hit] obeys the environment variable
// SIGNALBOX_FAILPOINT; built without, as every release is, Hit is empty and
// costs nothing. The variable holds orders, separated by semicolons:
//
//	dispatcher.call.after=kill@3         SIGKILL at the third hit
//	eventlog.commit.before=kill          SIGKILL at the first
//	ledger.claim.after=pause:500ms       half a second at each hit
//	ledger.claim.after=pause:500ms@2     half a second at the second hit only
//
// An order that cannot be read ends the process at its first hit of any point,
// with exit code 2 and a line that says why: a typing error must not look like
// a crash that was survived.
package failpoint
