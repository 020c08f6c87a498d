package sfu

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/sctp"
)

const (
	// handshakeTime bounds DTLS and SCTP after ICE has found a way.
	handshakeTime = 30 * time.Second
	// gatherTime bounds finding our own addresses, of which all are known.
	gatherTime = 10 * time.Second
	// messageSize is the largest message of a data channel; the client's limit is 64 kB.
	messageSize = 64 << 10
)

var errNoWay = errors.New("sfu: the link is not up")

// linkUser is what a link carries packets for. rtp and control are called by whoever
// reads the link, one at a time; what leaves because of a packet goes via the batch,
// or at once when it is nil.
type linkUser interface {
	// rtp gets an opened packet of the stream.
	rtp(in *stream, b []byte, via *batch)
	// control gets opened reports.
	control(packets []rtcp.Packet)
	// up is called once, when media can flow; data when the association stands. It may
	// stay until that ends.
	up()
	data(*sctp.Association)
}

// stream is one received SSRC.
type stream struct {
	receiver
	ssrc  uint32
	route route
}

// target is where the packets of a link go.
type target struct {
	addr netip.AddrPort
	wire destination
}

// link is the connection to one client in one direction: ICE and DTLS from Pion, with
// the media packets between the socket and its user. We are always the DTLS server.
type link struct {
	peer  *Peer
	conn  *mediaConn
	user  linkUser
	agent *ice.Agent
	cert  *identity
	log   logging.LoggerFactory

	controlling bool // we offer

	keys  atomic.Pointer[keys]
	to    atomic.Pointer[target]    // nil while no pair over our UDP socket is selected
	state atomic.Int32              // ice.ConnectionState
	way   atomic.Pointer[ice.Conn]  // set by start
	dtls  atomic.Pointer[dtls.Conn] // set when it is up
	print string                    // of the client's certificate; set by start
	ufrag string                    // the client's; owned by the peer's loop

	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup

	addrMu sync.Mutex // of those who change to
	closed bool       // guarded by addrMu

	rtcpMu sync.Mutex // of outgoing reports

	inMu    sync.Mutex // of who reads: the socket's goroutine, or DTLS's for other ways
	streams map[uint32]*stream
	cached  *stream // the last one, guarded by inMu

	first, last *slot // of the batch
}

// identity is the certificate that all links share.
type identity struct {
	tls   tls.Certificate
	print string // as SDP has it
}

func newIdentity() (*identity, error) {
	c, err := selfsign.GenerateSelfSigned()
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	return &identity{tls: c, print: fingerprint(c.Certificate[0])}, nil
}

// fingerprint is a certificate's SHA-256 as SDP writes it (RFC 8122 §5).
func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	var b strings.Builder
	for i, v := range sum {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(strings.ToUpper(hex.EncodeToString([]byte{v})))
	}
	return b.String()
}

func (p *Peer) newLink(user linkUser, controlling bool) (*link, error) {
	s := p.srv
	agent, err := ice.NewAgentWithOptions(s.agentOptions...)
	if err != nil {
		return nil, fmt.Errorf("make connection: %w", err)
	}
	l := &link{peer: p, controlling: controlling, conn: s.media, user: user, agent: agent, cert: s.identity, log: s.quiet, streams: map[uint32]*stream{}}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.state.Store(int32(ice.ConnectionStateNew))
	err = errors.Join(
		agent.OnConnectionStateChange(func(c ice.ConnectionState) { l.state.Store(int32(c)) }),
		agent.OnSelectedCandidatePairChange(func(_, remote ice.Candidate) { l.selected(remote) }),
	)
	if err != nil {
		l.cancel()
		_ = agent.Close()
		return nil, fmt.Errorf("make connection: %w", err)
	}
	return l, nil
}

// gather finds the addresses that the client is told of, with the credentials of now.
func (l *link) gather() (ufrag, pwd string, candidates []string, err error) {
	all := make(chan struct{})
	var once sync.Once
	if err := l.agent.OnCandidate(func(c ice.Candidate) {
		if c == nil {
			once.Do(func() { close(all) })
		}
	}); err != nil {
		return "", "", nil, fmt.Errorf("gather: %w", err)
	}
	if err := l.agent.GatherCandidates(); err != nil {
		return "", "", nil, fmt.Errorf("gather: %w", err)
	}
	limit := time.NewTimer(gatherTime)
	defer limit.Stop()
	select {
	case <-all:
	case <-limit.C:
	}
	found, err := l.agent.GetLocalCandidates()
	if err != nil {
		return "", "", nil, fmt.Errorf("gather: %w", err)
	}
	for _, c := range found {
		candidates = append(candidates, c.Marshal())
	}
	ufrag, pwd, err = l.agent.GetLocalUserCredentials()
	return ufrag, pwd, candidates, err
}

