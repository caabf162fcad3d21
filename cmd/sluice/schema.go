package main

import (
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/filter/all"
)

type schemaCommand struct {
	Reference bool `help:"Print the reference page (Markdown) instead."`
}

func (c *schemaCommand) Run(to console) error {
	registry, err := all.Registry()
	if err != nil {
		return err
	}
	settings := make(map[string]any, len(registry))
	for name, filter := range registry {
		settings[name] = filter.Settings()
	}
	if c.Reference {
		_, err = to.Out.Write(config.Reference(settings))
		return err
	}
	schema, err := config.Schema(settings)
	if err != nil {
		return err
	}
	_, err = to.Out.Write(schema)
	return err
}
