package credentialing

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Encoding is how the text of a registry file is written in bytes.
type Encoding string

// The encodings that are read. UTF-8 and UTF-16 tell themselves, the latter by the mark
// at its beginning; the others do not, so somebody must say that a file is in one:
// guessing would change names and numbers silently.
const (
	EncodingDetect  Encoding = ""
	EncodingUTF8    Encoding = "utf-8"
	EncodingUTF16   Encoding = "utf-16"
	EncodingWindows Encoding = "windows-1252"
	EncodingLatin1  Encoding = "iso-8859-1"
)

// Encodings are those that a person may choose.
var Encodings = []Encoding{EncodingDetect, EncodingWindows, EncodingLatin1}

// decoded is the text of r as UTF-8, without a mark, and the encoding it was in. A mark
// at the beginning counts more than what was told. Bytes that mean nothing in the
// encoding become U+FFFD, or stay where the file is taken for UTF-8: the parser says in
// which row and field they stand.
func decoded(r io.Reader, told Encoding) (*bufio.Reader, Encoding, error) {
	raw := bufio.NewReaderSize(r, 64<<10)
	head, err := raw.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, "", err
	}
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		_, err := raw.Discard(3)
		return raw, EncodingUTF8, err
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		text := transform.NewReader(raw, unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder())
		return bufio.NewReaderSize(text, 64<<10), EncodingUTF16, nil
	case told == EncodingWindows:
		return bufio.NewReaderSize(transform.NewReader(raw, charmap.Windows1252.NewDecoder()), 64<<10), told, nil
	case told == EncodingLatin1:
		return bufio.NewReaderSize(transform.NewReader(raw, charmap.ISO8859_1.NewDecoder()), 64<<10), told, nil
	case told != EncodingDetect && told != EncodingUTF8:
		return nil, "", &Invalid{Field: "encoding"}
	case bytes.IndexByte(head, 0) >= 0: // UTF-16 or UTF-32 without a mark
		return nil, "", &RowError{0, "", RowEncoding}
	}
	return raw, EncodingUTF8, nil
}

// errRowLong means that one row goes on for longer than any row does: a quote that is
// not closed, or no file of rows at all.
var errRowLong = errors.New("credentialing: a row without an end")

// longestRow is more than all fields at their longest need, twice over.
const longestRow = 64 << 10

// rowGuard lets the parser have so much for one row and no more, so that no file makes
// it hold more. The parser's reader is renewed before each row.
type rowGuard struct {
	r    io.Reader
	left int
}

func (g *rowGuard) renew() { g.left = longestRow }

func (g *rowGuard) Read(p []byte) (int, error) {
	if g.left <= 0 {
		return 0, errRowLong
	}
	n, err := g.r.Read(p[:min(len(p), g.left)])
	g.left -= n
	return n, err
}
