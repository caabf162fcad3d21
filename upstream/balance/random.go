package balance

// random draws by weight, and looks at nothing else.
type random struct{ line }

func (r *random) Pick(ask Ask) int {
	switch {
	case len(r.of) == 0:
		return -1
	case len(ask.Tried) > 0:
		return r.take(r.drawBut(ask.Tried, -1))
	default:
		return r.take(int(r.of[r.draw()]))
	}
}
