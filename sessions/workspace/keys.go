package workspace

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"sync"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/streamingaead"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// ErrNoKey means that the key of a case is gone: its texts and files cannot be
// read by anybody any more.
var ErrNoKey = errors.New("workspace: no key for this case")

// Keys is the key store: a directory apart from the database. It holds a key
// encryption key per jurisdiction (kek/KE.json, mode 0600) and, wrapped by it, two
// keysets per case (dek/ID.json). A restored database therefore meets the keys as
// they are now, and removing one file makes a case unreadable.
type Keys struct {
	root *os.Root // immutable

	mu    sync.Mutex
	keks  map[string]tink.AEAD // guarded by mu
	cases map[CaseID]*caseKeys // guarded by mu; at most maxOpenKeys
}

// maxOpenKeys bounds the unwrapped keys in memory: more cases than a clinic has
// open in a day.
const maxOpenKeys = 2048

type caseKeys struct {
	jurisdiction string
	fields       tink.AEAD
	files        tink.StreamingAEAD
}

// OpenKeys opens the key store in dir, making the directory if need be.
func OpenKeys(dir string) (*Keys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	for _, d := range []string{"kek", "dek"} {
		if err := root.Mkdir(d, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	return &Keys{root: root, keks: map[string]tink.AEAD{}, cases: map[CaseID]*caseKeys{}}, nil
}

// Close releases the directory.
func (k *Keys) Close() error { return k.root.Close() }

var (
	plainJurisdiction = regexp.MustCompile(`^[A-Z0-9]{2}(-[A-Z0-9]{1,3})?$`)
	plainID           = regexp.MustCompile(`^[0-9a-f-]{36}$`)
)

// wrapped is the file of a case's keys.
type wrapped struct {
	Jurisdiction string          `json:"jurisdiction"`
	Fields       json.RawMessage `json:"fields"` // encrypted keyset
	Files        json.RawMessage `json:"files"`  // encrypted keyset
}

// create makes the keys of a case. It is called before the case's row is written;
// an orphan of a failed command unlocks nothing.
func (k *Keys) create(id CaseID, jurisdiction string) error {
	if !plainID.MatchString(string(id)) {
		return fmt.Errorf("key of case %q: not an id", id)
	}
	kek, err := k.kek(jurisdiction)
	if err != nil {
		return err
	}
	w := wrapped{Jurisdiction: jurisdiction}
	fields, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return err
	}
	files, err := keyset.NewHandle(streamingaead.AES256GCMHKDF1MBKeyTemplate())
	if err != nil {
		return err
	}
	if w.Fields, err = wrapKeyset(fields, kek, "dek|fields|"+string(id)+"|"+jurisdiction); err != nil {
		return err
	}
	if w.Files, err = wrapKeyset(files, kek, "dek|files|"+string(id)+"|"+jurisdiction); err != nil {
		return err
	}
	data, err := json.Marshal(w)
	if err != nil {
		return err
	}
	return k.writeOnce("dek/"+string(id)+".json", data)
}

// of returns the keys of a case.
func (k *Keys) of(id CaseID) (*caseKeys, error) {
	k.mu.Lock()
	open := k.cases[id]
	k.mu.Unlock()
	if open != nil {
		return open, nil
	}
	if !plainID.MatchString(string(id)) {
		return nil, ErrNoKey
	}
	data, err := k.root.ReadFile("dek/" + string(id) + ".json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoKey
	}
	if err != nil {
		return nil, fmt.Errorf("key of case: %w", err)
	}
	var w wrapped
	if err := json.Unmarshal(data, &w); err != nil {
		return nil, fmt.Errorf("key of case: %w", err)
	}
	kek, err := k.kek(w.Jurisdiction)
	if err != nil {
		return nil, err
	}
	open = &caseKeys{jurisdiction: w.Jurisdiction}
	fields, err := keyset.ReadWithAssociatedData(keyset.NewJSONReader(bytes.NewReader(w.Fields)), kek,
		[]byte("dek|fields|"+string(id)+"|"+w.Jurisdiction))
	if err != nil {
		return nil, fmt.Errorf("key of case: %w", err)
	}
	files, err := keyset.ReadWithAssociatedData(keyset.NewJSONReader(bytes.NewReader(w.Files)), kek,
		[]byte("dek|files|"+string(id)+"|"+w.Jurisdiction))
	if err != nil {
		return nil, fmt.Errorf("key of case: %w", err)
	}
	if open.fields, err = aead.New(fields); err != nil {
		return nil, err
	}
	if open.files, err = streamingaead.New(files); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.cases) >= maxOpenKeys {
		clear(k.cases)
	}
	k.cases[id] = open
	return open, nil
}

