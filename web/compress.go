package web

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
)

// worthPacking is the size from which compression saves a network packet.
const worthPacking = 1400

// packs tells whether the browser takes gzip.
func packs(r *http.Request) bool {
	for _, part := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		coding, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.TrimSpace(coding) != "gzip" {
			continue
		}
		v, ok := strings.CutPrefix(strings.TrimSpace(q), "q=")
		if !ok {
			return true
		}
		f, err := strconv.ParseFloat(v, 64)
		return err == nil && f > 0
	}
	return false
}

// pack compresses; level is one of compress/gzip.
func pack(body []byte, level int) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, level)
	if err != nil {
		panic(err) // a level that does not exist
	}
	_, _ = w.Write(body) // into memory
	_ = w.Close()
	return b.Bytes()
}
