package failpoint

// Point is a step at which the process can be told to die or to wait. Its name
// is package.step.moment.
type Point string

// The points in the order in which an event comes by them. "before" is: what
// the step does was not begun. "after" is: it is done and durable, and nobody
// was told.
const (
	// GatewayAcceptBefore: the request is read and admitted, nothing is in the log.
	GatewayAcceptBefore Point = "gateway.accept.before"
	// GatewayAcceptAfter: the events are in the log, the sender has no answer.
	GatewayAcceptAfter Point = "gateway.accept.after"

	// LogAppendBefore: records that somebody waits for have room in the buffer
	// and were not given to the client.
	LogAppendBefore Point = "eventlog.append.before"
	// LogAppendAcked: all replicas have the records, the caller does not know.
	LogAppendAcked Point = "eventlog.append.acked"
	// LogParkAcked: all replicas have a parked record, the caller does not know.
	LogParkAcked Point = "eventlog.park.acked"
	// LogCommitBefore: the progress was taken down and not sent.
	LogCommitBefore Point = "eventlog.commit.before"
	// LogCommitAfter: the broker has answered, the process did not note it.
	LogCommitAfter Point = "eventlog.commit.after"
	// LogHandoverBefore: partitions were released, at a rebalance or a stop, and
	// their last progress is not committed.
	LogHandoverBefore Point = "eventlog.handover.before"

	// LedgerClaimBefore: a batch of identities was not yet sent to Redis.
	LedgerClaimBefore Point = "ledger.claim.before"
	// LedgerClaimAfter: Redis has the claims, nothing was chosen.
	LedgerClaimAfter Point = "ledger.claim.after"

	// DispatcherClaimed: the verdicts on a batch are known to the dispatcher.
	DispatcherClaimed Point = "dispatcher.claimed"
	// DispatcherChosen: the functions of an event are known, nothing is queued.
	DispatcherChosen Point = "dispatcher.chosen"
	// DispatcherCallBefore: a worker has the delivery, the function was not called.
	DispatcherCallBefore Point = "dispatcher.call.before"
	// DispatcherCallAfter: the function has answered, nothing follows from it yet.
	DispatcherCallAfter Point = "dispatcher.call.after"
	// DispatcherReplyBefore: the answer holds events, none is in the log.
	DispatcherReplyBefore Point = "dispatcher.reply.before"
	// DispatcherReplyAfter: they are in the log, the delivery has no outcome.
	DispatcherReplyAfter Point = "dispatcher.reply.after"
	// DispatcherDeadBefore: a dead letter was made and is not in the log.
	DispatcherDeadBefore Point = "dispatcher.dead.before"
	// DispatcherDeadAfter: it is in the log, the delivery has no outcome.
	DispatcherDeadAfter Point = "dispatcher.dead.after"
	// DispatcherParkBefore: a delivery will be parked, the log does not have it.
	DispatcherParkBefore Point = "dispatcher.park.before"
	// DispatcherParkAfter: the parked record is in the log, what it came from is
	// not settled.
	DispatcherParkAfter Point = "dispatcher.park.after"
	// DispatcherParkedTaken: a parked record was handed over, and is in no lane.
	DispatcherParkedTaken Point = "dispatcher.parked.taken"
	// DispatcherSettleBefore: every delivery of a record has its outcome, the
	// record is not settled.
	DispatcherSettleBefore Point = "dispatcher.settle.before"
)

// Points are all of them, in that order.
func Points() []Point {
	return []Point{
		GatewayAcceptBefore, GatewayAcceptAfter,
		LogAppendBefore, LogAppendAcked, LogParkAcked, LogCommitBefore, LogCommitAfter, LogHandoverBefore,
		LedgerClaimBefore, LedgerClaimAfter,
		DispatcherClaimed, DispatcherChosen, DispatcherCallBefore, DispatcherCallAfter,
		DispatcherReplyBefore, DispatcherReplyAfter, DispatcherDeadBefore, DispatcherDeadAfter,
		DispatcherParkBefore, DispatcherParkAfter, DispatcherParkedTaken, DispatcherSettleBefore,
	}
}
