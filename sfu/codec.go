package sfu

import (
	"strings"

	"github.com/pion/webrtc/v4"
)

// silence is an Opus frame of 20 ms without sound (RFC 6716: TOC 0xf8, CELT).
var silence = []byte{0xf8, 0xff, 0xfe}

const (
	audioClock = 48000
	audioFrame = 960 // 20 ms
	videoClock = 90000
	videoFrame = 3000 // a thirtieth of a second
)

const h264Base = "level-asymmetry-allowed=1;packetization-mode="

// videoCodecs are the video codecs of both directions; each has RTX at the payload
// type above it. VP9 and AV1 wait for layers inside one stream.
var videoCodecs = []struct {
	pt   webrtc.PayloadType
	mime string
	fmtp string
}{
	{96, webrtc.MimeTypeVP8, ""},
	{102, webrtc.MimeTypeH264, h264Base + "1;profile-level-id=42e01f"},
	{104, webrtc.MimeTypeH264, h264Base + "1;profile-level-id=42001f"},
	{106, webrtc.MimeTypeH264, h264Base + "0;profile-level-id=42e01f"},
	{108, webrtc.MimeTypeH264, h264Base + "0;profile-level-id=42001f"},
}

var opus = webrtc.RTPCodecParameters{
	RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: audioClock, Channels: 2,
		SDPFmtpLine: "minptime=10;useinbandfec=1",
	},
	PayloadType: 111,
}

// What a receiver may say of a stream. Both directions have transport-wide congestion
// control: the publisher is told how its packets arrive, the subscriber tells us.
var (
	audioFeedback = []webrtc.RTCPFeedback{{Type: "transport-cc"}}
	videoFeedback = []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}, {Type: "transport-cc"}}
)

func withRTX(pt webrtc.PayloadType, mime, fmtp string) []webrtc.RTPCodecParameters {
	return []webrtc.RTPCodecParameters{
		{
			RTPCodecCapability: webrtc.RTPCodecCapability{
				MimeType: mime, ClockRate: videoClock, SDPFmtpLine: fmtp, RTCPFeedback: videoFeedback,
			},
			PayloadType: pt,
		},
		{
			RTPCodecCapability: webrtc.RTPCodecCapability{
				MimeType: webrtc.MimeTypeRTX, ClockRate: videoClock, SDPFmtpLine: "apt=" + itoa(int(pt)),
			},
			PayloadType: pt + 1,
		},
	}
}

// preferred returns what a subscriber is offered for a track of this codec: the codec
// first and the others of the kind behind it, so that the section can be used again for
// a track of another. A client without the codec takes the section and gets nothing.
func preferred(c webrtc.RTPCodecCapability) []webrtc.RTPCodecParameters {
	if mimeIs(c.MimeType, webrtc.MimeTypeOpus) {
		// Packets of both may come: RED where publisher and subscriber have it.
		plain, redundant := opus, red
		plain.RTCPFeedback, redundant.RTCPFeedback = audioFeedback, audioFeedback
		return []webrtc.RTPCodecParameters{plain, redundant}
	}
	known := false
	var exact, same, rest []webrtc.RTPCodecParameters
	for _, v := range videoCodecs {
		p := withRTX(v.pt, v.mime, v.fmtp)
		switch {
		case !mimeIs(v.mime, c.MimeType):
			rest = append(rest, p...)
		case v.fmtp == "" || h264Same(v.fmtp, c.SDPFmtpLine):
			known = true
			exact = append(exact, p...)
		default:
			known = true
			same = append(same, p...)
		}
	}
	if !known {
		return nil
	}
	return append(append(exact, same...), rest...)
}

func mimeIs(a, b string) bool { return strings.EqualFold(a, b) }

func h264Same(a, b string) bool {
	return fmtpValue(a, "packetization-mode") == fmtpValue(b, "packetization-mode") &&
		firstN(fmtpValue(a, "profile-level-id"), 4) == firstN(fmtpValue(b, "profile-level-id"), 4)
}

func fmtpValue(line, key string) string {
	for part := range strings.SplitSeq(line, ";") {
		if k, v, ok := strings.Cut(strings.TrimSpace(part), "="); ok && strings.EqualFold(k, key) {
			return strings.ToLower(v)
		}
	}
	return ""
}

func firstN(s string, n int) string {
	if len(s) < n {
		return s
	}
	return s[:n]
}
