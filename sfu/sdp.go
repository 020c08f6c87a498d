package sfu

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// Limits of a session description from outside.
const (
	maxSections = 64
	maxLine     = 4096
	maxCodecs   = 128 // of one section: a browser names 40
)

var errSDP = errors.New("sfu: session description refused")

// URIs of the header extensions that are read or written.
const (
	midURI    = sdp.SDESMidURI
	ridURI    = sdp.SDESRTPStreamIDURI
	repairURI = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
	twccURI   = sdp.TransportCCURI
	levelURI  = sdp.AudioLevelURI
)

// description is what is read of an offer or an answer. Remote candidates are not:
// remote addresses come only from connectivity checks that prove the password, so that
// the engine never sends to an address somebody merely names.
type description struct {
	ufrag, pwd string
	print      string // SHA-256 fingerprint of the certificate
	setup      string // active, passive or actpass
	sections   []heard
}

// heard is a section of the other side's.
type heard struct {
	kind       string // audio, video or application
	mid        string
	rejected   bool // port 0
	sends      bool
	receives   bool
	codecs     []webrtc.RTPCodecParameters // in the order of preference
	extensions map[string]uint8            // ids by URI
	rids       []string                    // of layers that are sent
	ssrcs      []uint32                    // that are sent, without repair
	repairs    map[uint32]uint32           // SSRC of repair: what it repairs
	track      string                      // track id of its msid
}

// parseDescription reads a session description with so many sections at most.
func parseDescription(text string, most int) (*description, error) {
	d := &description{}
	bundled := false
	var at *heard
	ids := map[uint8]*webrtc.RTPCodecParameters{}
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if len(line) > maxLine {
			return nil, fmt.Errorf("%w: long line", errSDP)
		}
		if rest, ok := strings.CutPrefix(line, "m="); ok {
			if at != nil {
				at.settle()
			}
			if len(d.sections) == most {
				return nil, fmt.Errorf("%w: more than %d sections", errSDP, most)
			}
			f := strings.Fields(rest)
			if len(f) < 4 {
				return nil, fmt.Errorf("%w: section", errSDP)
			}
			d.sections = append(d.sections, heard{
				kind: f[0], rejected: f[1] == "0", sends: true, receives: true,
				extensions: map[string]uint8{}, repairs: map[uint32]uint32{},
			})
			at = &d.sections[len(d.sections)-1]
			clear(ids)
			if at.kind == "application" {
				continue
			}
			if len(f)-3 > maxCodecs {
				return nil, fmt.Errorf("%w: more than %d codecs", errSDP, maxCodecs)
			}
			at.codecs = make([]webrtc.RTPCodecParameters, len(f)-3)
			for i, v := range f[3:] {
				pt, err := strconv.ParseUint(v, 10, 7)
				if err != nil {
					return nil, fmt.Errorf("%w: payload type", errSDP)
				}
				at.codecs[i].PayloadType = webrtc.PayloadType(pt)
				ids[uint8(pt)] = &at.codecs[i]
			}
			continue
		}
		rest, ok := strings.CutPrefix(line, "a=")
		if !ok {
			continue
		}
		key, value, _ := strings.Cut(rest, ":")
		switch key {
		case "ice-ufrag", "ice-pwd", "fingerprint", "setup":
			if err := d.credential(key, value); err != nil {
				return nil, err
			}
		case "group":
			bundled = bundled || strings.HasPrefix(value, "BUNDLE")
		default:
			if at != nil {
				at.attribute(key, value, ids)
			}
		}
	}
	if at != nil {
		at.settle()
	}
	switch {
	case d.ufrag == "" || d.pwd == "" || len(d.ufrag) > 256 || len(d.pwd) > 256:
		return nil, fmt.Errorf("%w: no ICE credentials", errSDP)
	case d.print == "":
		return nil, fmt.Errorf("%w: no SHA-256 fingerprint", errSDP)
	case !bundled && len(d.sections) > 1:
		return nil, fmt.Errorf("%w: sections are not bundled", errSDP)
	}
	return d, nil
}

