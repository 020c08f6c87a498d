package workspace

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

// Scanner looks for malware. Scan returns nil for a clean file, ErrMalware for one
// that is not, and ErrNoScanner when no answer can be had. It may be called by many
// at once and blocks at most until ctx ends.
type Scanner interface {
	Scan(ctx context.Context, r io.Reader) error
}

// Clamd asks the ClamAV daemon at a unix socket, "/run/clamav/clamd.ctl" on Debian.
type Clamd struct{ Socket string }

var _ Scanner = Clamd{}

// clamdLimit bounds one scan: clamd's own default for a file of our size is seconds.
const clamdLimit = 2 * time.Minute

// Scan streams r to the daemon (command INSTREAM, clamd(8)): chunks of at most 64 kB,
// each with its length before it, an empty one at the end. Only the exact answer
// "stream: OK" is clean.
func (c Clamd) Scan(ctx context.Context, r io.Reader) error {
	ctx, cancel := context.WithTimeout(ctx, clamdLimit)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.Socket)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoScanner, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	answer, err := c.ask(conn, r)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrNoScanner, err)
	case answer == "stream: OK":
		return nil
	case len(answer) > 6 && answer[len(answer)-6:] == " FOUND":
		return ErrMalware
	default:
		return fmt.Errorf("%w: unexpected answer", ErrNoScanner)
	}
}

func (c Clamd) ask(conn net.Conn, r io.Reader) (string, error) {
	if _, err := io.WriteString(conn, "zINSTREAM\x00"); err != nil {
		return "", err
	}
	chunk := make([]byte, 4+64<<10)
	for {
		n, err := io.ReadFull(r, chunk[4:])
		if n > 0 {
			binary.BigEndian.PutUint32(chunk, uint32(n))
			if _, err := conn.Write(chunk[:4+n]); err != nil {
				return "", err
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return "", err
		}
	}
	if _, err := conn.Write(make([]byte, 4)); err != nil {
		return "", err
	}
	answer, err := bufio.NewReader(io.LimitReader(conn, 4096)).ReadString(0)
	if err != nil {
		return "", err
	}
	return answer[:len(answer)-1], nil
}
