package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/text/collate"
	"golang.org/x/text/language"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/sessions"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// roomRoutes are the addresses of the room pages. The feed stands in feed.go.
func (s *Server) roomRoutes() []route {
	return []route{
		{http.MethodGet, "/sessions/{appointment}", someone, s.roomPage},
	}
}

// roomTexts are the messages that the room's script says by itself, and those that
// the feed names: what the room answers and what a scope decision says.
var roomTexts = []string{
	"room.unknown", "room.you", "room.audio_only", "room.picture_paused", "room.muted", "room.speaking", "room.screen_of", "room.pin", "room.gone", "room.host",
	"room.quality.", "room.network.word.", "room.floor", "room.channel.", "room.duck.", "room.waiting", "room.say.", "room.banner.", "room.notice.",
	"room.error.", "room.role.", "room.code.", "room.signalled.", "room.paused.", "room.act.", "room.mode.", "room.handover.", "room.input.", "scope.",
}

// roomPage is the door of an appointment: the device check, from which the script
// goes on to the lobby and the live room on the same page. Before the door is open,
// and after the end, it says so.
func (s *Server) roomPage(w http.ResponseWriter, r *http.Request) error {
	ctx, actor := r.Context(), actorOf(r)
	id := scheduling.AppointmentID(r.PathValue("appointment"))
	door, err := s.d.Sessions.OpenDoor(ctx, actor, id)
	if err != nil {
		return fmt.Errorf("room page: %w", err)
	}
	p := pages.RoomPage{Role: string(door.Role), Host: door.Host, Start: door.Start, End: door.End, Opens: door.Opens, Languages: door.Languages}
	if p.Layout, err = s.layout(w, r, i18n.RoomTitle); err != nil {
		return err
	}
	p.Wide, p.Scripts = true, s.scripts("room.js")
	p.Back, p.BackTo = "/appointments/"+string(id), p.T(i18n.RoomBackAppointment)
	if p.Guest { // came by a link and has no appointments to look at
		p.Back, p.BackTo = "/", p.T(i18n.RoomBackHome)
	}
	p.Clocks = s.roomClocks(ctx, actor, p.Localizer, door)
	switch door.State {
	case sessions.DoorLobby, sessions.DoorAdmitted:
	case sessions.DoorEarly:
		p.Closed = pages.RoomEarly
	case sessions.DoorEnded:
		p.Closed = pages.RoomEnded
	case sessions.DoorRemoved:
		p.Closed = pages.RoomRemoved
	default:
		p.Closed = pages.RoomCancelled
	}
	if p.Closed != "" {
		p.Scripts = nil
		return s.render(w, r, http.StatusOK, pages.Room(p))
	}
	p.Session, p.Ticket = string(door.Session), door.Ticket
	p.Feed = "/sessions/" + p.Session + "/feed"
	if door.AskPlace {
		p.Place = roomPlaces(p.Localizer, door.Place)
	}
	texts, err := p.Localizer.Messages(roomTexts...)
	if err != nil {
		return fmt.Errorf("room page: %w", err)
	}
	raw, err := json.Marshal(texts)
	if err != nil {
		return fmt.Errorf("room page: %w", err)
	}
	p.Messages = string(raw)
	return s.render(w, r, http.StatusOK, pages.Room(p))
}

// roomClocks is the start on the clocks of the others who are seated. It names
// cities, no people; whoever may not read the appointment sees their own clock only.
func (s *Server) roomClocks(ctx context.Context, actor identity.Actor, l *i18n.Localizer, door sessions.Door) []pages.RoomClock {
	a, err := s.d.Scheduling.Appointment(ctx, actor, door.Appointment)
	if err != nil {
		return nil
	}
	var ids []identity.PersonID
	for _, seat := range a.Seats {
		if seat.Person != actor.Person {
			ids = append(ids, seat.Person)
		}
	}
	people, err := s.d.Identity.People(ctx, ids...)
	if err != nil {
		return nil
	}
	seen := map[string]bool{l.Zone().String(): true}
	var out []pages.RoomClock
	for _, id := range ids {
		zone := people[id].Zone
		if zone == "" || seen[zone] {
			continue
		}
		seen[zone] = true
		out = append(out, pages.RoomClock{Clock: l.ClockIn(door.Start, zone), Place: city(zone)})
	}
	return out
}

// city is the town that an IANA zone is called after.
func city(zone string) string {
	_, name, ok := cutLast(zone, "/")
	if !ok {
		return zone
	}
	return strings.ReplaceAll(name, "_", " ")
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// parts are subdivisions whose law differs from their neighbors', so that the
// country alone is no answer.
var parts = map[string][]string{
	"CA": {"CA-AB", "CA-BC", "CA-MB", "CA-NB", "CA-NL", "CA-NS", "CA-NT", "CA-NU", "CA-ON", "CA-PE", "CA-QC", "CA-SK", "CA-YT"},
	"US": {
		"US-AK", "US-AL", "US-AR", "US-AZ", "US-CA", "US-CO", "US-CT", "US-DC", "US-DE", "US-FL", "US-GA", "US-HI", "US-IA", "US-ID", "US-IL", "US-IN",
		"US-KS", "US-KY", "US-LA", "US-MA", "US-MD", "US-ME", "US-MI", "US-MN", "US-MO", "US-MS", "US-MT", "US-NC", "US-ND", "US-NE", "US-NH", "US-NJ",
		"US-NM", "US-NV", "US-NY", "US-OH", "US-OK", "US-OR", "US-PA", "US-RI", "US-SC", "US-SD", "US-TN", "US-TX", "US-UT", "US-VA", "US-VT", "US-WA",
		"US-WI", "US-WV", "US-WY",
	},
}

// roomPlaces are the places a patient may be in: every country, and the parts of
// those whose parts have laws of their own, in the order of the reader's alphabet.
func roomPlaces(l *i18n.Localizer, onFile string) *pages.RoomPlace {
	q := &pages.RoomPlace{}
	if onFile != "" {
		q.OnFile = pages.Option{Value: onFile, Text: l.Place(onFile)}
	}
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			code := string([]rune{a, b})
			r, err := language.ParseRegion(code)
			if err != nil || !r.IsCountry() || r.Canonicalize().String() != code || r.IsPrivateUse() {
				continue
			}
			for _, part := range orSelf(parts[code], code) {
				if part != onFile {
					q.Options = append(q.Options, pages.Option{Value: part, Text: l.Place(part)})
				}
			}
		}
	}
	c := collate.New(language.MustParse(l.Tag()))
	slices.SortFunc(q.Options, func(a, b pages.Option) int { return c.CompareString(a.Text, b.Text) })
	return q
}

func orSelf(list []string, self string) []string {
	if len(list) == 0 {
		return []string{self}
	}
	return list
}
