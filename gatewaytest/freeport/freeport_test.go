package freeport

import (
	"net"
	"testing"
)

func TestNoneIsNamedTwice(t *testing.T) {
	seen := make(map[string]bool)
	for range 500 {
		address := For(t)
		if seen[address] {
			t.Fatalf("%s is named twice", address)
		}
		seen[address] = true
	}
	l, err := net.Listen("tcp", For(t))
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

// A port that somebody listens on, by TCP or by UDP, is not free.
func TestTakenIsNotFree(t *testing.T) {
	tcp, udp := For(t), For(t)
	l, err := net.Listen("tcp", tcp)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := net.ListenPacket("udp", udp)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, address := range []string{tcp, udp} {
		if free(address) {
			t.Errorf("%s is taken and said to be free", address)
		}
	}
}
