package livekit

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"

	"github.com/consilium-health/consilium/sessions"
)

// settle makes the cluster's rights, subscriptions and feeds those of the admissions
// and routes: first what takes something away, then the feeds, then what gives.
// again repeats what was denied before, for clients that subscribe by hand.
func (s *session) settle(ctx context.Context, again bool) error {
	s.apply.Lock()
	defer s.apply.Unlock()
	if err := s.makeChannels(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	var take, give []func(context.Context) error
	for _, r := range s.rooms {
		for who, p := range r.people {
			if !r.admits(who, p) {
				take = append(take, func(ctx context.Context) error { return s.evict(ctx, r, who) })
				continue
			}
			s.plan(r, who, p, again, &take, &give)
		}
	}
	allow := s.listenersLocked()
	s.mu.Unlock()
	for _, a := range allow {
		a.narrow()
	}
	if err := s.all(ctx, take); err != nil {
		return err
	}
	s.mu.Lock()
	s.tapLocked()
	s.mu.Unlock()
	for _, a := range allow {
		a.widen()
	}
	return s.all(ctx, give)
}

// plan lists the calls that settle one participant; mu is held.
func (s *session) plan(r *room, who sessions.Identity, p *person, again bool, take, give *[]func(context.Context) error) {
	rights := r.admitted[who].rights
	want := permission(rights)
	reception, named := s.routes.Receive[who]
	want.CanSubscribe = rights.Subscribe && (r.name != sessions.RoomMain || named)
	var deny, allow []string
	if r.name == sessions.RoomMain && want.CanSubscribe {
		silenced := map[sessions.Identity]bool{}
		for _, id := range reception.Silenced {
			silenced[id] = true
		}
		for other, o := range r.people {
			if other == who {
				continue
			}
			for sid := range o.tracks {
				switch denied := !reception.Floor || silenced[other]; {
				case denied && (again || !p.denied[sid]):
					p.denied[sid] = true
					deny = append(deny, sid)
				case !denied && p.denied[sid]:
					delete(p.denied, sid)
					allow = append(allow, sid)
				}
			}
		}
	}
	if len(deny) > 0 {
		*take = append(*take, func(ctx context.Context) error { return s.subscribe(ctx, r, who, p, deny, false) })
	}
	if len(allow) > 0 {
		*give = append(*give, func(ctx context.Context) error { return s.subscribe(ctx, r, who, p, allow, true) })
	}
	if proto.Equal(p.granted, want) {
		return
	}
	first := p.granted == nil
	grant := func(ctx context.Context) error {
		_, err := s.media.client.UpdateParticipant(ctx, &livekit.UpdateParticipantRequest{Room: r.wire, Identity: string(who), Permission: want})
		if err = missing(err); err != nil {
			return err
		}
		s.mu.Lock()
		p.granted = want
		s.mu.Unlock()
		return nil
	}
	if !want.CanSubscribe || !first && p.granted.CanSubscribe {
		*take = append(*take, grant)
		return
	}
	if len(p.denied) == 0 {
		*give = append(*give, grant)
		return
	}
	// A client that subscribes by itself begins to when it is connected; what it must
	// not receive is unsubscribed once more with the right in between.
	all := make([]string, 0, len(p.denied))
	for sid := range p.denied {
		all = append(all, sid)
	}
	*give = append(*give, func(ctx context.Context) error {
		if there, err := s.active(ctx, r, who); err != nil || !there {
			return err
		}
		return errors.Join(s.subscribe(ctx, r, who, p, all, false), grant(ctx), s.subscribe(ctx, r, who, p, all, false))
	})
}

// active tells whether a participant is connected; if not, the rooms are looked at
// again soon.
func (s *session) active(ctx context.Context, r *room, who sessions.Identity) (bool, error) {
	info, err := s.media.client.GetParticipant(ctx, &livekit.RoomParticipantIdentity{Room: r.wire, Identity: string(who)})
	if err != nil {
		return false, missing(err)
	}
	if info.State != livekit.ParticipantInfo_ACTIVE {
		time.AfterFunc(pace, s.nudge)
	}
	return info.State != livekit.ParticipantInfo_JOINING, nil
}

func (s *session) subscribe(ctx context.Context, r *room, who sessions.Identity, p *person, tracks []string, on bool) error {
	_, err := s.media.client.UpdateSubscriptions(ctx, &livekit.UpdateSubscriptionsRequest{
		Room: r.wire, Identity: string(who), TrackSids: tracks, Subscribe: on,
	})
	if err = missing(err); err != nil {
		s.mu.Lock()
		for _, sid := range tracks {
			// It is tried again with the next settlement.
			if on {
				p.denied[sid] = true
			} else {
				delete(p.denied, sid)
			}
		}
		s.mu.Unlock()
	}
	return err
}

// evict removes a participant who is there without a live admission, after asking the
// cluster whether it is still that one.
func (s *session) evict(ctx context.Context, r *room, who sessions.Identity) error {
	info, err := s.media.client.GetParticipant(ctx, &livekit.RoomParticipantIdentity{Room: r.wire, Identity: string(who)})
	if err != nil {
		return missing(err)
	}
	serial, err := strconv.ParseInt(info.Metadata, 10, 64)
	if err != nil {
		serial = 0
	}
	s.mu.Lock()
	in := r.admitted[who]
	live := in != nil && serial >= in.since
	s.mu.Unlock()
	if live {
		return nil
	}
	return s.media.expel(ctx, r.wire, string(who))
}

// all makes calls side by side.
func (s *session) all(ctx context.Context, calls []func(context.Context) error) error {
	errs := make([]error, len(calls))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i, call := range calls {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = call(ctx)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
