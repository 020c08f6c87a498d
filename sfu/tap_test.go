package sfu

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/webrtc/v4"
	"pgregory.net/rapid"
)

// agreed is a policy under which those named may be recorded.
type agreed struct {
	DenyAll
	who []string
}

func (a agreed) Record(speaker, _ string, _ livekit.TrackSource) bool {
	return slices.Contains(a.who, speaker)
}

// deck notes what a tap got, as numbers of packets.
type deck struct {
	got   []uint32
	ended int
}

func (d *deck) Packet(p TapPacket) { d.got = append(d.got, binary.BigEndian.Uint32(p.Payload)) }
func (d *deck) Ended(_ *TapTrack)  { d.ended++ }
func numbered(n uint32) []byte     { return binary.BigEndian.AppendUint32(nil, n) }
func soundOf(n uint32) *rtpPacket {
	return &rtpPacket{seq: uint16(n), ts: n * audioFrame, ssrc: 1, payload: numbered(n)}
}
func (r *Room) apply(policy Policy) {
	r.mu.Lock()
	r.policy = policy
	r.regateTapsLocked()
	r.mu.Unlock()
}

// Whatever happens in whichever order, a tap has exactly the packets whose speaker had
// agreed when they came.
func TestATapHasWhatWasAgreedToAndNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		srv := &Server{now: time.Now, rooms: map[string]*Room{}}
		srv.feeds.init()
		r := newRoom(srv, "r")
		people := []string{"a", "b", "c"}
		tracks := map[string]*Track{}
		r.mu.Lock()
		for _, id := range people {
			owner := &participant{sid: "PA_" + id, identity: id, perm: &livekit.ParticipantPermission{}}
			r.people[id] = owner
		}
		channel := r.addChannelLocked("ar").tracks[0]
		r.mu.Unlock()
		publish := func(id string, encrypted bool) {
			track := &Track{sid: "TR_" + id, room: r, owner: r.people[id], kind: webrtc.RTPCodecTypeAudio, codec: opus.RTPCodecCapability, info: &livekit.TrackInfo{}}
			track.flow.Store(uint32(Flowing))
			if encrypted {
				track.sealed = r.injected()
			}
			tracks[id] = track
			r.mu.Lock()
			r.publishLocked(track)
			r.mu.Unlock()
		}
		var policy Policy
		var tape *deck
		var want []uint32
		may := func(id string) bool {
			a, ok := policy.(agreed)
			return ok && tape != nil && slices.Contains(a.who, id)
		}
		// It begins in the middle: two speak, one has agreed, and the tap is there.
		tape = &deck{}
		stop, err := r.Tap(tape)
		if err != nil {
			t.Fatal(err)
		}
		publish("a", false)
		publish("b", rapid.Bool().Draw(t, "encrypted"))
		policy = agreed{who: rapid.SliceOfDistinct(rapid.SampledFrom(people), rapid.ID[string]).Draw(t, "agreed")}
		r.apply(policy)
		number, leg := uint32(0), ""
		anybody := rapid.SampledFrom(people)
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) {
				id := anybody.Draw(t, "who")
				if tracks[id] == nil {
					publish(id, rapid.IntRange(0, 4).Draw(t, "encrypted") == 0)
				}
			},
			"unpublish": func(t *rapid.T) {
				id := anybody.Draw(t, "who")
				if track := tracks[id]; track != nil {
					if leg == id {
						channel.feed(nil, time.Now())
						leg = ""
					}
					r.mu.Lock()
					r.unpublishLocked(track)
					r.mu.Unlock()
					delete(tracks, id)
					number++
					track.forward(0, soundOf(number), time.Now()) // one that was on its way
				}
			},
			"mute": func(t *rapid.T) {
				if track := tracks[anybody.Draw(t, "who")]; track != nil {
					track.muted.Store(!track.muted.Load())
				}
			},
			"speak": func(t *rapid.T) {
				id := anybody.Draw(t, "who")
				if track := tracks[id]; track != nil {
					number++
					track.forward(0, soundOf(number), time.Now())
					if may(id) && track.sealed == nil && !track.muted.Load() {
						want = append(want, number)
					}
				}
			},
			"interpret": func(t *rapid.T) {
				id := anybody.Draw(t, "who")
				track := tracks[id]
				if track == nil {
					return
				}
				if leg != id {
					channel.feed(track, time.Now())
					leg = id
				}
				number++
				channel.write(track, soundOf(number), time.Now())
				if may(id) && track.sealed == nil {
					want = append(want, number)
				}
			},
			"silence": func(*rapid.T) {
				channel.feed(nil, time.Now())
				leg = ""
			},
			"agree": func(t *rapid.T) {
				switch rapid.IntRange(0, 4).Draw(t, "kind") {
				case 0:
					policy = nil
				case 1:
					policy = DenyAll{}
				default:
					policy = agreed{who: rapid.SliceOfDistinct(anybody, rapid.ID[string]).Draw(t, "who")}
				}
				r.apply(policy)
			},
			"tap": func(t *rapid.T) {
				if tape != nil {
					if _, err := r.Tap(&deck{}); err == nil {
						t.Fatal("a second tap was taken")
					}
					return
				}
				tape, want = &deck{}, nil
				var err error
				if stop, err = r.Tap(tape); err != nil {
					t.Fatal(err)
				}
			},
			"stop": func(t *rapid.T) {
				if tape != nil {
					stop()
					tape, want = nil, nil
				}
			},
			"": func(t *rapid.T) {
				if tape != nil && !slices.Equal(tape.got, want) {
					t.Fatalf("the tap has %v, want %v", tape.got, want)
				}
			},
		})
	})
}
