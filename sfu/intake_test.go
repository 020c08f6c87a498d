package sfu

import (
	"testing"
	"time"
)

func TestIntakeLimitsByGrantedTracks(t *testing.T) {
	now := time.Unix(1000, 0)
	in := &intake{now: func() time.Time { return now }}
	pour := func(seconds, packets, size int) (taken int) {
		for range seconds {
			for range packets {
				now = now.Add(time.Second / time.Duration(packets))
				if in.allow(size, false) {
					taken++
				}
			}
		}
		return taken
	}
	in.grant(0, 0)
	if n := pour(10, 1000, 100); n > 12*basePackets {
		t.Errorf("without a track %d packets in 10 s", n)
	}
	in.grant(1, 0)
	pour(5, 10, 100)
	if n := pour(20, 100, 300); n != 2000 {
		t.Errorf("sound in frames of 10 ms: %d packets of 2000", n)
	}
	if n := pour(10, 500, 1200); n > 10*120*2 {
		t.Errorf("large packets: %d", n)
	}
	in.grant(1, 1)
	pour(5, 10, 100)
	if n := pour(20, 500, 1100); n != 10000 {
		t.Errorf("a camera of 4.4 Mbit/s: %d packets of 10000", n)
	}
	if n := pour(10, 20000, 1100); n > 12*1600 {
		t.Errorf("a flood: %d", n)
	}
}

func TestOverloadEndsAfterItsTime(t *testing.T) {
	in := &intake{}
	var o overload
	for second := range 9 {
		in.taken.Add(300)
		in.over.Add(3000)
		if o.next(in) {
			t.Fatalf("ended after %d s", second)
		}
	}
	in.taken.Add(300)
	if o.next(in) || o.seconds != 0 {
		t.Error("a second without flood does not forgive")
	}
	for range 9 {
		in.over.Add(3000)
		if o.next(in) {
			t.Error("ended too soon")
		}
	}
	in.over.Add(3000)
	if !o.next(in) {
		t.Error("goes on for ever")
	}
}
