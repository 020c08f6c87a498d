package sfu

import (
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/datachannel"
)

// dataOpened notes a channel that the client has taken, and sends the reliable packets
// that came before it was there.
func (p *Peer) dataOpened(kind livekit.DataPacket_Kind, dc *datachannel.DataChannel) {
	p.room.mu.Lock()
	defer p.room.mu.Unlock()
	p.data[kind] = dc
	if kind != livekit.DataPacket_RELIABLE {
		return
	}
	p.dataOpen = true
	for _, raw := range p.early {
		_, _ = dc.Write(raw)
	}
	p.early = nil
}

// restart sends the client away to join again.
func (p *Peer) restart(reason livekit.DisconnectReason) {
	p.stop(livekit.LeaveRequest_RECONNECT, reason)
	p.room.leave(p.participant, reason)
}

// ntpTime converts a 64-bit NTP timestamp (RFC 3550 §4).
func ntpTime(ntp uint64) time.Time {
	return time.Unix(int64(ntp>>32)-ntpEpoch, int64((ntp&0xffffffff)*1e9>>32))
}

func toNTP(t time.Time) uint64 {
	return uint64(t.Unix()+ntpEpoch)<<32 | uint64(t.Nanosecond())<<32/1e9
}

// ntpEpoch is the seconds from 1900 to 1970.
const ntpEpoch = 2208988800
