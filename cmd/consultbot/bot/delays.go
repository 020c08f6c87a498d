package bot

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// delays counts times in microseconds, exactly below 64 and in steps of a thirty-second
// above.
type delays [2048]atomic.Int64

func (d *delays) add(nanoseconds int64) {
	us := max(0, nanoseconds/1000)
	i := us
	if us >= 64 {
		shift := bits.Len64(uint64(us)) - 6
		i = int64(shift)*32 + us>>shift
	}
	d[min(i, int64(len(d)-1))].Add(1)
}

// quantile returns the lower bound of the step that holds the quantile.
func (d *delays) quantile(p float64) time.Duration {
	var all int64
	for i := range d {
		all += d[i].Load()
	}
	want, sum := int64(float64(all)*p), int64(0)
	for i := range d {
		sum += d[i].Load()
		if sum <= want {
			continue
		}
		us := int64(i)
		if i >= 64 {
			shift := i/32 - 1
			us = int64(i-shift*32) << shift
		}
		return time.Duration(us) * time.Microsecond
	}
	return 0
}
