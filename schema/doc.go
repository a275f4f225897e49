// Package schema checks the data of events against JSON Schemas: it compiles
// resources of kind Schema and says, for an event, which of them it does not
// satisfy and where. What strangers send is bounded in depth, numbers and
// steps, so that no event costs more than its length allows; nothing is ever
// fetched. It is a leaf: it imports only packages event and resource.
// DESIGN.md has its rules.
package schema
