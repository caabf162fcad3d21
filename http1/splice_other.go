//go:build !linux

package http1

func (o *outlet) canSplice(*body) bool       { return false }
func (o *outlet) splice(*body) (bool, error) { return false, nil }
