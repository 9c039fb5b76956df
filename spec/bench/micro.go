// SPDX-License-Identifier: MIT

// What single operations cost in Go, each the twin of one in micro_moonpark.lua.
//
// usage: micro CASE [PASSES [PORT]]; after an unmeasured pass prints "NANOSECONDS_CPU NANOSECONDS" of each pass, for
// one operation, CPU time of the whole process first. The cases: deadline, spawn, channel, yield; dial, with the port
// of a listener that keeps connections open; lookup, with that of a DNS server.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const garbageTimers = 1 << 15

type pass func(count int)

func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func connect() net.Conn {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	return conn
}

func plantTimers() {
	for i := 0; i < garbageTimers; i++ {
		time.AfterFunc(time.Hour, func() {})
	}
}

// A read deadline moves one nanosecond later each time while a write deadline stands.
func deadline() pass {
	plantTimers()
	conn := connect()
	conn.SetWriteDeadline(time.Now().Add(2 * time.Hour))
	when := time.Now().Add(time.Hour)
	return func(count int) {
		for i := 0; i < count; i++ {
			conn.SetReadDeadline(when)
			when = when.Add(1)
		}
	}
}

// A goroutine starts, ends, and is waited for.
func spawn() pass {
	var group sync.WaitGroup
	return func(count int) {
		for i := 0; i < count; i++ {
			group.Add(1)
			go group.Done()
			group.Wait()
		}
	}
}

// A value goes to another goroutine over one unbuffered channel and comes back over a second one.
func channel() pass {
	ping, pong := make(chan int), make(chan int)
	go func() {
		for value := range ping {
			pong <- value
		}
	}()
	return func(count int) {
		for i := 0; i < count; i++ {
			ping <- i
			<-pong
		}
	}
}

func yieldTimes(count int) {
	for i := 0; i < count; i++ {
		runtime.Gosched()
	}
}

// Two goroutines give way to each other in turn; one operation is one of them giving way.
func yield() pass {
	return func(count int) {
		var group sync.WaitGroup
		group.Add(1)
		go func() {
			yieldTimes(count / 2)
			group.Done()
		}()
		yieldTimes(count / 2)
		group.Wait()
	}
}

// Connections to a listener that stays silent, one after another; they are closed in between the passes.
func dials() pass {
	var open []net.Conn
	return func(count int) {
		for i := 0; i < count; i++ {
			conn, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err != nil {
				log.Fatal(err)
			}
			open = append(open, conn)
		}
		closing = func() {
			for _, conn := range open {
				conn.(*net.TCPConn).SetLinger(0)
				conn.Close()
			}
			open = nil
		}
	}
}

// Many names at once, each looked up for A and AAAA.
func lookups() pass {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "udp", "127.0.0.1:"+port)
	}
	resolver := &net.Resolver{PreferGo: true, Dial: dial}
	return func(count int) {
		var group sync.WaitGroup
		group.Add(count)
		for i := 0; i < count; i++ {
			go func(i int) {
				defer group.Done()
				found, err := resolver.LookupHost(context.Background(), fmt.Sprintf("host%d.bench.", i))
				if err != nil || found[0] != "127.0.0.1" {
					log.Fatal(found, err)
				}
			}(i)
		}
		group.Wait()
	}
}

var port string
var closing = func() {}

var cases = map[string]struct {
	prepare func() pass
	count   int
}{
	"deadline": {deadline, 4000000},
	"spawn":    {spawn, 2000000},
	"channel":  {channel, 2000000},
	"yield":    {yield, 4000000},
	"dial":     {dials, 10000},
	"lookup":   {lookups, 1000},
}

func measure(run pass, count int) {
	cpu, wall := cpuTime(), time.Now()
	run(count)
	spent, elapsed := cpuTime()-cpu, time.Since(wall)
	fmt.Printf("%.2f %.2f\n", float64(spent)/float64(count), float64(elapsed)/float64(count))
	closing()
}

func main() {
	if len(os.Args) < 2 || cases[os.Args[1]].prepare == nil {
		log.Fatal("usage: micro deadline|spawn|channel|yield|dial|lookup [PASSES [PORT]]")
	}
	passes := 1
	if len(os.Args) > 2 {
		passes, _ = strconv.Atoi(os.Args[2])
	}
	if len(os.Args) > 3 {
		port = os.Args[3]
	}
	chosen := cases[os.Args[1]]
	run := chosen.prepare()
	run(chosen.count / 4)
	closing()
	for i := 0; i < passes; i++ {
		measure(run, chosen.count)
	}
}
