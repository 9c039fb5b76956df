// SPDX-License-Identifier: MIT

// The echo server in Go's net, one goroutine for each connection: what a Go programmer writes first.
//
// usage: echo [-buffer BYTES] [ADDRESS]; prints "listening PORT" on stdout when connections are welcome.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
)

func echo(conn net.Conn, size int) {
	defer conn.Close()
	buffer := make([]byte, size)
	for {
		count, err := conn.Read(buffer)
		if err != nil {
			return
		}
		if _, err := conn.Write(buffer[:count]); err != nil {
			return
		}
	}
}

func main() {
	size := flag.Int("buffer", 4096, "bytes of the read buffer of each connection")
	flag.Parse()
	address := "127.0.0.1:0"
	if flag.NArg() > 0 {
		address = flag.Arg(0)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening", listener.Addr().(*net.TCPAddr).Port)
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go echo(conn, *size)
	}
}
