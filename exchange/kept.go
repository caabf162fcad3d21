package exchange

// kept is what a filter has to know of this exchange again in a later hook: a place it took and must give back.
type kept struct{ by, what any }

// Keep leaves what for by's later hooks. by is the filter's instance, which many exchanges share.
func (x *Exchange) Keep(by, what any) { x.kept = append(x.kept, kept{by, what}) }

// Kept is what by left last, or nil if it left nothing: its turn never came, or it did not need to.
func (x *Exchange) Kept(by any) any {
	for i := len(x.kept) - 1; i >= 0; i-- {
		if x.kept[i].by == by {
			return x.kept[i].what
		}
	}
	return nil
}