// credential takes what is the same for the whole bundle. The first one counts; another
// certificate beside it is refused.
func (d *description) credential(key, value string) error {
	switch key {
	case "ice-ufrag":
		if d.ufrag == "" {
			d.ufrag = value
		}
	case "ice-pwd":
		if d.pwd == "" {
			d.pwd = value
		}
	case "setup":
		if d.setup == "" {
			d.setup = value
		}
	case "fingerprint":
		f := strings.Fields(value)
		if len(f) != 2 || !strings.EqualFold(f[0], "sha-256") {
			return nil
		}
		p := strings.ToUpper(f[1])
		if d.print != "" && d.print != p {
			return fmt.Errorf("%w: two certificates", errSDP)
		}
		d.print = p
	}
	return nil
}

func (h *heard) attribute(key, value string, ids map[uint8]*webrtc.RTPCodecParameters) {
	switch key {
	case "mid":
		h.mid = value
	case "sendonly":
		h.receives = false
	case "recvonly":
		h.sends = false
	case "inactive":
		h.sends, h.receives = false, false
	case "msid":
		if f := strings.Fields(value); len(f) == 2 {
			h.track = f[1]
		}
	case "rtpmap", "fmtp", "rtcp-fb":
		id, rest, _ := strings.Cut(value, " ")
		rest = strings.TrimSpace(rest)
		if id == "*" && key == "rtcp-fb" {
			return
		}
		pt, err := strconv.ParseUint(id, 10, 7)
		c := ids[uint8(pt)]
		if err != nil || c == nil {
			return
		}
		switch key {
		case "rtpmap":
			f := strings.Split(rest, "/")
			clock := uint64(0)
			if len(f) > 1 {
				clock, _ = strconv.ParseUint(f[1], 10, 32)
			}
			c.MimeType, c.ClockRate = h.kind+"/"+f[0], uint32(clock)
			if len(f) > 2 {
				n, _ := strconv.ParseUint(f[2], 10, 16)
				c.Channels = uint16(n)
			}
		case "fmtp":
			c.SDPFmtpLine = rest
		case "rtcp-fb":
			kind, parameter, _ := strings.Cut(rest, " ")
			if len(c.RTCPFeedback) < 16 {
				c.RTCPFeedback = append(c.RTCPFeedback, webrtc.RTCPFeedback{Type: kind, Parameter: parameter})
			}
		}
	case "extmap":
		f := strings.Fields(value)
		if len(f) < 2 {
			return
		}
		id, _, _ := strings.Cut(f[0], "/")
		// Ids above 14 need the long form of the header, which nobody sends by himself.
		if n, err := strconv.ParseUint(id, 10, 8); err == nil && n > 0 && n < 15 {
			h.extensions[f[1]] = uint8(n)
		}
	case "rid":
		if f := strings.Fields(value); len(f) > 1 && f[1] == "send" && len(h.rids) < 3 {
			h.rids = append(h.rids, f[0])
		}
	case "ssrc":
		id, _, _ := strings.Cut(value, " ")
		if n, err := strconv.ParseUint(id, 10, 32); err == nil && len(h.ssrcs) < maxStreams && !slices.Contains(h.ssrcs, uint32(n)) {
			h.ssrcs = append(h.ssrcs, uint32(n))
		}
	case "ssrc-group":
		f := strings.Fields(value)
		if len(f) != 3 || f[0] != "FID" || len(h.repairs) >= maxStreams {
			return
		}
		first, err := strconv.ParseUint(f[1], 10, 32)
		second, err2 := strconv.ParseUint(f[2], 10, 32)
		if err == nil && err2 == nil {
			h.repairs[uint32(second)] = uint32(first)
		}
	}
}

// settle ends the reading of a section.
func (h *heard) settle() {
	h.ssrcs = slices.DeleteFunc(h.ssrcs, func(v uint32) bool {
		_, repair := h.repairs[v]
		return repair
	})
	if h.rejected {
		h.sends, h.receives = false, false
	}
	h.codecs = slices.DeleteFunc(h.codecs, func(c webrtc.RTPCodecParameters) bool { return c.MimeType == "" })
}

// spoken is a section of ours.
type spoken struct {
	kind       string // audio, video or application
	mid        string
	rejected   bool
	direction  string
	codecs     []webrtc.RTPCodecParameters
	extensions []extensionID
	rids       []string // of layers that are received
	stream     string   // msid; empty for none
	track      string
	ssrc, rtx  uint32 // 0 for none
}

type extensionID struct {
	uri string
	id  uint8
}

