package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// ParseLeaf reads the bytes of a leaf: canonical JSON and nothing else. The event
// has no Detail, which stands beside the leaf, and no Tell, which is not kept.
func ParseLeaf(index int64, data []byte) (Leaf, error) { return parseLeaf(index, data) }

func parseLeaf(index int64, data []byte) (Leaf, error) {
	body, err := parseBody(data)
	if err != nil {
		return Leaf{}, fmt.Errorf("audit: leaf %d: %w", index, err)
	}
	at, err := time.Parse(time.RFC3339Nano, body.At)
	if err != nil {
		return Leaf{}, fmt.Errorf("audit: leaf %d: %w", index, err)
	}
	return Leaf{Index: index, At: at.UTC(), Data: data, Event: Event{
		Act: body.Act, Actor: body.Actor, Login: body.Login, System: body.System,
		Organization: body.Organization, Jurisdiction: body.Jurisdiction,
		Objects: body.Objects, Hashes: body.Hashes, Determination: body.Determination,
		Reason: body.Reason, Epoch: body.Epoch,
	}}, nil
}

func parseBody(data []byte) (leafBody, error) {
	var body leafBody
	if _, err := ParseCanonical(data); err != nil {
		return body, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&body); err != nil {
		return body, err
	}
	if body.Version != 1 || body.Act == "" {
		return body, fmt.Errorf("version %d is not known", body.Version)
	}
	return body, nil
}
