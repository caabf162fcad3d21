package config

import "unicode/utf8"

// nearName is the candidate that name is probably a slip of: at most two edits away, one for short names, and never as
// many as half of its letters. Empty if there is none.
func nearName(name string, candidates []string) string {
	const longest = 64 // of what is compared; nothing in the language is longer
	length := utf8.RuneCountInString(name)
	if length == 0 || length > longest {
		return ""
	}
	best, bestDistance := "", 3
	if length < 5 {
		bestDistance = 2
	}
	for _, candidate := range candidates {
		if d := editDistance([]rune(name), []rune(candidate)); d < bestDistance && 2*d < max(length, len(candidate)) {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// editDistance counts insertions, deletions, replacements and swaps of neighbours between a and b, where a letter in the
// wrong case is no difference at all.
func editDistance(a, b []rune) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range a {
		row[0] = i + 1
		for j := range b {
			cost := 1
			if lower(a[i]) == lower(b[j]) {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && lower(a[i]) == lower(b[j-1]) && lower(a[i-1]) == lower(b[j]) {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

func lower(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		r += 'a' - 'A'
	}
	return r
}
