//go:build race

package desync

const underRace = true
