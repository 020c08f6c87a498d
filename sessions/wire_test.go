package sessions

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden messages of the feed anew")

const (
	goldenOtieno   Identity = "01990000-0000-7000-8000-000000000001"
	goldenTremblay Identity = "01990000-0000-7000-8000-000000000002"
	goldenAziz     Identity = "01990000-0000-7000-8000-000000000003"
	goldenIdris    Identity = "01990000-0000-7000-8000-000000000004"
)

// golden is one example of each message that the server sends. The TypeScript tests
// read the same files.
var golden = map[string]any{
	"welcome": msgWelcome{Type: "welcome", Self: selfInfo{goldenTremblay, "specialist", "Prof. Claire Tremblay", "fr", false, "lobby"}, Epoch: 7, Heartbeat: 2500},
	"lobby": msgLobby{"lobby", []waiting{
		{goldenIdris, "Salma Idris", "patient", "2026-11-25T14:55:00Z", &check{true, true, "fair"}, "KE"},
		{Participant: goldenAziz, Name: "Layla Aziz", Role: "interpreter", Since: "2026-11-25T14:56:00Z"}}},
	"admitted": msgAdmitted{"admitted", mediaTickets{Main: mediaTicket{"ws://localhost:8080", "main-token", "2026-11-25T14:57:00Z", "main"}}},
	"admitted-interpreter": msgAdmitted{"admitted", mediaTickets{Main: mediaTicket{"ws://localhost:8080", "main-token", "2026-11-25T14:57:00Z", "main"},
		Booth: &mediaTicket{"ws://localhost:8080", "booth-token", "2026-11-25T14:57:00Z", "booth/ar-en"}}},
	"refused": msgRefused{"refused", "no-pack:UG", "scope.no_pack", map[string]any{"Code": "no-pack:UG", "Place": "UG", "Reasons": []string{"no-pack:UG"}}, goldenTremblay},
	"roster": msgRoster{"roster", []rosterPerson{
		{goldenOtieno, "Dr Amina Otieno", "local_physician", "Jacaranda Hill Hospital", "en", "en", true, false, true},
		{goldenIdris, "Salma Idris", "patient", "", "ar", "ar", true, true, false}}},
	"channels": msgChannels{"channels", 9, Simultaneous, "", []channelInfo{
		{"ar", ChannelLive, []channelInterpreter{{goldenAziz, "Layla Aziz", true}}, "direct", ""},
		{"en", ChannelIdle, []channelInterpreter{{goldenAziz, "Layla Aziz", false}}, "direct", ""},
		{"de", ChannelLive, []channelInterpreter{}, "relay", "en"}}, "ar", nil},
	"channels-paused": msgChannels{"channels", 10, Simultaneous, Consecutive, []channelInfo{{"ar", ChannelDown, []channelInterpreter{}, "direct", ""}}, "floor", []string{pauseConsent}},
	"booth":           msgBooth{"booth", 9, [2]string{"ar", "en"}, BoothLive, "ar", goldenAziz, "", "on_air", false, []Identity{}, boothInput{InputFloor, "", false, false, []string{}, []inputChoice{}}},
	"booth-relay": msgBooth{"booth", 9, [2]string{"de", "en"}, BoothLive, "de", goldenIdris, "", "on_air", false, []Identity{},
		boothInput{InputRelay, "en", true, false, []string{"Layla Aziz"}, []inputChoice{{"en", []string{"Layla Aziz"}}}}},
	"booth-relay-lost": msgBooth{"booth", 10, [2]string{"de", "en"}, BoothLive, "de", goldenIdris, "", "on_air", false, []Identity{},
		boothInput{InputNone, "en", false, true, []string{}, []inputChoice{}}},
	"chat": msgChat{"chat", "01990000-0000-7000-8000-00000000000a", "main", goldenTremblay, "Prof. Claire Tremblay", "Bonjour à tous", "fr",
		"2026-11-25T15:01:00Z"},
	"scope": msgScope{"scope", []sentence{{"scope.limit.facility-named-on-the-licence", map[string]any{"Limit": "facility-named-on-the-licence", "Enforced": false}}},
		map[string]bool{"advise_physician": true, "joint_video_visit": true, "prescribe_or_order": false}},
	"consent": msgConsent{"consent", false, []consentItem{{"live_consult", true}, {"interpreter", true}, {"captions", false}, {"recording", false}}},
	"notice":  noticeOf("alert", "channel.down", map[string]any{"Tag": "ar"}),
	"signal":  msgSignal{"signal", "slow_down", goldenAziz},
	"error":   msgError{"error", "go_live", "k-12", "stale_epoch", messageID("stale_epoch"), 9},
	"done":    msgDone{"done", "go_live", "k-13", 10},
	"removed": msgRemoved{"removed", "declined"},
	"ended":   msgPlain{"ended"},
	"pong":    msgPlain{"pong"},
}

