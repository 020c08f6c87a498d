package sfu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/livekit/protocol/livekit"
	"github.com/pion/ice/v4"
	"github.com/pion/logging"

	"github.com/consilium-health/consilium/sfu/internal/fresh"
)

// Version is what the server tells clients of itself.
const Version = "1.0.0"

// protocolVersion is the version of the LiveKit protocol that is spoken.
const protocolVersion = 16

// Config is what a Server needs.
type Config struct {
	// UDP is the address and port of all media, "127.0.0.1:7882". Port 0 picks one.
	UDP string
	// TCP is the address of ICE over TCP; empty for none.
	TCP string
	// PublicIPs are told to clients instead of the addresses bound, behind a NAT.
	PublicIPs []string
	// Key and Secret sign and verify access tokens.
	Key, Secret string
	// NodeID names this server to clients.
	NodeID string
	// AutoCreate lets the first token with roomJoin make its room, with the ordinary
	// policy. Without it only rooms made by Open and RoomService exist.
	AutoCreate bool
	// Relay gives clients a way through networks without UDP; nil for none. See sfu/turn.
	Relay Relay
	// Grace is how long a participant without socket stays, for a resume. 20 s if 0.
	Grace time.Duration
	// EmptyTimeout ends a room made by a token when nobody was in it for so long. 5
	// minutes if 0.
	EmptyTimeout time.Duration
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// Log gets ids only; discarded if nil.
	Log *slog.Logger

	lose, loseSent func([]byte) bool // drop packets that come, and that leave, in tests
}

// Relay is a TURN server. Credentials must not block; it is called for every join and
// resume, with opaque ids.
type Relay interface {
	Credentials(participant, room string) (urls []string, username, password string)
}

// Server is the media engine: rooms, participants and their tracks on one UDP port.
type Server struct {
	cfg Config
	log *slog.Logger
	now func() time.Time

	media        *mediaConn
	tcp          net.Listener
	mux          ice.UDPMux
	tcpMux       ice.TCPMux
	identity     *identity
	quiet        logging.LoggerFactory
	agentOptions []ice.AgentOption

	mu     sync.Mutex
	rooms  map[string]*Room // guarded by mu
	closed bool             // guarded by mu
	drains bool             // guarded by mu: no new rooms

	feeds feedTable
	count counters

	events   eventQueue
	peers    sync.WaitGroup // running peer loops
	done     chan struct{}
	closeOne sync.Once
	tickets  atomic.Uint64
}

