package turn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pion/logging"
	pion "github.com/pion/turn/v5"
)

// The bounds of what is held and sent, when Config says nothing else.
const (
	// A browser makes an allocation for each network it has (Wi-Fi, mobile, VPN; IPv4
	// and IPv6) over each URL it is told, for each of two peer connections, keeps those it
	// does not use, and makes all anew when it changes networks, while those of a network
	// that went away without a word still stand. Four, as one would count, leave Chromium
	// on a machine with one network card refused half of what it asks.
	perPeer   = 48
	perGroup  = 1000      // a teaching room behind closed networks
	perServer = 4000      // sockets
	perSecond = 3_000_000 // bits, each way, of one allocation
	perSource = 512       // TCP connections of one address: a clinic behind one NAT
	allTCP    = 4000
)

// Deadlines of TCP: clients check the way every few seconds.
const (
	idleTimeout  = 60 * time.Second
	firstTimeout = 10 * time.Second
	writeTimeout = 10 * time.Second
)

// Config is what a Server needs.
type Config struct {
	// UDP, TCP and TLS are the addresses to listen on; empty for none. TLS needs
	// Certificates.
	UDP, TCP, TLS string
	Certificates  *tls.Config
	// RelayIP is the address of this machine that the relayed packets come from.
	RelayIP netip.Addr
	// Media are the addresses and ports of the media engine. Nothing else is reached,
	// so a private address here is one that clients may reach.
	Media []netip.AddrPort
	// Public are the addresses by which clients know one of Media, behind a NAT: what
	// is sent to such a one goes to the address of Media without leaving the machine.
	Public map[netip.AddrPort]netip.AddrPort
	// Secrets sign credentials: the first makes new ones, all are accepted.
	Secrets []string
	// URLs are told to clients, "turn:turn.example.org:3478?transport=udp". If empty
	// they are made of the addresses listened on, with Host in place of the IP if set.
	URLs []string
	Host string
	// PerPeer, PerGroup and PerServer bound allocations, PerSecond the bits each way
	// of one. 48, 1000, 4000 and 3 Mbit/s if 0.
	PerPeer, PerGroup, PerServer, PerSecond int
	// PerSource bounds the TCP connections of one address. 512 if 0.
	PerSource int
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Server is a TURN server that reaches the media engine only.
type Server struct {
	cfg    Config
	media  []netip.AddrPort                  // unmapped
	public map[netip.AddrPort]netip.AddrPort // the same, by what clients call it
	server *pion.Server
	udp    net.PacketConn
	tcp    net.Listener
	tls    net.Listener

	mu     sync.Mutex
	held   map[holder]int // guarded by mu
	groups map[string]int // guarded by mu
	all    int            // guarded by mu

	count counters
}

// New binds the ports and serves until Close.
func New(cfg Config) (*Server, error) {
	if len(cfg.Media) == 0 {
		return nil, errors.New("turn: no media address: nothing may be reached")
	}
	if len(cfg.Secrets) == 0 {
		return nil, errors.New("turn: no secret")
	}
	for _, secret := range cfg.Secrets {
		if len(secret) < 32 {
			return nil, errors.New("turn: a secret needs 32 characters or more")
		}
	}
	if !cfg.RelayIP.IsValid() || cfg.RelayIP.IsUnspecified() {
		return nil, errors.New("turn: the relay needs an address of this machine")
	}
	s := &Server{cfg: cfg, held: map[holder]int{}, groups: map[string]int{}, public: map[netip.AddrPort]netip.AddrPort{}}
	for _, m := range cfg.Media {
		a, err := exact(m)
		if err != nil {
			return nil, err
		}
		s.media = append(s.media, a)
	}
	for known, m := range cfg.Public {
		k, err := exact(known)
		if err != nil {
			return nil, err
		}
		if m, err = exact(m); err != nil || !slices.Contains(s.media, m) {
			return nil, fmt.Errorf("turn: %s stands for %s, which is no address of the media engine", known, m)
		}
		s.public[k] = m
	}
	for _, d := range []struct {
		value *int
		usual int
	}{
		{&s.cfg.PerPeer, perPeer}, {&s.cfg.PerGroup, perGroup}, {&s.cfg.PerServer, perServer}, {&s.cfg.PerSecond, perSecond}, {&s.cfg.PerSource, perSource},
	} {
		if *d.value == 0 {
			*d.value = d.usual
		}
	}
	if s.cfg.Now == nil {
		s.cfg.Now = time.Now
	}
	if err := s.listen(); err != nil {
		s.closeListeners()
		return nil, err
	}
	if len(s.cfg.URLs) == 0 {
		s.cfg.URLs = s.addresses()
	}
	return s, nil
}

// exact is an address that one socket can have.
func exact(m netip.AddrPort) (netip.AddrPort, error) {
	a := m.Addr().Unmap()
	if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) || m.Port() == 0 {
		return netip.AddrPort{}, fmt.Errorf("turn: %s is no address of a media engine", m)
	}
	return netip.AddrPortFrom(a, m.Port()), nil
}

