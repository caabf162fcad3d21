package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the Makefile for releases; otherwise the build knows what it was built from.
var version = ""

type versionCommand struct{}

func (versionCommand) Run(to console) error {
	_, err := fmt.Fprintf(to.Out, "sluice %s, %s, %s/%s\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

func versionText() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel " + s.Value[:12]
		}
	}
	return "devel"
}
