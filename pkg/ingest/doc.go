// Package ingest brings the keys of other servers into a cluster: of a standalone
// server, or of another cluster's masters.
//
// The source is scanned; keys are grouped by the master that they belong to, and
// each group travels in batches, to several masters at the same time. A batch
// goes directly, by MIGRATE COPY, where the source can reach the target and may
// speak to it, and otherwise through this process, by DUMP and RESTORE.
//
// The source keeps its keys, unless they shall move: then a key is deleted there
// once the target was seen to hold the same value, and only if nobody has
// changed it since.
//
// Nothing is remembered between runs. A key that the target has already, with the
// same value and time to live, is skipped; one with another value stays as it
// is, and is reported.
package ingest
