package signal

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/livekit/protocol/livekit"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/consilium-health/consilium/sfu"
)

// Limits of one socket (design: security, section 15).
const (
	maxFrame     = 64 << 10
	maxOffer     = 2 << 20 // with one peer connection: 8 kB for each track that is received
	perSecond    = 50
	burst        = 200
	writeTimeout = 10 * time.Second
	pingEvery    = 2500 * time.Millisecond
	pongTimeout  = 12500 * time.Millisecond // with the interval: 15 s, as clients expect
	// queue bounds what waits for a slow client; then the socket is closed, and the
	// client resumes. A join to a room of hundreds sends one message.
	queue = 256
)

// Config is what Handler needs.
type Config struct {
	Server *sfu.Server
	// Origins are the hosts of pages that may open the socket, as patterns of
	// path.Match; empty means any: the token, not the page, is what opens it.
	Origins []string
	// Log gets ids only; discarded if nil.
	Log *slog.Logger
}

type handler struct {
	Config
}

// Handler serves /rtc and everything below.
func Handler(cfg Config) http.Handler {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &handler{Config: cfg}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Allow-Headers", "Authorization")
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if r.Method != http.MethodGet {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	switch r.URL.Path {
	case "/rtc/validate", "/rtc/v1/validate":
		if _, _, status, text := h.admit(r); status != 0 {
			http.Error(w, text, status)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("success"))
	case "/rtc", "/rtc/v1":
		h.serveSocket(w, r)
	default:
		// Clients take a 404 as the sign to use an older form, if they may read it.
		http.Error(w, "not found", http.StatusNotFound)
	}
}

func tokenOf(r *http.Request) string {
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return bearer
	}
	return r.URL.Query().Get("access_token")
}

// admit reads who asks, and for what; with a status of the kind that clients know when
// it cannot join.
func (h *handler) admit(r *http.Request) (claims sfu.Claims, req request, status int, text string) {
	claims, err := h.Server.Verify(tokenOf(r))
	if err == nil {
		err = h.Server.Check(claims)
	}
	if err == nil {
		req, err = readRequest(r.URL)
	}
	status, text = status2(err)
	return claims, req, status, text
}

func status2(err error) (status int, text string) {
	switch {
	case err == nil:
		return 0, ""
	case errors.Is(err, errRequest):
		return http.StatusBadRequest, "malformed join request"
	case errors.Is(err, sfu.ErrToken):
		return http.StatusUnauthorized, "invalid authorization token"
	case errors.Is(err, sfu.ErrRevoked), errors.Is(err, sfu.ErrGrant):
		return http.StatusForbidden, "token does not permit joining"
	case errors.Is(err, sfu.ErrNoRoom):
		return http.StatusNotFound, "requested room does not exist"
	default:
		return http.StatusServiceUnavailable, "not available"
	}
}