// start connects to the client that answered, or offered, with these.
func (l *link) start(d *description) error {
	l.print, l.ufrag = d.print, d.ufrag
	begin := l.agent.StartAccept
	if l.controlling {
		begin = l.agent.StartDial
	}
	way, err := begin(d.ufrag, d.pwd)
	if err != nil {
		return fmt.Errorf("start connection: %w", err)
	}
	l.way.Store(way)
	l.spawn(func() { l.connect(way) })
	return nil
}

func (l *link) connect(way *ice.Conn) {
	if l.agent.AwaitConnect(l.ctx) != nil {
		return
	}
	conn, err := dtls.ServerWithOptions(&wayConn{l: l, way: way}, way.RemoteAddr(),
		dtls.WithCertificates(l.cert.tls),
		dtls.WithClientAuth(dtls.RequireAnyClientCert),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithSRTPProtectionProfiles(srtpProfiles...),
		dtls.WithInsecureSkipVerify(true), // the fingerprint of the description is the check
		dtls.WithVerifyPeerCertificate(l.verify),
		dtls.WithLoggerFactory(l.log),
	)
	if err != nil {
		return
	}
	limit, cancel := context.WithTimeout(l.ctx, handshakeTime)
	defer cancel()
	stop := context.AfterFunc(l.ctx, func() { _ = conn.Close() })
	defer stop()
	if conn.HandshakeContext(limit) != nil {
		_ = conn.Close()
		return
	}
	profile, ok := conn.SelectedSRTPProtectionProfile()
	state, known := conn.ConnectionState()
	if !ok || !known {
		_ = conn.Close()
		return
	}
	k, err := newKeys(profile, &state)
	if err != nil {
		_ = conn.Close()
		return
	}
	l.dtls.Store(conn)
	l.keys.Store(k)
	l.user.up()
	// Both sides of WebRTC are the client of SCTP (RFC 8841 §9.3).
	assoc, err := sctp.Client(sctp.Config{NetConn: conn, LoggerFactory: l.log, MaxMessageSize: messageSize, MTU: 1191})
	if err != nil {
		return
	}
	l.user.data(assoc)
	<-l.ctx.Done()
	_ = assoc.Close()
}

var errFingerprint = errors.New("sfu: certificate does not have the fingerprint of the description")

// verify is the whole authentication of the client.
func (l *link) verify(raw [][]byte, _ [][]*x509.Certificate) error {
	if len(raw) == 0 || subtle.ConstantTimeCompare([]byte(fingerprint(raw[0])), []byte(l.print)) != 1 {
		return errFingerprint
	}
	return nil
}

// selected learns the way that ICE has chosen.
func (l *link) selected(remote ice.Candidate) {
	var addr netip.AddrPort
	if !remote.NetworkType().IsTCP() {
		if ip, err := netip.ParseAddr(remote.Address()); err == nil {
			addr = netip.AddrPortFrom(ip.Unmap(), uint16(remote.Port()))
		}
	}
	l.move(addr)
}

// move makes packets go to and come from an address of the socket's, or with none
// through ICE.
func (l *link) move(addr netip.AddrPort) {
	l.addrMu.Lock()
	defer l.addrMu.Unlock()
	if l.closed {
		addr = netip.AddrPort{}
	}
	var before netip.AddrPort
	if t := l.to.Load(); t != nil {
		before = t.addr
	}
	if before == addr {
		return
	}
	l.conn.attach(l, before, addr)
	if !addr.IsValid() {
		l.to.Store(nil)
		return
	}
	l.to.Store(&target{addr: addr, wire: l.conn.out.target(addr)})
}

// restart gives new credentials to a link whose way is lost. DTLS and all above stay.
// What is sent goes the old way until another is checked, or until forget.
func (l *link) restart() (ufrag, pwd string, candidates []string, err error) {
	if err := l.agent.Restart("", ""); err != nil {
		return "", "", nil, fmt.Errorf("restart connection: %w", err)
	}
	l.ufrag = ""
	return l.gather()
}