func (s *Server) listen() error {
	factory := logging.NewDefaultLoggerFactory()
	factory.Writer = io.Discard
	pc := pion.ServerConfig{
		// The realm is the same everywhere and names nobody.
		Realm: "turn", AuthHandler: s.authenticate, LoggerFactory: factory,
		QuotaHandler: func(userID, _ string, _ net.Addr) bool {
			ok := s.room(holderOf(userID))
			if !ok {
				s.count.refused[refusedQuota].Add(1)
			}
			return ok
		},
	}
	var err error
	if s.cfg.UDP != "" {
		if s.udp, err = net.ListenPacket("udp", s.cfg.UDP); err != nil {
			return fmt.Errorf("turn: listen: %w", err)
		}
		pc.PacketConnConfigs = append(pc.PacketConnConfigs, pion.PacketConnConfig{
			PacketConn: s.udp, RelayAddressGenerator: generator{server: s}, PermissionHandler: s.permit,
		})
	}
	stream := func(address string, config *tls.Config) (net.Listener, error) {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return nil, fmt.Errorf("turn: listen: %w", err)
		}
		bounded := newListener(l, s.cfg.PerSource)
		if config != nil {
			return tls.NewListener(bounded, config), nil
		}
		return bounded, nil
	}
	if s.cfg.TCP != "" {
		if s.tcp, err = stream(s.cfg.TCP, nil); err != nil {
			return err
		}
		pc.ListenerConfigs = append(pc.ListenerConfigs, pion.ListenerConfig{
			Listener: s.tcp, RelayAddressGenerator: generator{server: s, stream: true}, PermissionHandler: s.permit,
		})
	}
	if s.cfg.TLS != "" {
		if s.cfg.Certificates == nil {
			return errors.New("turn: TLS without certificates")
		}
		if s.tls, err = stream(s.cfg.TLS, s.cfg.Certificates); err != nil {
			return err
		}
		pc.ListenerConfigs = append(pc.ListenerConfigs, pion.ListenerConfig{
			Listener: s.tls, RelayAddressGenerator: generator{server: s, stream: true}, PermissionHandler: s.permit,
		})
	}
	s.server, err = pion.NewServer(pc)
	if err != nil {
		return fmt.Errorf("turn: %w", err)
	}
	return nil
}

// addresses makes the URLs of what is listened on (RFC 7065).
func (s *Server) addresses() (urls []string) {
	for _, l := range []struct {
		at              net.Addr
		scheme, carrier string
	}{{s.UDPAddr(), "turn", "udp"}, {s.TCPAddr(), "turn", "tcp"}, {s.TLSAddr(), "turns", "tcp"}} {
		if l.at == nil {
			continue
		}
		host, port, err := net.SplitHostPort(l.at.String())
		if err != nil {
			continue
		}
		if s.cfg.Host != "" {
			host = s.cfg.Host
		}
		urls = append(urls, l.scheme+":"+net.JoinHostPort(host, port)+"?transport="+l.carrier)
	}
	return urls
}

// URLs are what clients are told.
func (s *Server) URLs() []string { return s.cfg.URLs }

func (s *Server) closeListeners() {
	if s.udp != nil {
		_ = s.udp.Close()
	}
	for _, l := range []net.Listener{s.tcp, s.tls} {
		if l != nil {
			_ = l.Close()
		}
	}
}

// UDPAddr returns the address of the UDP port, or nil.
func (s *Server) UDPAddr() net.Addr {
	if s.udp == nil {
		return nil
	}
	return s.udp.LocalAddr()
}

// TCPAddr returns the address of the TCP port, or nil.
func (s *Server) TCPAddr() net.Addr {
	if s.tcp == nil {
		return nil
	}
	return s.tcp.Addr()
}

// TLSAddr returns the address of the TLS port, or nil.
func (s *Server) TLSAddr() net.Addr {
	if s.tls == nil {
		return nil
	}
	return s.tls.Addr()
}

// Allocations is how many are held now.
func (s *Server) Allocations() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}

// Close ends all allocations and releases the ports.
func (s *Server) Close() error { return s.server.Close() }

// permit judges the address a client wants to reach; its port is judged with every
// packet, see relayConn. Addresses of IPv6 that stand for one of IPv4 (NAT64, 6to4,
// v4-compatible) are none of the list, whatever they stand for.
func (s *Server) permit(_ net.Addr, ip net.IP) bool {
	a, ok := netip.AddrFromSlice(ip)
	a = a.Unmap()
	ok = ok && slices.ContainsFunc(s.media, func(m netip.AddrPort) bool { return m.Addr() == a })
	for k := range s.public {
		ok = ok || k.Addr() == a
	}
	if !ok {
		s.count.refused[refusedAddress].Add(1)
	}
	return ok
}

// reaches finds the media address behind an address, by whatever of its names.
func (s *Server) reaches(a netip.AddrPort) (m netip.AddrPort, known bool) {
	m = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	if slices.Contains(s.media, m) {
		return m, true
	}
	m, known = s.public[m]
	return m, known
}

// holds tells whether the holder has an allocation.
func (s *Server) holds(h holder) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[h] > 0
}

func (s *Server) room(h holder) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.roomLocked(h)
}

func (s *Server) roomLocked(h holder) bool {
	return s.held[h] < s.cfg.PerPeer && s.groups[h.group] < s.cfg.PerGroup && s.all < s.cfg.PerServer
}

func (s *Server) take(h holder) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.roomLocked(h) {
		return false
	}
	s.held[h]++
	s.groups[h.group]++
	s.all++
	return true
}

func (s *Server) give(h holder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.held[h]--; s.held[h] == 0 {
		delete(s.held, h)
	}
	if s.groups[h.group]--; s.groups[h.group] == 0 {
		delete(s.groups, h.group)
	}
}
