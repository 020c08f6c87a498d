package signal

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"

	"github.com/consilium-health/consilium/sfu"
)

// maxRequest bounds a join request after it was unpacked. It comes in the address, and
// an offer with its first sections has some 40 kB.
const maxRequest = 256 << 10

var errRequest = errors.New("signal: malformed join request")

// request is what the address of a socket asks for, in either form.
type request struct {
	join      sfu.JoinRequest // without claims and sink
	reconnect bool
	sid       string             // of who comes back
	sync      *livekit.SyncState // nil for none
}

// asksSingle tells whether one peer connection is asked for: by the path /rtc/v1, or by a
// join request on the older path.
func asksSingle(u *url.URL) bool {
	return strings.HasPrefix(u.Path, "/rtc/v1") || u.Query().Has("join_request")
}

// readRequest reads the address of a socket.
func readRequest(u *url.URL) (request, error) {
	q := u.Query()
	if asksSingle(u) {
		return unpackRequest(q.Get("join_request"))
	}
	return request{
		join: sfu.JoinRequest{
			AutoSubscribe: q.Get("auto_subscribe") != "0" && q.Get("auto_subscribe") != "false",
			Attributes:    attributesOf(q.Get("attributes")),
			SDK:           q.Get("sdk"),
		},
		reconnect: q.Get("reconnect") == "1",
		sid:       q.Get("sid"),
	}, nil
}

// unpackRequest reads a join request: base64 of a wrapper, which may be compressed.
func unpackRequest(text string) (request, error) {
	raw, err := decode64(text)
	if err != nil || len(raw) == 0 {
		return request{}, fmt.Errorf("%w: not base64", errRequest)
	}
	var wrapped livekit.WrappedJoinRequest
	if err := proto.Unmarshal(raw, &wrapped); err != nil {
		return request{}, fmt.Errorf("%w: wrapper", errRequest)
	}
	raw = wrapped.GetJoinRequest()
	switch wrapped.GetCompression() {
	case livekit.WrappedJoinRequest_NONE:
	case livekit.WrappedJoinRequest_GZIP:
		if raw, err = gunzip(raw); err != nil {
			return request{}, fmt.Errorf("%w: compression", errRequest)
		}
	default:
		return request{}, fmt.Errorf("%w: unknown compression", errRequest)
	}
	var j livekit.JoinRequest
	if err := proto.Unmarshal(raw, &j); err != nil {
		return request{}, fmt.Errorf("%w: contents", errRequest)
	}
	r := request{
		join: sfu.JoinRequest{
			Single:        true,
			AutoSubscribe: j.GetConnectionSettings().GetAutoSubscribe(),
			Attributes:    j.GetParticipantAttributes(),
			Metadata:      j.GetMetadata(),
			SDK:           strings.ToLower(j.GetClientInfo().GetSdk().String()),
			Tracks:        j.GetAddTrackRequests(),
		},
		reconnect: j.GetReconnect(),
		sid:       j.GetParticipantSid(),
		sync:      j.GetSyncState(),
	}
	if o := j.GetPublisherOffer(); o.GetSdp() != "" {
		r.join.Offer = o
	}
	return r, nil
}

func gunzip(raw []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(z, maxRequest+1))
	if err == nil && len(plain) > maxRequest {
		err = errRequest
	}
	return plain, err
}

// decode64 reads both alphabets, with padding or without.
func decode64(text string) ([]byte, error) {
	text = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(text, "="))
	return base64.RawURLEncoding.DecodeString(text)
}

func attributesOf(encoded string) map[string]string {
	if encoded == "" {
		return nil
	}
	raw, err := decode64(encoded)
	if err != nil {
		return nil
	}
	attributes := map[string]string{}
	if json.Unmarshal(raw, &attributes) != nil {
		return nil
	}
	return attributes
}