// local is our half of every description of a link.
type local struct {
	version    int
	setup      string
	ufrag, pwd string
	print      string
	candidates []string
	id         uint64
}

// write makes the text of a description.
func (l *local) write(sections []spoken) string {
	var b strings.Builder
	fmt.Fprintf(&b, "v=0\r\no=- %d %d IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", l.id, l.version)
	fmt.Fprintf(&b, "a=fingerprint:sha-256 %s\r\na=ice-ufrag:%s\r\na=ice-pwd:%s\r\na=ice-options:trickle\r\na=msid-semantic:WMS *\r\na=group:BUNDLE",
		l.print, l.ufrag, l.pwd)
	for i := range sections {
		if !sections[i].rejected {
			b.WriteString(" " + sections[i].mid)
		}
	}
	b.WriteString("\r\n")
	first := true
	for i := range sections {
		s := &sections[i]
		s.open(&b)
		if s.rejected {
			continue
		}
		fmt.Fprintf(&b, "a=setup:%s\r\na=ice-ufrag:%s\r\na=ice-pwd:%s\r\n", l.setup, l.ufrag, l.pwd)
		if first {
			for _, c := range l.candidates {
				b.WriteString("a=candidate:" + c + "\r\n")
			}
			first = false
		}
		s.media(&b)
	}
	return b.String()
}

func (s *spoken) open(b *strings.Builder) {
	port := 9
	if s.rejected {
		port = 0
	}
	if s.kind == "application" {
		fmt.Fprintf(b, "m=application %d UDP/DTLS/SCTP webrtc-datachannel\r\n", port)
	} else {
		fmt.Fprintf(b, "m=%s %d UDP/TLS/RTP/SAVPF", s.kind, port)
		for _, c := range s.codecs {
			fmt.Fprintf(b, " %d", c.PayloadType)
		}
		if len(s.codecs) == 0 {
			b.WriteString(" 0")
		}
		b.WriteString("\r\n")
	}
	fmt.Fprintf(b, "c=IN IP4 0.0.0.0\r\na=mid:%s\r\n", s.mid)
	if s.rejected && s.kind != "application" {
		b.WriteString("a=inactive\r\n")
	}
}

func (s *spoken) media(b *strings.Builder) {
	if s.kind == "application" {
		fmt.Fprintf(b, "a=sctp-port:5000\r\na=max-message-size:%d\r\n", messageSize)
		return
	}
	fmt.Fprintf(b, "a=%s\r\na=rtcp-mux\r\na=rtcp-rsize\r\n", s.direction)
	for _, c := range s.codecs {
		_, name, _ := strings.Cut(c.MimeType, "/")
		fmt.Fprintf(b, "a=rtpmap:%d %s/%d", c.PayloadType, name, c.ClockRate)
		if c.Channels > 1 {
			fmt.Fprintf(b, "/%d", c.Channels)
		}
		b.WriteString("\r\n")
		if c.SDPFmtpLine != "" {
			fmt.Fprintf(b, "a=fmtp:%d %s\r\n", c.PayloadType, c.SDPFmtpLine)
		}
		for _, f := range c.RTCPFeedback {
			fmt.Fprintf(b, "a=rtcp-fb:%d %s\r\n", c.PayloadType, strings.TrimSpace(f.Type+" "+f.Parameter))
		}
	}
	for _, e := range s.extensions {
		fmt.Fprintf(b, "a=extmap:%d %s\r\n", e.id, e.uri)
	}
	for _, rid := range s.rids {
		fmt.Fprintf(b, "a=rid:%s recv\r\n", rid)
	}
	if len(s.rids) > 0 {
		fmt.Fprintf(b, "a=simulcast:recv %s\r\n", strings.Join(s.rids, ";"))
	}
	if s.stream == "" {
		return
	}
	fmt.Fprintf(b, "a=msid:%s %s\r\n", s.stream, s.track)
	if s.rtx != 0 {
		fmt.Fprintf(b, "a=ssrc-group:FID %d %d\r\n", s.ssrc, s.rtx)
	}
	for _, ssrc := range []uint32{s.ssrc, s.rtx} {
		if ssrc != 0 {
			fmt.Fprintf(b, "a=ssrc:%d cname:%s\r\na=ssrc:%d msid:%s %s\r\n", ssrc, s.stream, ssrc, s.stream, s.track)
		}
	}
}
