package config

import "fmt"

func (k *checker) hedge(h *Hedge, path string) {
	if h == nil || k.faulty(path) {
		return
	}
	switch {
	case h.After > 0 && h.Quantile > 0:
		k.errorAt(path+".quantile", "keep one of them", "a hedge waits for a time or for a quantile, not for both")
	case h.After == 0 && h.Quantile == 0:
		k.errorAt(path, "write after: 50ms, or quantile: 0.95", "when is a request hedged?")
	case h.Quantile > 0 && h.Quantile < 0.5:
		k.errorAt(path+".quantile", "", fmt.Sprintf("%v would hedge more than every other request; 0.5 is the least", h.Quantile))
	}
}
