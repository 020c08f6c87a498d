package sfu

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"
)

const somePrint = "AA:4B:71:4D:69:61:22:D2:9B:BD:DD:24:C6:98:0E:78:0E:58:84:21:9C:95:AD:A2:F5:7C:49:0C:D0:45:50:C4"

func TestADescriptionIsReadAsItWasWritten(t *testing.T) {
	l := local{version: 3, setup: "actpass", ufrag: "u", pwd: "p", print: somePrint, candidates: []string{"1 1 udp 1 192.0.2.1 9 typ host"}, id: 8}
	sound := preferred(opus.RTPCodecCapability)
	picture := preferred(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: videoClock})
	text := l.write([]spoken{
		{kind: "application", mid: "0"},
		{kind: "audio", mid: "1", direction: "sendonly", codecs: sound, extensions: []extensionID{{twccURI, 3}}, stream: "PA_x|TR_y", track: "TR_y", ssrc: 7},
		{kind: "video", mid: "2", direction: "sendonly", codecs: picture, extensions: []extensionID{{twccURI, 3}}, stream: "PA_x|TR_z", track: "TR_z", ssrc: 8, rtx: 9},
		{kind: "video", mid: "3", direction: "inactive", codecs: picture},
		{kind: "video", mid: "4", rejected: true},
	})
	d, err := parseDescription(text, 5)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if d.ufrag != "u" || d.pwd != "p" || d.print != somePrint || d.setup != "actpass" || len(d.sections) != 5 {
		t.Errorf("got %+v", d)
	}
	a, v, off, no := d.sections[1], d.sections[2], d.sections[3], d.sections[4]
	if !a.sends || a.receives || a.track != "TR_y" || !slices.Equal(a.ssrcs, []uint32{7}) || a.extensions[twccURI] != 3 || !reflect.DeepEqual(a.codecs, sound) {
		t.Errorf("sound: %+v", a)
	}
	if !slices.Equal(v.ssrcs, []uint32{8}) || v.repairs[9] != 8 || !reflect.DeepEqual(v.codecs, picture) {
		t.Errorf("picture: %+v", v)
	}
	if off.sends || off.receives || off.rejected || !no.rejected || no.sends || no.receives {
		t.Errorf("without track: %+v, rejected: %+v", off, no)
	}
	if strings.Contains(text, "BUNDLE 0 1 2 3 4") || !strings.Contains(text, "BUNDLE 0 1 2 3\r\n") {
		t.Error("a rejected section is in the bundle")
	}
}

func TestHostileDescriptionsAreRefused(t *testing.T) {
	head := "v=0\r\na=group:BUNDLE 0\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\na=setup:active\r\n"
	print := "a=fingerprint:sha-256 " + somePrint + "\r\n"
	section := "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:0\r\n"
	for name, text := range map[string]string{
		"no fingerprint":       head + section,
		"only SHA-1":           head + "a=fingerprint:sha-1 AA:BB\r\n" + section,
		"two certificates":     head + print + section + "a=fingerprint:sha-256 BB:BB\r\n",
		"no credentials":       "v=0\r\n" + print + section,
		"200 sections":         head + print + strings.Repeat(section, 200),
		"a long line":          head + print + section + "a=" + strings.Repeat("x", maxLine) + "\r\n",
		"not bundled":          strings.Replace(head, "BUNDLE", "LS", 1) + print + section + section,
		"no payload type":      head + print + "m=audio 9 UDP/TLS/RTP/SAVPF 111 300\r\n",
		"too many codecs":      head + print + "m=audio 9 UDP/TLS/RTP/SAVPF" + strings.Repeat(" 1", maxCodecs+1) + "\r\n",
		"a section of nothing": head + print + "m=\r\n",
		"nothing":              "",
	} {
		if d, err := parseDescription(text, maxSections); !errors.Is(err, errSDP) {
			t.Errorf("%s: got %+v, %v", name, d, err)
		}
	}
	if _, err := parseDescription(head+print+section, maxSections); err != nil {
		t.Errorf("a good one: %v", err)
	}
}

