package sessions

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// MaxFrame is the longest frame that a feed accepts.
const MaxFrame = 64 << 10

// maxDepth of a frame's JSON.
const maxDepth = 16

// command is one frame of the browser. Which fields count depends on the type.
type command struct {
	Type        string   `json:"type"`
	ID          string   `json:"id"`
	ExpectEpoch *uint64  `json:"expect_epoch"`
	Ticket      string   `json:"ticket"`
	Version     int      `json:"version"`
	Audio       bool     `json:"audio"`
	Video       bool     `json:"video"`
	Network     string   `json:"network"`
	Place       string   `json:"place"`
	Participant Identity `json:"participant"`
	To          Identity `json:"to"`
	Tag         string   `json:"tag"`
	Out         string   `json:"out"`
	Muted       bool     `json:"muted"`
	On          bool     `json:"on"`
	Mode        Mode     `json:"mode"`
	Room        string   `json:"room"`
	Text        string   `json:"text"`
	Language    string   `json:"language"`
	Raised      bool     `json:"raised"`
	Kind        string   `json:"kind"`
	Now         bool     `json:"now"`
}

// parse reads a frame. Unknown or repeated keys and deep nesting are refused: our
// own page sends none, so whoever does is not our page.
func parse(data []byte) (command, error) {
	var c command
	if len(data) > MaxFrame {
		return c, fmt.Errorf("%w: frame of %d bytes", ErrProtocol, len(data))
	}
	if err := plain(data); err != nil {
		return c, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return c, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if c.Type == "" || len(c.ID) > 64 {
		return c, fmt.Errorf("%w: no type", ErrProtocol)
	}
	return c, nil
}

// plain checks that data is one JSON object, its keys unique at each level, nested
// no deeper than maxDepth.
func plain(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	type level struct {
		object bool
		key    bool // the next string is a key
		seen   map[string]bool
	}
	var stack []level
	for first := true; ; first = false {
		token, err := dec.Token()
		if err == io.EOF {
			if len(stack) > 0 || first {
				return fmt.Errorf("%w: incomplete", ErrProtocol)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		if len(stack) == 0 && (!first || token != json.Delim('{')) {
			return fmt.Errorf("%w: not one object", ErrProtocol)
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if len(stack) > 0 {
				stack[len(stack)-1].key = true // after this value comes a key
			}
			stack = append(stack, level{object: token == json.Delim('{'), key: true, seen: map[string]bool{}})
			if len(stack) > maxDepth {
				return fmt.Errorf("%w: nested too deep", ErrProtocol)
			}
			continue
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
			continue
		}
		top := &stack[len(stack)-1]
		if !top.object {
			continue
		}
		if top.key {
			name := token.(string)
			if top.seen[name] {
				return fmt.Errorf("%w: key %q twice", ErrProtocol, name)
			}
			top.seen[name] = true
		}
		top.key = !top.key
	}
}
