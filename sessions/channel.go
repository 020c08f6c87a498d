package sessions

// ChannelState is what a language channel is to its listeners (design
// interpretation, section 6.3).
type ChannelState string

// The states of a channel.
const (
	ChannelOff      ChannelState = "off"       // not offered
	ChannelWaiting  ChannelState = "waiting"   // floor, an interpreter is expected
	ChannelLive     ChannelState = "live"      // interpreter, the floor is ducked
	ChannelIdle     ChannelState = "idle"      // floor; the booth works the other way
	ChannelPaused   ChannelState = "paused"    // floor, the interpreter is muted
	ChannelNoSource ChannelState = "no_source" // floor, the interpreter cannot hear
	ChannelDown     ChannelState = "down"      // floor at once, the interpreter is lost
)

// channelRank orders the states of several booths that carry the same tag: the channel
// is what the best of them makes of it.
var channelRank = map[ChannelState]int{
	ChannelOff: 0, ChannelWaiting: 1, ChannelIdle: 2, ChannelDown: 3, ChannelNoSource: 4, ChannelPaused: 5, ChannelLive: 6,
}

// Mode is how interpretation is done.
type Mode string

// The modes of interpretation.
const (
	// Simultaneous: into language channels, while the floor is ducked.
	Simultaneous Mode = "simultaneous"
	// Consecutive: on the floor, in turn with the speakers.
	Consecutive Mode = "consecutive"
)

// channelFacts are what the state of one channel rests on, of one booth.
type channelFacts struct {
	booth  BoothState
	out    bool // the booth interprets into this tag
	paused bool // the holder has been muted for pauseTime
	deaf   bool // the holder has no intelligible input
}

// channelState is the state of a channel by the facts of one booth.
func channelState(f channelFacts) ChannelState {
	switch {
	case f.booth == BoothDown: // neither direction is served
		return ChannelDown
	case !f.booth.Forwards():
		return ChannelWaiting
	case !f.out:
		return ChannelIdle
	case f.paused:
		return ChannelPaused
	case f.deaf:
		return ChannelNoSource
	}
	return ChannelLive
}