// An answer must be one to what was offered, from the certificate that it names.
func TestAnswersToSomethingElseAreRefused(t *testing.T) {
	answer := func(change func(*description)) *description {
		d := &description{ufrag: "u", pwd: "p", print: somePrint, setup: "active", sections: []heard{
			{kind: "application", mid: "0"}, {kind: "audio", mid: "1", receives: true},
		}}
		change(d)
		return d
	}
	for name, d := range map[string]*description{
		"fewer sections":      answer(func(d *description) { d.sections = d.sections[:1] }),
		"another kind":        answer(func(d *description) { d.sections[1].kind = "video" }),
		"another mid":         answer(func(d *description) { d.sections[1].mid = "0" }),
		"passive":             answer(func(d *description) { d.setup = "passive" }),
		"another certificate": answer(func(d *description) { d.print = strings.Replace(somePrint, "AA", "BB", 1) }),
	} {
		s := &subscriber{
			link: &link{print: somePrint, ufrag: "u"}, started: true,
			offered:  []spoken{{kind: "application", mid: "0"}, {kind: "audio", mid: "1"}},
			sections: []*section{{mid: "1"}},
		}
		if err := s.accept(d); !errors.Is(err, errSDP) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOnlyTheCertificateOfTheDescriptionIsLetIn(t *testing.T) {
	first, err := newIdentity()
	if err != nil {
		t.Fatal(err)
	}
	second, err := newIdentity()
	if err != nil {
		t.Fatal(err)
	}
	l := &link{print: first.print}
	if err := l.verify(first.tls.Certificate, nil); err != nil {
		t.Error(err)
	}
	for _, raw := range [][][]byte{second.tls.Certificate, nil, {{}}} {
		if err := l.verify(raw, nil); !errors.Is(err, errFingerprint) {
			t.Errorf("got %v", err)
		}
	}
}

// The answer takes what we have of an offer, the wanted codec first.
func TestAnOfferIsAnsweredWithWhatBothHave(t *testing.T) {
	var offer strings.Builder
	fmt.Fprintf(&offer, "v=0\r\na=group:BUNDLE 0 1\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\na=setup:actpass\r\na=fingerprint:sha-256 %s\r\n", somePrint)
	offer.WriteString("m=video 9 UDP/TLS/RTP/SAVPF 98 99 96 97 103\r\na=mid:0\r\na=sendonly\r\na=msid:s camera\r\n" +
		"a=rtpmap:98 VP9/90000\r\na=rtpmap:99 rtx/90000\r\na=fmtp:99 apt=98\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 goog-remb\r\na=rtcp-fb:96 nack pli\r\n" +
		"a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:103 H264/90000\r\na=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n" +
		"a=extmap:4 " + midURI + "\r\na=extmap:10 " + ridURI + "\r\na=extmap:12 urn:3gpp:video-orientation\r\na=rid:q send\r\na=rid:f send\r\na=simulcast:send q;f\r\n" +
		"m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:1\r\na=sendonly\r\na=rtpmap:0 PCMU/8000\r\n")
	d, err := parseDescription(offer.String(), maxSections)
	if err != nil {
		t.Fatal(err)
	}
	p := &Peer{participant: &participant{tracks: []*Track{{cid: "camera", wantCodec: webrtc.MimeTypeH264, kind: webrtc.RTPCodecTypeVideo}}}, room: &Room{}}
	sections, places := (&publisher{peer: p}).reply(d)
	if len(sections) != 2 || !sections[1].rejected || len(places) != 1 {
		t.Fatalf("got %+v", sections)
	}
	v := sections[0]
	var pts []webrtc.PayloadType
	for _, c := range v.codecs {
		pts = append(pts, c.PayloadType)
	}
	if !slices.Equal(pts, []webrtc.PayloadType{103, 96, 97}) || v.direction != "recvonly" || !slices.Equal(v.rids, []string{"q", "f"}) {
		t.Errorf("got %v, %+v", pts, v)
	}
	if !slices.Equal(v.codecs[1].RTCPFeedback, []webrtc.RTCPFeedback{{Type: "nack", Parameter: "pli"}}) {
		t.Errorf("feedback %v", v.codecs[1].RTCPFeedback)
	}
	if !slices.Equal(v.extensions, []extensionID{{midURI, 4}, {ridURI, 10}}) {
		t.Errorf("extensions %v", v.extensions)
	}
	if !places[0].carries(96) || places[0].carries(97) || places[0].carries(98) {
		t.Error("carries the wrong payload types")
	}
}
