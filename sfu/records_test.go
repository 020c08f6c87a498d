package sfu_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/webrtc/v4"
	"google.golang.org/protobuf/proto"

	"github.com/consilium-health/consilium/sfu/internal/weaklink"
)

// record is one DTLS record of a kind and an epoch.
func record(kind byte, epoch uint16, number uint64, content ...byte) []byte {
	b := make([]byte, 13, 13+len(content))
	b[0], b[1], b[2] = kind, 0xfe, 0xfd
	binary.BigEndian.PutUint64(b[3:], uint64(epoch)<<48|number)
	binary.BigEndian.PutUint16(b[11:], uint16(len(content)))
	return append(b, content...)
}

// TestRecordsWithoutProtectionEndNoConnection sends in the clients' names what anybody
// could who knows their addresses.
func TestRecordsWithoutProtectionEndNoConnection(t *testing.T) {
	server, _ := start(t, none, none)
	relay := weaklink.New(t, server.Addr(), 5)
	b := newBrowser(t, server, "b", relay)
	got := make(chan struct{}, 64)
	b.sub.OnDataChannel(func(dc *webrtc.DataChannel) {
		dc.OnMessage(func(webrtc.DataChannelMessage) { got <- struct{}{} })
	})
	a := newBrowser(t, server, "a", relay)
	dc, err := a.pub.CreateDataChannel("_reliable", nil)
	if err != nil {
		t.Fatal(err)
	}
	opened := make(chan struct{})
	dc.OnOpen(func() { close(opened) })
	wait := func(ch <-chan struct{}, what string) {
		t.Helper()
		select {
		case <-ch:
		case <-time.After(patience):
			t.Fatal(what)
		}
	}
	send := func() {
		t.Helper()
		raw, err := proto.Marshal(&livekit.DataPacket{Value: &livekit.DataPacket_User{User: &livekit.UserPacket{Payload: []byte("still here")}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := dc.Send(raw); err != nil {
			t.Fatal(err)
		}
	}
	a.speak()
	b.hears(20)
	wait(opened, "the data channel never opened")
	send()
	wait(got, "no data came")
	for n := range uint64(40) {
		number := 1000 + 10*n
		relay.Inject(record(21, 0, number, 2, 40))                                                // fatal: handshake failure
		relay.Inject(record(21, 0, number+1, 1, 0))                                               // close notify
		relay.Inject(record(23, 0, number+2, 1, 2, 3))                                            // data
		relay.Inject(record(22, 0, number+3, 1, 2, 3))                                            // a broken handshake message
		relay.Inject(record(20, 0, number+4, 1))                                                  // change cipher spec
		relay.Inject(append(record(20, 0, number+5, 1), record(21, 0, number+6, 2, 10)...))       // two in one
		relay.Inject(record(21, 1, number+7, 2, 40))                                              // says that it is protected
		relay.Inject(record(21, 0, number+8, 2, 40)[:14])                                         // cut off
		relay.Inject(append(record(25, 0, number+9, 1, 2, 3, 4), record(21, 0, number, 2, 0)...)) // with a connection id
	}
	b.hears(50)
	send()
	wait(got, "no data came after records without protection")
}
