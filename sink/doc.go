// Package sink keeps what the topics of Signalbox hold in an index for searching:
// OpenSearch, or Elasticsearch. It reads as a consumer group of its own, and goes
// on only once the index has what was read: while that is away nothing is lost,
// and what is written twice is the same document.
package sink
