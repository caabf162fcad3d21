//go:build race

package script_test

const raceDetector = true // bodies are a tenth as long: it makes them as slow
