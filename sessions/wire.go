package sessions

import "time"

// The messages of the feed, server to browser. Each is one JSON text frame; golden
// examples stand in testdata/feed and are read by the tests of both sides.
type (
	selfInfo struct {
		Participant Identity `json:"participant"`
		Role        string   `json:"role"`
		Name        string   `json:"name"`
		Language    string   `json:"language"`
		Host        bool     `json:"host"`
		State       string   `json:"state"` // lobby, admitted, removed
	}
	msgWelcome struct {
		Type      string   `json:"type"`
		Self      selfInfo `json:"self"`
		Epoch     uint64   `json:"epoch"`
		Heartbeat int      `json:"heartbeat_ms"`
	}

	check struct {
		Audio   bool   `json:"audio"`
		Video   bool   `json:"video"`
		Network string `json:"network"` // good, fair, poor
	}
	waiting struct {
		Participant Identity `json:"participant"`
		Name        string   `json:"name"`
		Role        string   `json:"role"`
		Since       string   `json:"since"`
		Check       *check   `json:"check,omitempty"` // absent: not checked yet
		Place       string   `json:"place,omitempty"` // of the patient, as said
	}
	msgLobby struct {
		Type    string    `json:"type"`
		Waiting []waiting `json:"waiting"`
	}

	mediaTicket struct {
		URL     string `json:"url"`
		Token   string `json:"token"`
		Expires string `json:"expires"`
		Room    string `json:"room"`
	}
	mediaTickets struct {
		Main  mediaTicket  `json:"main"`
		Booth *mediaTicket `json:"booth,omitempty"` // interpreters
	}
	msgAdmitted struct {
		Type  string       `json:"type"`
		Media mediaTickets `json:"media"`
	}

	msgRefused struct {
		Type        string         `json:"type"`
		Code        string         `json:"code"`
		MessageID   string         `json:"message_id"`
		Data        map[string]any `json:"data"`
		Participant Identity       `json:"participant,omitempty"` // to the host: who was refused
	}

	rosterPerson struct {
		Participant  Identity `json:"participant"`
		Name         string   `json:"name"`
		Role         string   `json:"role"`
		Organization string   `json:"organization"`
		Language     string   `json:"language"`
		Spoken       string   `json:"spoken"`
		Connected    bool     `json:"connected"`
		Hand         bool     `json:"hand"`
		Host         bool     `json:"host"`
	}
	msgRoster struct {
		Type   string         `json:"type"`
		People []rosterPerson `json:"people"`
	}

	channelInterpreter struct {
		Participant Identity `json:"participant"`
		Name        string   `json:"name"`
		OnAir       bool     `json:"on_air"`
	}
	channelInfo struct {
		Tag          string               `json:"tag"`
		State        ChannelState         `json:"state"`
		Interpreters []channelInterpreter `json:"interpreters"`
		Source       string               `json:"source"`        // direct, or relay: the interpreter works from another one
		Via          string               `json:"via,omitempty"` // the channel worked from
	}
	msgChannels struct {
		Type      string        `json:"type"`
		Epoch     uint64        `json:"epoch"`
		Mode      Mode          `json:"mode"`
		Proposed  Mode          `json:"proposed,omitempty"` // another mode, waiting for the other side
		Channels  []channelInfo `json:"channels"`
		Listening string        `json:"listening"`
		Paused    []string      `json:"paused,omitempty"` // why specialist and patient do not hear each other
	}
	msgBooth struct {
		Type    string     `json:"type"`
		Epoch   uint64     `json:"epoch"`
		Pair    [2]string  `json:"pair"`
		State   BoothState `json:"state"`
		Out     string     `json:"out"`
		OnAir   Identity   `json:"on_air"`
		Next    Identity   `json:"next"`
		Self    string     `json:"self"` // standby, on_air, ready, lost
		Muted   bool       `json:"muted"`
		Partner []Identity `json:"partners"`
		Input   boothInput `json:"input"`
	}
	// boothInput is what one interpreter hears, and may choose to.
	boothInput struct {
		Kind    InputKind     `json:"kind"`
		Tag     string        `json:"tag,omitempty"` // of a relay, there or missing
		Chosen  bool          `json:"chosen"`        // by the interpreter
		Lost    bool          `json:"lost"`          // the relay was there before
		Speaks  []string      `json:"speaks"`        // who is heard: names of those on the air in it
		Choices []inputChoice `json:"choices"`
	}
	inputChoice struct {
		Tag    string   `json:"tag"`
		Speaks []string `json:"speaks"`
	}

	msgChat struct {
		Type     string   `json:"type"`
		ID       string   `json:"id"`
		Room     string   `json:"room"`
		From     Identity `json:"from"`
		Name     string   `json:"name"`
		Text     string   `json:"text"`
		Language string   `json:"language"`
		At       string   `json:"at"`
	}

	sentence struct {
		MessageID string         `json:"message_id"`
		Data      map[string]any `json:"data"`
	}
	msgScope struct {
		Type      string          `json:"type"`
		Sentences []sentence      `json:"sentences"`
		Acts      map[string]bool `json:"acts"`
	}

	consentItem struct {
		Purpose string `json:"purpose"`
		Given   bool   `json:"given"`
	}
	msgConsent struct {
		Type      string        `json:"type"`
		Recording bool          `json:"recording"`
		Items     []consentItem `json:"items"`
	}

	msgNotice struct {
		Type      string         `json:"type"`
		Code      string         `json:"code"`
		MessageID string         `json:"message_id"`
		Data      map[string]any `json:"data"`
		Level     string         `json:"level"` // info, warn, alert
	}
	msgSignal struct {
		Type string   `json:"type"`
		Kind string   `json:"kind"`
		From Identity `json:"from"`
	}
	msgError struct {
		Type      string `json:"type"`
		Command   string `json:"command"`
		ID        string `json:"id,omitempty"` // the client's id of the command
		Code      string `json:"code"`
		MessageID string `json:"message_id"`
		Epoch     uint64 `json:"epoch"`
	}
	msgDone struct {
		Type    string `json:"type"` // "done": a command with an id took effect
		Command string `json:"command"`
		ID      string `json:"id"`
		Epoch   uint64 `json:"epoch"`
	}
	msgRemoved struct {
		Type   string `json:"type"`
		Reason string `json:"reason"`
	}
	msgPlain struct {
		Type string `json:"type"` // ended, pong
	}
)

