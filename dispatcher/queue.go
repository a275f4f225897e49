package dispatcher

import "time"

// linkQueue holds the deliveries of one link that may start, in order. Its
// lane's mutex guards it.
type linkQueue struct {
	head, tail *delivery
	// running are the calls of this link in flight, limit their bound by the
	// newest version of the link that was seen.
	running  int
	limit    int
	revision uint64
	permits  permits
	// next and listed: the ring of links that have something to start.
	next   *linkQueue
	listed bool
}

func (q *linkQueue) pushBack(dl *delivery) {
	dl.next = nil
	if q.tail == nil {
		q.head, q.tail = dl, dl
		return
	}
	q.tail.next = dl
	q.tail = dl
}

func (q *linkQueue) pushFront(dl *delivery) {
	dl.next = q.head
	q.head = dl
	if q.tail == nil {
		q.tail = dl
	}
}

func (q *linkQueue) pop() *delivery {
	dl := q.head
	q.head, dl.next = dl.next, nil
	if q.head == nil {
		q.tail = nil
	}
	return dl
}

// take removes the deliveries that match and returns them in order.
func (q *linkQueue) take(match func(*delivery) bool) (taken []*delivery) {
	rest := q.head
	q.head, q.tail = nil, nil
	for rest != nil {
		dl := rest
		rest = dl.next
		if match(dl) {
			dl.next = nil
			taken = append(taken, dl)
			continue
		}
		q.pushBack(dl)
	}
	return taken
}

// startable reports whether the link's next delivery may start.
func (q *linkQueue) startable() bool {
	return q.head != nil && q.running < q.limit && q.permits.any()
}

// retries is a heap of deliveries that wait for their next attempt, by the time that is due.
type retries []*delivery

func (r *retries) push(dl *delivery) {
	*r = append(*r, dl)
	h := *r
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if !h[i].due.Before(h[parent].due) {
			break
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
}

// popDue removes and returns the first delivery that is due at now, else nil.
func (r *retries) popDue(now time.Time) *delivery {
	h := *r
	if len(h) == 0 || h[0].due.After(now) {
		return nil
	}
	first, last := h[0], len(h)-1
	h[0], h[last] = h[last], nil
	*r = h[:last]
	r.down(0)
	return first
}

func (r *retries) down(i int) {
	h := *r
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(h); c++ {
			if h[c].due.Before(h[least].due) {
				least = c
			}
		}
		if least == i {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

// take removes the deliveries that match and returns them in no order.
func (r *retries) take(match func(*delivery) bool) (taken []*delivery) {
	h := *r
	kept := h[:0]
	for _, dl := range h {
		if match(dl) {
			taken = append(taken, dl)
			continue
		}
		kept = append(kept, dl)
	}
	clear(h[len(kept):])
	*r = kept
	for i := len(kept)/2 - 1; i >= 0; i-- {
		r.down(i)
	}
	return taken
}
