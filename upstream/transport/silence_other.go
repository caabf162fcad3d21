//go:build !linux

package transport

import "net"

func boundSilence(net.Conn) {}