// New binds the media port. Run must be called for anything to move.
func New(cfg Config) (*Server, error) {
	if len(cfg.Secret) < 32 {
		return nil, errors.New("sfu: the secret needs 32 characters or more")
	}
	if cfg.Key == "" {
		return nil, errors.New("sfu: no key")
	}
	if cfg.Grace == 0 {
		cfg.Grace = 20 * time.Second
	}
	if cfg.EmptyTimeout == 0 {
		cfg.EmptyTimeout = 5 * time.Minute
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.NodeID == "" {
		cfg.NodeID = "ND_" + shortID()
	}
	s := &Server{
		cfg: cfg, log: cfg.Log, now: cfg.Now,
		rooms: map[string]*Room{},
		done:  make(chan struct{}),
	}
	s.feeds.init()
	s.events.init()
	if err := s.listen(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Server) listen() error {
	addr, err := netip.ParseAddrPort(s.cfg.UDP)
	if err != nil {
		return fmt.Errorf("media address %q: %w", s.cfg.UDP, err)
	}
	if s.identity, err = newIdentity(); err != nil {
		return err
	}
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return fmt.Errorf("listen for media: %w", err)
	}
	// A burst of key frames of a whole room fits; the kernel may grant less.
	_ = udp.SetReadBuffer(4 << 20)
	_ = udp.SetWriteBuffer(4 << 20)
	if s.media, err = newMediaConn(udp); err != nil {
		_ = udp.Close()
		return fmt.Errorf("listen for media: %w", err)
	}
	s.media.lose, s.media.loseSent = s.cfg.lose, s.cfg.loseSent

	factory := logging.NewDefaultLoggerFactory()
	factory.Writer = io.Discard
	s.quiet = factory
	s.mux = ice.NewUDPMuxDefault(ice.UDPMuxParams{Logger: factory.NewLogger("ice"), UDPConn: s.media})
	if s.cfg.TCP != "" {
		if s.tcp, err = net.Listen("tcp", s.cfg.TCP); err != nil {
			_ = udp.Close()
			return fmt.Errorf("listen for media over TCP: %w", err)
		}
		s.tcpMux = ice.NewTCPMuxDefault(ice.TCPMuxParams{
			Listener: fresh.Listen(s.tcp), Logger: factory.NewLogger("ice"), ReadBufferSize: 64,
		})
	}
	s.agentOptions = s.iceOptions(addr.Addr())
	return nil
}

// iceOptions are those of every link of a server that listens on addr.
func (s *Server) iceOptions(addr netip.Addr) []ice.AgentOption {
	networks := []ice.NetworkType{ice.NetworkTypeUDP4, ice.NetworkTypeUDP6}
	options := []ice.AgentOption{
		ice.WithUDPMux(s.mux), ice.WithLoggerFactory(s.quiet), ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled),
		ice.WithDisableActiveTCP(),
		// Remote addresses are only ever learned from checks (see description); waiting a
		// second for a better kind would delay every join by it.
		ice.WithHostAcceptanceMinWait(0), ice.WithPrflxAcceptanceMinWait(0),
	}
	if s.tcpMux != nil {
		options = append(options, ice.WithTCPMux(s.tcpMux))
		networks = append(networks, ice.NetworkTypeTCP4, ice.NetworkTypeTCP6)
	}
	if addr.IsLoopback() {
		options = append(options, ice.WithIncludeLoopback())
	}
	if !addr.IsUnspecified() {
		only := net.IP(addr.Unmap().AsSlice())
		options = append(options, ice.WithIPFilter(func(ip net.IP) bool { return ip.Equal(only) }))
	}
	if len(s.cfg.PublicIPs) > 0 {
		options = append(options, ice.WithAddressRewriteRules(ice.AddressRewriteRule{
			External: s.cfg.PublicIPs, AsCandidateType: ice.CandidateTypeHost,
		}))
	}
	return append(options, ice.WithNetworkTypes(networks))
}

// Addr returns the UDP address of the media port.
func (s *Server) Addr() netip.AddrPort { return s.media.LocalAddr().(*net.UDPAddr).AddrPort() }

// Key returns the name of the signing key.
func (s *Server) Key() string { return s.cfg.Key }

// Run does the periodic work and delivers events until ctx ends; then it closes the
// server and returns when everything has ended.
func (s *Server) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(s.events.run)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for n := uint64(0); ; n++ {
		select {
		case <-ctx.Done():
			s.Close()
			s.events.close()
			wg.Wait()
			return nil
		case <-s.done:
			s.Close()
			s.events.close()
			wg.Wait()
			return nil
		case <-ticker.C:
			s.tick(n)
		}
	}
}

// Close ends every room and releases the ports. It may be repeated.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	rooms := make([]*Room, 0, len(s.rooms))
	for _, r := range s.rooms {
		rooms = append(rooms, r)
	}
	s.mu.Unlock()
	for _, r := range rooms {
		r.close(livekit.DisconnectReason_SERVER_SHUTDOWN)
	}
	s.peers.Wait()
	s.closeOne.Do(func() {
		close(s.done)
		_ = s.mux.Close()
		_ = s.media.Close()
		if s.tcpMux != nil {
			_ = s.tcpMux.Close()
			_ = s.tcp.Close()
		}
	})
}

// Watch calls f for every event from now on, in their order, until stop is called.
// f must not block.
func (s *Server) Watch(f func(Event)) (stop func()) { return s.events.watch(f) }

