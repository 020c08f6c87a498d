package sfu

import (
	"encoding/json"
	"html/template"
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
	Gaps    uint32 `json:"gaps"` // times that its sound stopped for a second or more
}

// SubState is a track as one participant receives it.
type SubState struct {
	SID     string `json:"sid"`
	Open    bool   `json:"open"`
	Verdict string `json:"verdict"`
	Layer   int    `json:"layer"`
	Source  string `json:"source"`
	From    string `json:"from"` // sid of who publishes it
	Packets uint32 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
	Resent  uint64 `json:"resent"`  // packets sent again on request
	Padding uint64 `json:"padding"` // packets that only probed the link
	Loss    int    `json:"loss"`    // percent, by the receiver's last report
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
			ts := TrackState{SID: t.sid, Source: t.source.String(), Muted: t.muted.Load(), Gaps: t.gaps.Load()}
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
					Source: d.track.source.String(), From: d.track.owner.sid, Bytes: d.bytes, Resent: d.resent, Padding: d.padded, Loss: int(d.lost) * 100 / 256,
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

// Overview is what the debug page shows first: the totals, and the rooms to look into.
type Overview struct {
	Stats
	Open []RoomLine `json:"open"`
}

// RoomLine is a room of an Overview.
type RoomLine struct {
	Name         string `json:"name"`
	Participants int    `json:"participants"`
}

// Overview lists the open rooms by name.
func (s *Server) Overview() Overview {
	o := Overview{Stats: s.Stats()}
	for _, r := range s.Rooms() {
		r.mu.Lock()
		o.Open = append(o.Open, RoomLine{Name: r.name, Participants: len(r.people)})
		r.mu.Unlock()
	}
	slices.SortFunc(o.Open, func(a, b RoomLine) int { return strings.Compare(a.Name, b.Name) })
	return o
}

// DebugHandler shows the totals with the open rooms, or with ?room= one room: as JSON,
// or to a browser as a page that renews itself. It belongs on the operator's listener,
// never on the public one.
func DebugHandler(s *Server) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Vary", "Accept")
		var shown any
		part := "overview"
		name := req.URL.Query().Get("room")
		if name == "" {
			shown = s.Overview()
		} else if r := s.Room(name); r != nil {
			shown, part = r.State(), "room"
		} else {
			http.Error(w, "{}", http.StatusNotFound)
			return
		}
		if strings.Contains(req.Header.Get("Accept"), "text/html") {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
			_ = debugPage.ExecuteTemplate(w, part, shown)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		out := json.NewEncoder(w)
		out.SetIndent("", "  ")
		_ = out.Encode(shown)
	})
}

// debugPage is for the operator at a terminal or a browser beside it: figures only, in
// English as the log.
var debugPage = template.Must(template.New("").Parse(`{{define "head"}}<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5"><meta name="viewport" content="width=device-width"><title>Media engine</title>
<style>body{font:14px/1.5 system-ui,sans-serif;margin:1.5rem;max-width:75rem}table{border-collapse:collapse;margin:.5rem 0 1.5rem;display:block;overflow-x:auto}
th,td{text-align:left;padding:.2rem .8rem .2rem 0;border-bottom:1px solid #ddd;white-space:nowrap}td.n,th.n{text-align:right}h2{font-size:1.05rem;margin:1.2rem 0 0}</style></head><body>{{end}}
{{define "overview"}}{{template "head"}}<h1>Media engine</h1>
<p>{{.Rooms}} rooms, {{.Participants}} participants, {{.Tracks}} tracks, {{.Subscriptions}} subscriptions; {{.Packets}} packets sent on them.</p>
<table><tr><th>room</th><th class="n">participants</th></tr>
{{range .Open}}<tr><td><a href="?room={{.Name}}">{{.Name}}</a></td><td class="n">{{.Participants}}</td></tr>{{else}}<tr><td colspan="2">No room is open.</td></tr>{{end}}</table></body></html>
{{end}}
{{define "room"}}{{template "head"}}<p><a href="?">All rooms</a></p><h1>{{.Name}}</h1>
<p>{{if .Managed}}Managed: routes of epoch {{.Epoch}} decide who receives whom.{{else}}Everybody receives everybody.{{end}}</p>
{{range .Participants}}<h2>{{.Identity}} <small>{{.SID}}</small></h2>
<p>{{.State}}{{if .Resumable}}, without socket{{end}}; link {{if .Link}}{{printf "%.0f" .Link}} bit/s{{else}}without a limit found{{end}}{{if .GivesWay}}, gives up pictures (level {{.GivesWay}}){{end}}{{if .OverRate}}, {{.OverRate}} packets above its rate dropped{{end}}{{if .Strange}}, {{.Strange}} packets of no track dropped{{end}}</p>
{{if .Publishes}}<table><tr><th>publishes</th><th>track</th><th>layers</th><th class="n">arrived</th><th class="n">lost</th><th class="n">gaps</th></tr>
{{range .Publishes}}<tr><td>{{.Source}}{{if .Muted}}, muted{{end}}</td><td>{{.SID}}</td><td>{{range .Layers}}{{.}} {{end}}</td><td class="n">{{.Arrived}}</td><td class="n">{{.Lost}}</td><td class="n">{{.Gaps}}</td></tr>
{{end}}</table>{{end}}{{if .Receives}}<table><tr><th>receives</th><th>track</th><th>of</th><th>gate</th><th class="n">layer</th><th class="n">packets</th><th class="n">bytes</th><th class="n">sent again</th><th class="n">padding</th><th class="n">loss</th></tr>
{{range .Receives}}<tr><td>{{.Source}}</td><td>{{.SID}}</td><td>{{.From}}</td><td>{{.Verdict}}{{if not .Open}}, closed{{end}}</td><td class="n">{{.Layer}}</td><td class="n">{{.Packets}}</td><td class="n">{{.Bytes}}</td><td class="n">{{.Resent}}</td><td class="n">{{.Padding}}</td><td class="n">{{.Loss}} %</td></tr>
{{end}}</table>{{end}}{{end}}</body></html>
{{end}}`))
