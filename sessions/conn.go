package sessions

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/consilium-health/consilium/credentialing/identity"
)

// Limits of one feed (design security, section 15).
const (
	feedQueue = 64 // outgoing frames that wait for a slow reader
	feedRate  = 50 // commands a second
	feedBurst = 200
	// feedsPerLogin are the feeds that one browser may hold open at once.
	feedsPerLogin = 8
)

// Conn is one browser's feed. Frames go out in order through the send function given
// to Connect, from one goroutine; commands come in through Command.
type Conn struct {
	live  *live
	actor identity.Actor
	who   Identity
	key   string // of the count of feeds
	once  sync.Once

	out  chan []byte   // closed by nobody; see done
	done chan struct{} // closed when the feed ends
	gone chan struct{} // closed when the last frame was written

	mu  sync.Mutex
	err error // guarded by mu; why the feed ended

	// Of the command reader; Command is called from one goroutine.
	hello  bool
	tokens float64
	filled time.Time

	// Of the live session's queue: when the login was last kept alive, and the last
	// state frame sent of each type.
	kept  time.Time
	last  map[string]string
	epoch uint64 // of the machine when the browser said hello
}

// start begins the writer.
func (c *Conn) start(send func([]byte) error) {
	go func() {
		defer close(c.gone)
		for {
			select {
			case frame := <-c.out:
				if err := send(frame); err != nil {
					c.end(err)
					return
				}
			case <-c.done:
				for { // what is left says why
					select {
					case frame := <-c.out:
						if send(frame) != nil {
							return
						}
					default:
						return
					}
				}
			}
		}
	}()
}

// push queues a frame; a reader that does not keep up is let go.
func (c *Conn) push(frame []byte) {
	select {
	case <-c.done:
	default:
		select {
		case c.out <- frame:
		default:
			c.end(ErrSlow)
		}
	}
}

func (c *Conn) say(message any) {
	frame, err := json.Marshal(message)
	if err != nil {
		c.end(fmt.Errorf("write %T: %w", message, err))
		return
	}
	c.push(frame)
}

// state sends a message that describes what is, if it differs from the last one of
// its type.
func (c *Conn) state(kind string, message any) {
	frame, err := json.Marshal(message)
	if err != nil {
		c.end(fmt.Errorf("write %T: %w", message, err))
		return
	}
	if c.last[kind] == string(frame) {
		return
	}
	c.last[kind] = string(frame)
	c.push(frame)
}

// end ends the feed for a reason; the first reason stands.
func (c *Conn) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.done:
		return
	default:
	}
	c.err = err
	close(c.done)
}

// Done is closed when the session ends the feed; Err then says why.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Written is closed when after Done the last frame was written.
func (c *Conn) Written() <-chan struct{} { return c.gone }

// Err is why the feed ended; nil while it runs.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the feed from the browser's side. The person is still in the session:
// a connection may come back.
func (c *Conn) Close() {
	c.end(ErrStopped)
	c.once.Do(func() { c.live.svc.unfeed(c.key) })
	c.live.post(func() { c.live.disconnected(c) })
}

// Command acts on one frame of the browser and returns when it took effect or was
// refused; a refusal is answered on the feed. An error ends the feed: the frame was
// not what our page sends. The first frame is "hello" with the page's ticket.
func (c *Conn) Command(ctx context.Context, frame []byte) error {
	select {
	case <-c.done:
		return c.Err()
	default:
	}
	if !c.allow(time.Now()) {
		c.end(ErrRate)
		return ErrRate
	}
	cmd, err := parse(frame)
	if err != nil {
		c.end(err)
		return err
	}
	if !c.hello {
		if cmd.Type != "hello" || cmd.Version != 1 {
			err := fmt.Errorf("%w: %q before hello", ErrProtocol, cmd.Type)
			c.end(err)
			return err
		}
		if !hmac.Equal([]byte(cmd.Ticket), []byte(feedTicket(c.live.feedKey, c.live.id, c.actor))) {
			c.end(ErrTicket)
			return ErrTicket
		}
		c.hello = true
	}
	if cmd.Type == "ping" {
		c.say(msgPlain{"pong"})
		return nil
	}
	finished := make(chan struct{})
	if !c.live.post(func() {
		defer close(finished)
		c.live.command(c, cmd)
	}) {
		c.end(ErrStopped)
		return ErrStopped
	}
	select {
	case <-finished:
		return nil
	case <-c.live.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// allow is a token bucket on the monotonic clock, which no command can move.
func (c *Conn) allow(now time.Time) bool {
	if c.filled.IsZero() {
		c.tokens = feedBurst
	} else {
		c.tokens = min(feedBurst, c.tokens+now.Sub(c.filled).Seconds()*feedRate)
	}
	c.filled = now
	if c.tokens < 1 {
		return false
	}
	c.tokens--
	return true
}

// feedTicket opens the feed of one session for one login. It is only in the page:
// another site can make a browser open a WebSocket with our cookie, but not say it.
func feedTicket(key []byte, id SessionID, a identity.Actor) string {
	h := hmac.New(sha256.New, key)
	fmt.Fprintf(h, "feed 1\n%s\n%s\n%s\n", id, a.Person, a.Login)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}
