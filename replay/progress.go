package replay

// Left is how many events of the partitions owned are still to be looked at:
// for each link that is paused or catches up those it was not sent (of as many
// as were held back so far), for each replay those of its range.
func (p *Player) Left() (links, replays map[string]int64) {
	links, replays = map[string]int64{}, map[string]int64{}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lines {
		for _, pl := range *l.places.Load() {
			if pl != nil {
				pl.addLeft(links)
			}
		}
	}
	for _, j := range p.jobs {
		for _, pt := range j.parts {
			pt.mu.Lock()
			if pt.known {
				replays[j.replay.Metadata.Name] += max(0, pt.To-pt.at)
			}
			pt.mu.Unlock()
		}
	}
	return links, replays
}

func (pl *place) addLeft(links map[string]int64) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	if !pl.live() {
		links[pl.line.name] += max(0, pl.seen+1-pl.from)
	}
}