// forget sends nothing more the way from before a restart, if no other is known yet.
func (l *link) forget() {
	if l.chosen() {
		return
	}
	l.move(netip.AddrPort{})
	l.chosen() // it may have been meanwhile
}

// chosen takes the way that ICE has chosen, and tells whether there is one.
func (l *link) chosen() bool {
	pair, err := l.agent.GetSelectedCandidatePair()
	if err != nil || pair == nil {
		return false
	}
	l.selected(pair.Remote)
	return true
}

// credentials takes those of a later description.
func (l *link) credentials(d *description) error {
	if d.ufrag == l.ufrag {
		return nil
	}
	if err := l.agent.SetRemoteCredentials(d.ufrag, d.pwd); err != nil {
		return fmt.Errorf("restart connection: %w", err)
	}
	l.ufrag = d.ufrag
	return nil
}

// spawn runs f in a goroutine that the link's end waits for.
func (l *link) spawn(f func()) {
	l.addrMu.Lock()
	defer l.addrMu.Unlock()
	if l.closed {
		return
	}
	l.done.Go(func() {
		defer l.peer.guard()
		f()
	})
}

// close ends the link and waits for its goroutines.
func (l *link) close() {
	l.addrMu.Lock()
	l.closed = true
	l.addrMu.Unlock()
	l.move(netip.AddrPort{})
	l.cancel()
	if c := l.dtls.Load(); c != nil {
		_ = c.Close()
	}
	_ = l.agent.GracefulClose()
	l.done.Wait()
}

// wayConn is the link as DTLS sees it. Its reader also takes the media that comes another
// way than from the address selected on our socket: over TCP, or in the moment when a
// client changes its address.
type wayConn struct {
	l   *link
	way *ice.Conn
}

var _ net.PacketConn = (*wayConn)(nil)

func (p *wayConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, err := p.way.Read(b)
		if err != nil {
			return 0, nil, err
		}
		switch classify(b[:n]) {
		case mediaPacket:
			p.l.receive(b[:n], nil)
		case dtlsPacket:
			if p.l.keys.Load() != nil {
				if n = len(protected(b[:n])); n == 0 {
					continue
				}
			}
			return n, p.way.RemoteAddr(), nil
		}
	}
}

// protected keeps the records of a datagram that the keys protect (RFC 6347 §4.1: of an
// epoch above 0), in place. After the handshake the others say nothing that is needed,
// and whoever knows a client's address could send them in its name: an alert among them
// would end the connection. A client that missed our last flight repeats its own, whose
// last record is protected and brings ours again.
func protected(b []byte) []byte {
	const header, first, last = 13, 20, 24
	kept := 0
	for rest := b; len(rest) >= header; {
		size := header + int(rest[11])<<8 + int(rest[12])
		if size > len(rest) || rest[0] < first || rest[0] > last {
			break
		}
		if rest[3]|rest[4] != 0 {
			kept += copy(b[kept:], rest[:size])
		}
		rest = rest[size:]
	}
	return b[:kept]
}

func (p *wayConn) WriteTo(b []byte, _ net.Addr) (int, error) { return p.way.Write(b) }
func (p *wayConn) Close() error                              { return nil }
func (p *wayConn) LocalAddr() net.Addr                       { return p.way.LocalAddr() }
func (p *wayConn) SetDeadline(t time.Time) error             { return p.way.SetDeadline(t) }
func (p *wayConn) SetReadDeadline(t time.Time) error         { return p.way.SetReadDeadline(t) }
func (p *wayConn) SetWriteDeadline(t time.Time) error        { return p.way.SetWriteDeadline(t) }

