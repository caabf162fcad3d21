//go:build !race

package desync

// underRace: the race detector keeps several bytes for each of the program's, and resident memory says nothing.
const underRace = false
