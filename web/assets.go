package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// The bundle in dist is made by the build in web/ts; a fresh checkout has .keep only.
//
//go:embed static/*.css static/*.svg all:static/dist
var static embed.FS

// assets are the static files. A file's address holds the hash of its content, so
// that browsers keep it for a year.
type assets struct {
	files  map[string]asset  // by name: "app.css", "dist/app.js"
	hashed map[string]string // name with hash: name
}

type asset struct {
	body   []byte
	packed func() []byte // made when first asked for; nil when that saves nothing
	hash   string
	media  string
}

func newAssets() *assets {
	a := &assets{files: map[string]asset{}, hashed: map[string]string{}}
	root, err := fs.Sub(static, "static")
	if err != nil {
		panic(err)
	}
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Base(name) == ".keep" {
			return err
		}
		body, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		f := asset{body: body, hash: hex.EncodeToString(sum[:8]), media: mediaType(name)}
		if len(body) > worthPacking {
			f.packed = sync.OnceValue(func() []byte { return pack(body, gzip.BestCompression) })
		}
		a.files[name] = f
		a.hashed[withHash(name, f.hash)] = name
		return nil
	})
	if err != nil {
		panic(err)
	}
	return a
}

// The system's table of media types differs between machines; this one does not.
func mediaType(name string) string {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return mime.TypeByExtension(path.Ext(name))
}

func withHash(name, hash string) string {
	ext := path.Ext(name)
	return strings.TrimSuffix(name, ext) + "." + hash + ext
}

func (a *assets) has(name string) bool { _, ok := a.files[name]; return ok }

// url is the address of a file.
func (a *assets) url(name string) string {
	f, ok := a.files[name]
	if !ok {
		return "/static/" + name
	}
	return "/static/" + withHash(name, f.hash)
}

func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/static/")
	keep := "no-cache"
	if plain, ok := a.hashed[name]; ok {
		name, keep = plain, "public, max-age=31536000, immutable"
	} else if strings.HasPrefix(path.Base(name), "chunk-") { // esbuild puts the hash in
		keep = "public, max-age=31536000, immutable"
	}
	f, ok := a.files[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.media)
	h.Set("Cache-Control", keep)
	h.Set("ETag", `"`+f.hash+`"`)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Vary", "Accept-Encoding")
	body := f.body
	if f.packed != nil && packs(r) && r.Header.Get("Range") == "" {
		body = f.packed()
		h.Set("Content-Encoding", "gzip")
		h.Set("ETag", `"`+f.hash+`-gzip"`)
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(body))
}
