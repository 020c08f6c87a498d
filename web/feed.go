package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/consilium-health/consilium/sessions"
)

// The times of a feed (design security, section 15).
const (
	feedHello  = 5 * time.Second  // until the first frame
	feedSilent = 10 * time.Second // four heartbeats missed: the browser is gone
	feedWrite  = 10 * time.Second // for one frame to a slow reader
)

// feedCodes are how a feed ends, by its reason: the page dials again except where it
// would be in vain. Codes from 4000 on are ours (RFC 6455 §7.4.2).
var feedCodes = []struct {
	is   error
	code websocket.StatusCode
	text string
}{
	{sessions.ErrReplaced, 4001, "replaced"},
	{sessions.ErrProtocol, websocket.StatusPolicyViolation, "protocol"},
	{sessions.ErrTicket, 4003, "ticket"},
	{sessions.ErrNotFound, 4004, "not found"},
	{sessions.ErrEnded, 4010, "ended"},
	{sessions.ErrSlow, 4008, "slow"},
	{sessions.ErrRate, 4029, "rate"},
	{sessions.ErrTooMany, 4029, "too many"},
	{sessions.ErrStopped, websocket.StatusServiceRestart, "come again"},
}

// feedRoutes is the address of the feeds.
func (s *Server) feedRoutes() []route {
	return []route{{http.MethodGet, "/sessions/{session}/feed", someone, s.feed}}
}

// feed is the WebSocket of a session: it moves frames between a browser and the
// session and knows nothing of what they say.
func (s *Server) feed(w http.ResponseWriter, r *http.Request) error {
	origin := s.public.Scheme + "://" + s.public.Host
	if r.Header.Get("Origin") != origin {
		return errCrossOrigin
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{OriginPatterns: []string{origin}, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return errGone // answered by Accept
	}
	defer ws.CloseNow()
	ws.SetReadLimit(sessions.MaxFrame)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	conn, err := s.d.Sessions.Connect(ctx, actorOf(r), sessions.SessionID(r.PathValue("session")), func(frame []byte) error {
		wctx, cancel := context.WithTimeout(ctx, feedWrite)
		defer cancel()
		return ws.Write(wctx, websocket.MessageText, frame)
	})
	if err != nil {
		s.closeFeed(ctx, ws, err)
		return nil
	}
	ended := make(chan struct{})
	go func() { // whoever ends it, what was said last is written before the close
		defer close(ended)
		<-conn.Done()
		<-conn.Written()
		s.closeFeed(ctx, ws, conn.Err())
	}()
	wait := feedHello
	for {
		rctx, stop := context.WithTimeout(ctx, wait)
		kind, frame, err := ws.Read(rctx)
		stop()
		if err != nil {
			break
		}
		wait = feedSilent
		if kind != websocket.MessageText {
			_ = ws.Close(websocket.StatusUnsupportedData, "text only")
			break
		}
		if conn.Command(ctx, frame) != nil {
			break
		}
	}
	conn.Close()
	<-ended
	return nil
}

// closeFeed says why a feed ends.
func (s *Server) closeFeed(ctx context.Context, ws *websocket.Conn, why error) {
	for _, c := range feedCodes {
		if errors.Is(why, c.is) {
			_ = ws.Close(c.code, c.text)
			return
		}
	}
	var elsewhere *sessions.Elsewhere
	if !errors.As(why, &elsewhere) && ctx.Err() == nil && websocket.CloseStatus(why) == -1 {
		s.log.WarnContext(ctx, "feed ended", "request", RequestID(ctx), "error", why)
	}
	_ = ws.Close(websocket.StatusTryAgainLater, "come again")
}