// heartbeat is how often the browser pings.
const heartbeat = 2500 * time.Millisecond

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// messageID is the text of a code in the catalogue of the room's pages.
func messageID(code string) string {
	out := []byte("room.code.")
	for i := range len(code) {
		switch c := code[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_':
			out = append(out, c)
		default:
			out = append(out, '_')
		}
	}
	return string(out)
}

func noticeOf(level, code string, data map[string]any) msgNotice {
	if data == nil {
		data = map[string]any{}
	}
	return msgNotice{Type: "notice", Code: code, MessageID: messageID(code), Data: data, Level: level}
}

// codes are all that the room says by itself, beside the reasons of a scope decision.
var codes = []string{
	string(refuseForbidden), string(refuseStale), string(refuseChannel), string(refuseBusy), string(refuseLimit), string(refusePair), string(refuseAck),
	string(refuseCheckIn), string(refuseOnAir), string(refuseNotReady), string(refuseHandover), string(refuseNoHandover), string(refuseSelf),
	string(refuseNoPartner), string(refuseNoSource), string(refuseMode), string(refuseTag), string(refuseConsent), string(refuseRate),
	string(refuseEnded), string(refuseUnavailable), string(refusePresent), string(refuseState), "bad_place", "bad_text",
	"no_seat", "place_missing", "not_accepted", "not_now", "scope", "appointment_pending", "appointment_needs_attention", "appointment_fulfilled",
	"appointment_no_show", "appointment_canceled",
	pauseConsent, pauseAlone, "local_back", "scope_lost", "scope_ended", "leg.suspect", "channel.down", "booth.ring", "interpretation.choose",
	string(refuseCycle), string(refuseDepth), string(refuseMissing), "relay.lost", "relay.restored",
	"handover.offered", "handover.requested", "handover.armed", "handover.ended", "handover.covered", "handover.partner_lost", "mode.proposed",
}

// MessageIDs are the texts that the catalogues must have for what the feed says.
func MessageIDs() []string {
	out := make([]string, len(codes))
	for i, code := range codes {
		out[i] = messageID(code)
	}
	return out
}
