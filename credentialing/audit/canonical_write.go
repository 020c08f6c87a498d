package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// canonizer writes JSON in its canonical form. What it reads comes from encoding/json
// and is well formed: it does not look for errors of syntax.
type canonizer struct {
	src     []byte
	at      int
	out     []byte
	members []member // of the objects that are open, one after the other
	scratch []byte
}

// member is a member of an object: its key, and where it is written.
type member struct {
	key      string
	from, to int
}

// canonize appends the canonical form of one well-formed JSON value.
func canonize(out, src []byte) ([]byte, error) {
	c := canonizer{src: src, out: out}
	if err := c.value(0); err != nil {
		return nil, err
	}
	return c.out, nil
}

// next is the next byte that is no white space.
func (c *canonizer) next() byte {
	for c.at < len(c.src) {
		switch b := c.src[c.at]; b {
		case ' ', '\t', '\r', '\n':
			c.at++
		default:
			return b
		}
	}
	return 0
}

func (c *canonizer) value(depth int) error {
	if depth > maxDepth {
		return errTooDeep
	}
	switch b := c.next(); b {
	case '{':
		return c.object(depth)
	case '[':
		return c.array(depth)
	case '"':
		raw, plain := c.quoted()
		if plain {
			c.out = append(c.out, raw...)
			return nil
		}
		s, err := unquoted(raw)
		c.out = appendString(c.out, s)
		return err
	case 't', 'n':
		c.out = append(c.out, c.src[c.at:c.at+4]...)
		c.at += 4
		return nil
	case 'f':
		c.out = append(c.out, "false"...)
		c.at += 5
		return nil
	case 0:
		return errNoValue
	}
	return c.number()
}

// quoted is the string that begins here, with its quotes; plain tells that it has no
// escapes, so that it is written as it is.
func (c *canonizer) quoted() (raw []byte, plain bool) {
	from := c.at
	plain = true
	for i := from + 1; i < len(c.src); i++ {
		switch c.src[i] {
		case '\\':
			plain = false
			i++
		case '"':
			c.at = i + 1
			return c.src[from:c.at], plain
		}
	}
	c.at = len(c.src)
	return c.src[from:], false
}

func unquoted(raw []byte) (s string, err error) {
	err = json.Unmarshal(raw, &s)
	return s, err
}

func (c *canonizer) number() error {
	from := c.at
	for c.at < len(c.src) && strings.IndexByte("+-.0123456789eE", c.src[c.at]) >= 0 {
		c.at++
	}
	if c.at == from {
		return errNoValue
	}
	n, err := integer(string(c.src[from:c.at]))
	c.out = strconv.AppendInt(c.out, n, 10)
	return err
}

// integer reads a JSON number. 1e3 or 5.0 are integers in other spellings; it takes them
// when exact.
func integer(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err == nil && n <= maxInteger && n >= -maxInteger {
		return n, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > maxInteger {
		return 0, fmt.Errorf("number %s is not an integer within ±(2^53−1)", s)
	}
	return int64(f), nil
}

func (c *canonizer) array(depth int) error {
	c.at++
	c.out = append(c.out, '[')
	for first := true; c.next() != ']'; first = false {
		if !first {
			c.at++ // the comma
			c.out = append(c.out, ',')
		}
		if err := c.value(depth + 1); err != nil {
			return err
		}
	}
	c.at++
	c.out = append(c.out, ']')
	return nil
}

func (c *canonizer) object(depth int) error {
	c.at++
	c.out = append(c.out, '{')
	begin, mine := len(c.out), len(c.members)
	sorted := true
	for c.next() != '}' {
		if len(c.members) > mine {
			c.at++ // the comma
			c.out = append(c.out, ',')
			c.next()
		}
		raw, plain := c.quoted()
		m := member{from: len(c.out)}
		if plain {
			m.key = string(raw[1 : len(raw)-1])
			c.out = append(c.out, raw...)
		} else {
			var err error
			if m.key, err = unquoted(raw); err != nil {
				return err
			}
			c.out = appendString(c.out, m.key)
		}
		c.next()
		c.at++ // the colon
		c.out = append(c.out, ':')
		k := len(c.members)
		c.members = append(c.members, m)
		if err := c.value(depth + 1); err != nil {
			return err
		}
		c.members[k].to = len(c.out)
		sorted = sorted && (k == mine || compareUTF16(c.members[k-1].key, m.key) < 0)
	}
	c.at++
	list := c.members[mine:]
	if !sorted {
		slices.SortFunc(list, func(a, b member) int { return compareUTF16(a.key, b.key) })
		c.scratch = append(c.scratch[:0], c.out[begin:]...)
		c.out = c.out[:begin]
		for i, m := range list {
			if i > 0 {
				if list[i-1].key == m.key {
					return fmt.Errorf("key %q twice", m.key)
				}
				c.out = append(c.out, ',')
			}
			c.out = append(c.out, c.scratch[m.from-begin:m.to-begin]...)
		}
	}
	c.members = c.members[:mine]
	c.out = append(c.out, '}')
	return nil
}

// encoded is what encoding/json makes of a value, without the escapes for HTML.
func encoded(v any) ([]byte, error) {
	var raw bytes.Buffer
	enc := json.NewEncoder(&raw)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return raw.Bytes(), err
}