func (h *handler) serveSocket(w http.ResponseWriter, r *http.Request) {
	claims, req, status, text := h.admit(r)
	if status != 0 {
		http.Error(w, text, status)
		return
	}
	options := &websocket.AcceptOptions{OriginPatterns: h.Origins, CompressionMode: websocket.CompressionDisabled}
	if len(h.Origins) == 0 {
		options.InsecureSkipVerify = true
	}
	conn, err := websocket.Accept(w, r, options)
	if err != nil {
		return // Accept has answered
	}
	conn.SetReadLimit(maxFrame)
	if req.join.Single {
		conn.SetReadLimit(maxOffer)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	s := &socket{conn: conn, out: make(chan *livekit.SignalResponse, queue), closing: make(chan struct{}), cancel: cancel}
	written := make(chan struct{})
	go func() {
		defer close(written)
		s.write(ctx)
	}()

	var peer *sfu.Peer
	if req.reconnect {
		peer, err = h.Server.Resume(ctx, claims, req.sid, s)
	} else {
		req.join.Claims, req.join.Sink = claims, s
		peer, err = h.Server.Join(ctx, req.join)
	}
	if err != nil {
		// The room ended between the check and now.
		s.Send(&livekit.SignalResponse{Message: &livekit.SignalResponse_Leave{Leave: &livekit.LeaveRequest{
			Action: livekit.LeaveRequest_DISCONNECT, Reason: livekit.DisconnectReason_JOIN_FAILURE,
		}}})
	}
	if peer == nil {
		s.Close()
		<-written
		return
	}
	if req.sync != nil {
		peer.Handle(&livekit.SignalRequest{Message: &livekit.SignalRequest_SyncState{SyncState: req.sync}})
	}
	reason := s.read(ctx, peer)
	peer.Dropped(s)
	s.Close()
	<-written
	h.Log.Debug("socket ended", "participant", peer.SID(), "reason", reason)
}

// socket is one WebSocket as the sink of a peer.
type socket struct {
	conn   *websocket.Conn
	out    chan *livekit.SignalResponse
	cancel context.CancelFunc

	mu      sync.Mutex
	text    bool // guarded by mu: the client speaks JSON
	closed  bool // guarded by mu
	closing chan struct{}
}

var _ sfu.Sink = (*socket)(nil)

// Send implements sfu.Sink. A client that lets the queue fill is disconnected and
// may resume.
func (s *socket) Send(m *livekit.SignalResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	select {
	case s.out <- m:
	default:
		s.closeLocked()
		s.cancel()
	}
}

// Close implements sfu.Sink.
func (s *socket) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeLocked()
}

func (s *socket) closeLocked() {
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
}

// write sends what is queued and keeps the connection alive; it ends the socket.
func (s *socket) write(ctx context.Context) {
	defer s.cancel()
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	pong := make(chan error, 1)
	waiting := false
	for {
		select {
		case <-ctx.Done():
			_ = s.conn.CloseNow()
			return
		case m := <-s.out:
			if s.put(ctx, m) != nil {
				_ = s.conn.CloseNow()
				return
			}
		case <-ping.C:
			if waiting {
				continue
			}
			waiting = true
			go func() {
				ctx, cancel := context.WithTimeout(ctx, pongTimeout)
				defer cancel()
				pong <- s.conn.Ping(ctx)
			}()
		case err := <-pong:
			waiting = false
			if err != nil {
				_ = s.conn.CloseNow()
				return
			}
		case <-s.closing:
			for {
				select {
				case m := <-s.out:
					if s.put(ctx, m) == nil {
						continue
					}
				default:
				}
				break
			}
			// The reading side takes the client's close frame; CloseNow ends it.
			_ = s.conn.Close(websocket.StatusNormalClosure, "")
			return
		}
	}
}

func (s *socket) put(ctx context.Context, m *livekit.SignalResponse) error {
	s.mu.Lock()
	text := s.text
	s.mu.Unlock()
	kind := websocket.MessageBinary
	var raw []byte
	var err error
	if text {
		kind = websocket.MessageText
		raw, err = protojson.Marshal(m)
	} else {
		raw, err = proto.Marshal(m)
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return s.conn.Write(ctx, kind, raw)
}

// read hands the client's requests to the peer until the socket ends, and tells why.
func (s *socket) read(ctx context.Context, peer *sfu.Peer) string {
	limit := rate.NewLimiter(perSecond, burst)
	for {
		kind, raw, err := s.conn.Read(ctx)
		if err != nil {
			return "closed"
		}
		if !limit.Allow() {
			_ = s.conn.Close(websocket.StatusPolicyViolation, "too many messages")
			return "rate"
		}
		req, err := decode(kind == websocket.MessageText, raw)
		if err != nil {
			_ = s.conn.Close(websocket.StatusUnsupportedData, "malformed message")
			return "malformed"
		}
		if kind == websocket.MessageText {
			s.mu.Lock()
			s.text = true
			s.mu.Unlock()
		}
		peer.Handle(req)
	}
}

// decode reads one request. Unknown fields are ignored: clients are newer than we.
func decode(text bool, raw []byte) (*livekit.SignalRequest, error) {
	req := &livekit.SignalRequest{}
	if text {
		return req, protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(raw, req)
	}
	return req, proto.Unmarshal(raw, req)
}