// Open makes a room whose participants need an admission, and where nobody receives
// anything before the first Route. It may be repeated.
func (s *Server) Open(name string) error {
	_, err := s.room(name, func(r *Room) {
		r.managed = true
		r.policy = DenyAll{}
	})
	return err
}

// Create makes a room with the ordinary policy, or returns the one there is.
func (s *Server) Create(name, metadata string) (*Room, error) {
	return s.room(name, func(r *Room) { r.metadata = metadata })
}

func (s *Server) room(name string, setup func(*Room)) (*Room, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if r := s.rooms[name]; r != nil {
		return r, nil
	}
	if s.drains {
		return nil, ErrClosed
	}
	r := newRoom(s, name)
	setup(r)
	s.rooms[name] = r
	s.emit(Event{Kind: RoomStarted, Room: name, Info: r.infoLocked()})
	return r, nil
}

// Drain refuses new rooms from now on; those that are open go on, and may be joined. It
// may be repeated.
func (s *Server) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drains = true
}

// Clients is how many participants are in rooms, language channels not counted.
func (s *Server) Clients() int {
	n := 0
	for _, r := range s.Rooms() {
		r.mu.Lock()
		for _, p := range r.people {
			if p.peer != nil {
				n++
			}
		}
		r.mu.Unlock()
	}
	return n
}

// Room returns an open room, or nil.
func (s *Server) Room(name string) *Room {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rooms[name]
}

// Rooms returns the open rooms.
func (s *Server) Rooms() []*Room {
	s.mu.Lock()
	defer s.mu.Unlock()
	rooms := make([]*Room, 0, len(s.rooms))
	for _, r := range s.rooms {
		rooms = append(rooms, r)
	}
	return rooms
}

// Delete ends a room and disconnects everybody in it. It may be repeated.
func (s *Server) Delete(name string) {
	if r := s.Room(name); r != nil {
		r.close(livekit.DisconnectReason_ROOM_DELETED)
	}
}

func (s *Server) emit(e Event) {
	e.ID = "EV_" + shortID()
	e.At = s.now()
	s.events.put(e)
}

func (s *Server) serverInfo() *livekit.ServerInfo {
	return &livekit.ServerInfo{
		Edition: livekit.ServerInfo_Standard, Version: Version, Protocol: protocolVersion, NodeId: s.cfg.NodeID,
	}
}

// shortID returns the random part of an id of the protocol: 96 bits.
func shortID() string {
	u := uuid.New()
	const alphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	var b [14]byte
	for i := range b {
		b[i] = alphabet[int(u[i])%len(alphabet)]
	}
	return string(b[:])
}

// eventQueue delivers events in order from one goroutine. It is bounded by what a
// slow watcher lets it grow to: watchers must not block.
type eventQueue struct {
	mu       sync.Mutex
	cond     *sync.Cond
	queue    []Event
	closed   bool
	watchers map[int]func(Event)
	next     int
}

func (q *eventQueue) init() {
	q.cond = sync.NewCond(&q.mu)
	q.watchers = map[int]func(Event){}
}

func (q *eventQueue) put(e Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.watchers) == 0 {
		return
	}
	q.queue = append(q.queue, e)
	q.cond.Signal()
}

func (q *eventQueue) run() {
	for {
		q.mu.Lock()
		for len(q.queue) == 0 && !q.closed {
			q.cond.Wait()
		}
		if len(q.queue) == 0 {
			q.mu.Unlock()
			return
		}
		batch := q.queue
		q.queue = nil
		fs := make([]func(Event), 0, len(q.watchers))
		for i := range q.next {
			if f := q.watchers[i]; f != nil {
				fs = append(fs, f)
			}
		}
		q.mu.Unlock()
		for _, e := range batch {
			for _, f := range fs {
				f(e)
			}
		}
	}
}

func (q *eventQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.cond.Signal()
}

func (q *eventQueue) watch(f func(Event)) (stop func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	id := q.next
	q.next++
	q.watchers[id] = f
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		delete(q.watchers, id)
	}
}