// kek returns the key encryption key of a jurisdiction, making it on first use.
func (k *Keys) kek(jurisdiction string) (tink.AEAD, error) {
	if !plainJurisdiction.MatchString(jurisdiction) {
		return nil, fmt.Errorf("key of jurisdiction %q: not a code", jurisdiction)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if a := k.keks[jurisdiction]; a != nil {
		return a, nil
	}
	name := "kek/" + jurisdiction + ".json"
	data, err := k.root.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		h, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
		if err != nil {
			return nil, err
		}
		var buf bytes.Buffer
		if err := insecurecleartextkeyset.Write(h, keyset.NewJSONWriter(&buf)); err != nil {
			return nil, err
		}
		if err := k.writeOnce(name, buf.Bytes()); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		// Read back what is there: another process may have been first.
		if data, err = k.root.ReadFile(name); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(data)))
	if err != nil {
		return nil, fmt.Errorf("key of jurisdiction %s: %w", jurisdiction, err)
	}
	a, err := aead.New(h)
	if err != nil {
		return nil, err
	}
	k.keks[jurisdiction] = a
	return a, nil
}

func wrapKeyset(h *keyset.Handle, kek tink.AEAD, ad string) (json.RawMessage, error) {
	var buf bytes.Buffer
	if err := h.WriteWithAssociatedData(keyset.NewJSONWriter(&buf), kek, []byte(ad)); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// writeOnce writes a new file whole and durably, or gives fs.ErrExist.
func (k *Keys) writeOnce(name string, data []byte) error {
	tmp := name + ".new"
	_ = k.root.Remove(tmp) // of a process that died here
	f, err := k.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := k.root.Link(tmp, name); err != nil {
		_ = k.root.Remove(tmp)
		return err
	}
	if err := k.root.Remove(tmp); err != nil {
		return err
	}
	dir, err := k.root.Open("dek")
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// place names where a sealed value stands; it is the associated data, so that a
// value moved elsewhere does not open.
func place(table, column, row string, id CaseID, jurisdiction string) []byte {
	return []byte(table + "|" + column + "|" + row + "|" + string(id) + "|" + jurisdiction + "|1")
}

// seal encrypts a field of a row with the key of its case.
func (k *Keys) seal(id CaseID, table, column, row string, plain []byte) ([]byte, error) {
	keys, err := k.of(id)
	if err != nil {
		return nil, err
	}
	return keys.fields.Encrypt(plain, place(table, column, row, id, keys.jurisdiction))
}

// unseal decrypts a field.
func (k *Keys) unseal(id CaseID, table, column, row string, sealed []byte) ([]byte, error) {
	keys, err := k.of(id)
	if err != nil {
		return nil, err
	}
	plain, err := keys.fields.Decrypt(sealed, place(table, column, row, id, keys.jurisdiction))
	if err != nil {
		return nil, fmt.Errorf("unseal %s.%s of %s: %w", table, column, row, err)
	}
	return plain, nil
}

// sealJSON seals a value as JSON.
func (k *Keys) sealJSON(id CaseID, table, column, row string, v any) ([]byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return k.seal(id, table, column, row, plain)
}

// unsealJSON opens what sealJSON sealed.
func (k *Keys) unsealJSON(id CaseID, table, column, row string, sealed []byte, v any) error {
	plain, err := k.unseal(id, table, column, row, sealed)
	if err != nil {
		return err
	}
	return json.Unmarshal(plain, v)
}