// receive takes a media packet of the client.
func (l *link) receive(b []byte, via *batch) {
	defer l.peer.guard()
	k := l.keys.Load()
	if k == nil {
		return
	}
	l.inMu.Lock()
	defer l.inMu.Unlock()
	if isControl(b) {
		plain, err := k.inRTCP.DecryptRTCP(nil, b, nil)
		if err != nil {
			return
		}
		if packets, err := rtcp.Unmarshal(plain); err == nil {
			l.user.control(packets)
		}
		return
	}
	size := headerSize(b)
	if size == 0 {
		return
	}
	ssrc := uint32(b[8])<<24 | uint32(b[9])<<16 | uint32(b[10])<<8 | uint32(b[11])
	in := l.cached
	if in == nil || in.ssrc != ssrc {
		if in = l.streams[ssrc]; in == nil {
			// Only what is authentic gets an entry.
			in = &stream{ssrc: ssrc}
		}
	}
	plain, err := k.open(&in.receiver, b, size)
	if err != nil {
		return
	}
	if l.streams[ssrc] == nil {
		if len(l.streams) >= maxStreams {
			in.route.state = routeRefused
		} else {
			l.streams[ssrc] = in
		}
	}
	l.cached = in
	l.user.rtp(in, plain, via)
}

// outgoing is an RTP packet of ours without its payload.
type outgoing struct {
	marker  bool
	padding bool
	pt      uint8
	seq     uint16
	ts      uint32
	twccID  uint8  // 0: without transport-wide number
	twcc    uint16 // number of the packet on its link
}

// build writes the header of a packet.
func (o *outgoing) build(b []byte, ssrc uint32) int {
	b[0], b[1] = 0x80, o.pt
	if o.padding {
		b[0] |= 0x20
	}
	if o.marker {
		b[1] |= 0x80
	}
	b[2], b[3] = byte(o.seq>>8), byte(o.seq)
	b[4], b[5], b[6], b[7] = byte(o.ts>>24), byte(o.ts>>16), byte(o.ts>>8), byte(o.ts)
	b[8], b[9], b[10], b[11] = byte(ssrc>>24), byte(ssrc>>16), byte(ssrc>>8), byte(ssrc)
	if o.twccID == 0 {
		return 12
	}
	// One extension of one byte's header (RFC 8285 §4.2), two bytes long, and padding.
	b[0] |= 0x10
	b[12], b[13], b[14], b[15] = 0xbe, 0xde, 0, 1
	b[16], b[17], b[18], b[19] = o.twccID<<4|1, byte(o.twcc>>8), byte(o.twcc), 0
	return 20
}

// slots are for packets that do not leave with a batch.
var slots = sync.Pool{New: func() any { return new(slot) }}

// write seals a packet and sends it.
func (l *link) write(s *sender, o *outgoing, payload []byte, via *batch) {
	k := l.keys.Load()
	if k == nil || len(payload) > sendSlot-20-sealRoom {
		return
	}
	to := l.to.Load()
	if to == nil {
		via = nil
	}
	var out *slot
	if via != nil {
		out = via.take()
	} else {
		out = slots.Get().(*slot)
		defer slots.Put(out)
	}
	size := o.build(out.buf[:], s.ssrc)
	n, err := k.seal(s, out.buf[:], size, size+copy(out.buf[size:], payload))
	if err != nil {
		return
	}
	out.n = n
	switch {
	case via != nil:
		via.put(l, out)
	case to != nil:
		_, _ = l.conn.WriteToAddrPort(out.buf[:n], to.addr)
	default:
		if way := l.way.Load(); way != nil {
			_, _ = way.Write(out.buf[:n])
		}
	}
}

// report sends RTCP packets, with the others of a tick or, when via is nil, at once.
func (l *link) report(via *reports, packets ...rtcp.Packet) error {
	k := l.keys.Load()
	if k == nil {
		return errNoWay
	}
	raw, err := rtcp.Marshal(packets)
	if err != nil {
		return fmt.Errorf("write reports: %w", err)
	}
	l.rtcpMu.Lock()
	sealed, err := k.outRTCP.EncryptRTCP(nil, raw, nil)
	l.rtcpMu.Unlock()
	if err != nil {
		return fmt.Errorf("write reports: %w", err)
	}
	if to := l.to.Load(); to != nil && via != nil {
		via.put(to, sealed)
	} else if to != nil {
		_, err = l.conn.WriteToAddrPort(sealed, to.addr)
	} else if way := l.way.Load(); way != nil {
		_, err = way.Write(sealed)
	} else {
		err = io.ErrClosedPipe
	}
	return err
}

// connected tells whether ICE has a way now.
func (l *link) connected() bool {
	switch ice.ConnectionState(l.state.Load()) {
	case ice.ConnectionStateConnected, ice.ConnectionStateCompleted:
		return true
	}
	return false
}