func TestMessagesAreTheGoldenOnes(t *testing.T) {
	dir := filepath.Join("testdata", "feed")
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(golden) && !*update {
		t.Errorf("%d files for %d messages", len(files), len(golden))
	}
	for name, message := range golden {
		raw, err := json.MarshalIndent(message, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		raw = append(raw, '\n')
		file := filepath.Join(dir, name+".json")
		if *update {
			if err := os.WriteFile(file, raw, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(raw), string(want)); diff != "" {
			t.Errorf("%s: sent, golden:\n%s", name, diff)
		}
		var typed struct{ Type string }
		if err := json.Unmarshal(raw, &typed); err != nil || typed.Type != strings.SplitN(name, "-", 2)[0] {
			t.Errorf("%s says it is %q", name, typed.Type)
		}
	}
}

// TestCommandsAreRead reads each line of the golden commands, which are what the
// page sends.
func TestCommandsAreRead(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "commands.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range bytes.Lines(raw) {
		c, err := parse(bytes.TrimSpace(line))
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		seen[c.Type] = true
		// Nothing the page says is lost on the way.
		var sent, read map[string]any
		back, _ := json.Marshal(c)
		_ = json.Unmarshal(line, &sent)
		_ = json.Unmarshal(back, &read)
		for k, v := range sent {
			if !reflect.DeepEqual(read[k], v) {
				t.Errorf("%s: %s became %v", line, k, read[k])
			}
		}
	}
	for _, kind := range strings.Fields(`hello lobby.check place.confirm admit decline remove back_to_lobby ticket.renew listen.set spoken.set go_live stop
		direction.set mute cough mode.propose mode.confirm chat.say hand signal leave end ping handover.offer handover.request handover.accept
		handover.decline handover.cancel handover.switch coordinator.assign take input.set speech`) {
		if !seen[kind] {
			t.Errorf("no example of %s", kind)
		}
	}
}

func TestFramesThatOurPageNeverSends(t *testing.T) {
	for why, frame := range map[string]string{
		"not JSON":         `{"type":"hand"`,
		"two objects":      `{"type":"ping"}{"type":"ping"}`,
		"a list":           `[{"type":"ping"}]`,
		"a text":           `"ping"`,
		"nothing":          ``,
		"no type":          `{"id":"1"}`,
		"unknown key":      `{"type":"ping","who":"me"}`,
		"key twice":        `{"type":"ping","id":"1","id":"2"}`,
		"wrong kind":       `{"type":"hand","raised":"yes"}`,
		"negative epoch":   `{"type":"go_live","expect_epoch":-1}`,
		"nested too deep":  `{"type":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`,
		"key twice inside": `{"type":{"a":1,"a":2}}`,
		"too long":         `{"type":"chat.say","text":"` + strings.Repeat("a", MaxFrame) + `"}`,
		"long id":          `{"type":"ping","id":"` + strings.Repeat("a", 65) + `"}`,
	} {
		if _, err := parse([]byte(frame)); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v, want ErrProtocol", why, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"type":"ping"}`, `{"type":"go_live","id":"k","expect_epoch":3}`, `{"type":"chat.say","text":"\u0000\ud800"}`, `{"a":[{"b":{}}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parse(data)
		if err != nil {
			if !errors.Is(err, ErrProtocol) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		again, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		d, err := parse(again)
		if err != nil || !reflect.DeepEqual(c, d) {
			t.Fatalf("read %+v, then %+v, %v", c, d, err)
		}
	})
}

// TestEveryCodeIsListed reads the sources: a code that is said and not listed would
// have no text in some language.
func TestEveryCodeIsListed(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	said := regexp.MustCompile(`(?:refusal = |refusal\(|\bno\(|cue\("\w+", |noticeOf\("\w+", |code: )"([a-z_.]+)"`)
	found := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range said.FindAllStringSubmatch(string(raw), -1) {
			if found++; !slices.Contains(codes, m[1]) && m[1] != "cert_missing" { // told with the reason of the certificate
				t.Errorf("%s says %q, which is not listed", file, m[1])
			}
		}
	}
	if found < 40 {
		t.Errorf("only %d codes found in the sources", found)
	}
}
