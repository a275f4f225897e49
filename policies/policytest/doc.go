// Package policytest checks and tests policies without a server: Rego unit
// tests run by OPA's own tester, cases in YAML decided by the engine that
// decides in production, and both written down for `opa test` to run alike.
package policytest
