package sfu

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// Stats are totals of the server at this moment.
type Stats struct {
	Rooms         int    `json:"rooms"`
	Participants  int    `json:"participants"`
	Tracks        int    `json:"tracks"`
	Subscriptions int    `json:"subscriptions"`
	Packets       uint64 `json:"packets"` // sent on the present subscriptions
	Octets        uint64 `json:"octets"`
}

// RoomState is a room as the debug page shows it: ids and counters only.
type RoomState struct {
	Name         string             `json:"name"`
	Managed      bool               `json:"managed"`
	Epoch        uint64             `json:"epoch"`
	Participants []ParticipantState `json:"participants"`
}

// ParticipantState is one participant of a RoomState.
type ParticipantState struct {
	SID       string       `json:"sid"`
	Identity  string       `json:"identity"`
	State     string       `json:"state"`
	Resumable bool         `json:"resumable"` // without socket, within the grace time
	GivesWay  int          `json:"givesWay"`  // 0: gets all video, 3: none
	OverRate  uint64       `json:"overRate"`  // packets dropped: too many
	Strange   uint64       `json:"strange"`   // packets dropped: of no track
	Link      float64      `json:"link"`      // bits a second it carries, 0: no limit found
	Publishes []TrackState `json:"publishes"`
	Receives  []SubState   `json:"receives"`
}

// TrackState is a published track.
type TrackState struct {
	SID     string `json:"sid"`
	Source  string `json:"source"`
	Muted   bool   `json:"muted"`
	Layers  []int  `json:"layers,omitempty"`
	Lost    uint64 `json:"lost"`
	Arrived uint64 `json:"arrived"`
}

// SubState is a track as one participant receives it.
type SubState struct {
	SID     string `json:"sid"`
	Open    bool   `json:"open"`
	Verdict string `json:"verdict"`
	Layer   int    `json:"layer"`
	Packets uint32 `json:"packets"`
}

var verdicts = [...]string{Deny: "deny", Pause: "pause", Flow: "flow"}

// State describes the room.
func (r *Room) State() RoomState {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := RoomState{Name: r.name, Managed: r.managed, Epoch: r.epoch}
	for _, p := range r.people {
		ps := ParticipantState{SID: p.sid, Identity: p.identity, State: p.state.String()}
		for _, t := range p.tracks {
			ts := TrackState{SID: t.sid, Source: t.source.String(), Muted: t.muted.Load()}
			for i := range t.layers {
				if l := t.layers[i].Load(); l != nil {
					ts.Layers = append(ts.Layers, i)
					if st, ok := l.cache.Stats(); ok {
						ts.Arrived += st.Received
						if st.Expected > st.Received {
							ts.Lost += st.Expected - st.Received
						}
					}
				}
			}
			ps.Publishes = append(ps.Publishes, ts)
		}
		if p.peer != nil {
			p.peer.sinkMu.Lock()
			ps.Resumable = p.peer.sink == nil
			p.peer.sinkMu.Unlock()
			ps.GivesWay = p.peer.give.level
			ps.OverRate, ps.Strange = p.peer.intake.over.Load(), p.peer.intake.strange.Load()
			ps.Link = p.peer.est.measure(r.srv.now()).rate
			for _, d := range p.peer.subs {
				d.mu.Lock()
				ps.Receives = append(ps.Receives, SubState{
					SID: d.track.sid, Open: d.open.Load(), Verdict: verdicts[d.verdict], Layer: d.current, Packets: d.packets,
				})
				d.mu.Unlock()
			}
		}
		s.Participants = append(s.Participants, ps)
	}
	slices.SortFunc(s.Participants, func(a, b ParticipantState) int { return strings.Compare(a.Identity, b.Identity) })
	return s
}

// Stats counts what the server carries now.
func (s *Server) Stats() Stats {
	var st Stats
	for _, r := range s.Rooms() {
		st.Rooms++
		r.mu.Lock()
		for _, p := range r.people {
			st.Participants++
			st.Tracks += len(p.tracks)
			if p.peer == nil {
				continue
			}
			st.Subscriptions += len(p.peer.subs)
			for _, d := range p.peer.subs {
				d.mu.Lock()
				st.Packets += uint64(d.packets)
				st.Octets += uint64(d.octets)
				d.mu.Unlock()
			}
		}
		r.mu.Unlock()
	}
	return st
}

// DebugHandler shows the totals, or with ?room= one room, as JSON. It belongs on the
// operator's listener, never on the public one.
func DebugHandler(s *Server) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		out := json.NewEncoder(w)
		out.SetIndent("", "  ")
		name := req.URL.Query().Get("room")
		if name == "" {
			_ = out.Encode(s.Stats())
			return
		}
		r := s.Room(name)
		if r == nil {
			http.Error(w, "{}", http.StatusNotFound)
			return
		}
		_ = out.Encode(r.State())
	})
}
