package roomservice

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/livekit/protocol/livekit"
	"github.com/twitchtv/twirp"

	"github.com/consilium-health/consilium/sfu"
)

type claimsKey struct{}

// Handler serves the RoomService of the server under /twirp/livekit.RoomService/.
// Callers carry a bearer token of the server's key with the grants of the protocol.
func Handler(server *sfu.Server) http.Handler {
	inner := livekit.NewRoomServiceServer(&service{server: server})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		claims, err := server.Verify(token)
		if err != nil {
			_ = twirp.WriteError(w, twirp.NewError(twirp.Unauthenticated, "invalid authorization token"))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
		inner.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimsKey{}, claims)))
	})
}

type service struct {
	server *sfu.Server
}

var _ livekit.RoomService = (*service)(nil)

var errDenied = twirp.NewError(twirp.PermissionDenied, "token does not permit this")

// may checks the grants: a list or create right, or roomAdmin of exactly this room.
func may(ctx context.Context, room string, right func(v grants) bool) error {
	claims, _ := ctx.Value(claimsKey{}).(sfu.Claims)
	v := claims.Video
	if v == nil {
		return errDenied
	}
	if !right(grants{create: v.RoomCreate, list: v.RoomList, admin: v.RoomAdmin && v.Room != "" && v.Room == room}) {
		return errDenied
	}
	return nil
}

type grants struct{ create, list, admin bool }

func create(g grants) bool { return g.create }
func list(g grants) bool   { return g.list }
func admin(g grants) bool  { return g.admin }

// room finds the room an administrator names.
func (s *service) room(ctx context.Context, name string) (*sfu.Room, error) {
	if err := may(ctx, name, admin); err != nil {
		return nil, err
	}
	r := s.server.Room(name)
	if r == nil {
		return nil, twirp.NewError(twirp.NotFound, "requested room does not exist")
	}
	return r, nil
}

func failure(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sfu.ErrNoParticipant):
		return twirp.NewError(twirp.NotFound, "participant does not exist")
	case errors.Is(err, sfu.ErrNoRoom):
		return twirp.NewError(twirp.NotFound, "requested room does not exist")
	case errors.Is(err, sfu.ErrGrant):
		return twirp.NewError(twirp.FailedPrecondition, "not permitted by the server's policy")
	case errors.Is(err, sfu.ErrClosed):
		return twirp.NewError(twirp.Unavailable, "stopping")
	default:
		return twirp.InternalError("internal error")
	}
}

func (s *service) CreateRoom(ctx context.Context, req *livekit.CreateRoomRequest) (*livekit.Room, error) {
	if err := may(ctx, req.GetName(), create); err != nil {
		return nil, err
	}
	if req.GetName() == "" {
		return nil, twirp.RequiredArgumentError("name")
	}
	r, err := s.server.Create(req.GetName(), req.GetMetadata())
	if err != nil {
		return nil, failure(err)
	}
	return r.Info(), nil
}

func (s *service) ListRooms(ctx context.Context, req *livekit.ListRoomsRequest) (*livekit.ListRoomsResponse, error) {
	if err := may(ctx, "", list); err != nil {
		return nil, err
	}
	res := &livekit.ListRoomsResponse{}
	for _, r := range s.server.Rooms() {
		if len(req.GetNames()) == 0 || slices.Contains(req.GetNames(), r.Name()) {
			res.Rooms = append(res.Rooms, r.Info())
		}
	}
	slices.SortFunc(res.Rooms, func(a, b *livekit.Room) int { return strings.Compare(a.Name, b.Name) })
	return res, nil
}

func (s *service) DeleteRoom(ctx context.Context, req *livekit.DeleteRoomRequest) (*livekit.DeleteRoomResponse, error) {
	if err := may(ctx, req.GetRoom(), create); err != nil {
		return nil, err
	}
	if s.server.Room(req.GetRoom()) == nil {
		return nil, failure(sfu.ErrNoRoom)
	}
	s.server.Delete(req.GetRoom())
	return &livekit.DeleteRoomResponse{}, nil
}

func (s *service) ListParticipants(ctx context.Context, req *livekit.ListParticipantsRequest) (*livekit.ListParticipantsResponse, error) {
	if err := may(ctx, req.GetRoom(), admin); err != nil {
		return nil, err
	}
	res := &livekit.ListParticipantsResponse{}
	if r := s.server.Room(req.GetRoom()); r != nil {
		res.Participants = r.Participants()
	}
	return res, nil
}

func (s *service) GetParticipant(ctx context.Context, req *livekit.RoomParticipantIdentity) (*livekit.ParticipantInfo, error) {
	r, err := s.room(ctx, req.GetRoom())
	if err != nil {
		return nil, err
	}
	info, err := r.Participant(req.GetIdentity())
	return info, failure(err)
}

func (s *service) RemoveParticipant(ctx context.Context, req *livekit.RoomParticipantIdentity) (*livekit.RemoveParticipantResponse, error) {
	r, err := s.room(ctx, req.GetRoom())
	if err != nil {
		return nil, err
	}
	if !r.Remove(req.GetIdentity()) {
		return nil, failure(sfu.ErrNoParticipant)
	}
	return &livekit.RemoveParticipantResponse{}, nil
}

func (s *service) MutePublishedTrack(ctx context.Context, req *livekit.MuteRoomTrackRequest) (*livekit.MuteRoomTrackResponse, error) {
	r, err := s.room(ctx, req.GetRoom())
	if err != nil {
		return nil, err
	}
	t, err := r.Mute(req.GetIdentity(), req.GetTrackSid(), req.GetMuted())
	if err != nil {
		return nil, failure(err)
	}
	return &livekit.MuteRoomTrackResponse{Track: t}, nil
}

func (s *service) UpdateParticipant(ctx context.Context, req *livekit.UpdateParticipantRequest) (*livekit.ParticipantInfo, error) {
	r, err := s.room(ctx, req.GetRoom())
	if err != nil {
		return nil, err
	}
	var name, metadata *string
	if req.GetName() != "" {
		name = &req.Name
	}
	if req.GetMetadata() != "" {
		metadata = &req.Metadata
	}
	info, err := r.Update(req.GetIdentity(), name, metadata, req.GetAttributes(), req.GetPermission())
	return info, failure(err)
}

func (s *service) UpdateSubscriptions(ctx context.Context, req *livekit.UpdateSubscriptionsRequest) (*livekit.UpdateSubscriptionsResponse, error) {
	r, err := s.room(ctx, req.GetRoom())
	if err != nil {
		return nil, err
	}
	sids := slices.Clone(req.GetTrackSids())
	for _, p := range req.GetParticipantTracks() {
		sids = append(sids, p.GetTrackSids()...)
	}
	if err := r.Subscribe(req.GetIdentity(), sids, req.GetSubscribe()); err != nil {
		return nil, failure(err)
	}
	return &livekit.UpdateSubscriptionsResponse{}, nil
}

func (s *service) SendData(ctx context.Context, req *livekit.SendDataRequest) (*livekit.SendDataResponse, error) {
	r, err := s.room(ctx, req.GetRoom())
	if err != nil {
		return nil, err
	}
	r.SendData(req.GetKind(), &livekit.DataPacket{
		Kind: req.GetKind(), DestinationIdentities: req.GetDestinationIdentities(),
		Value: &livekit.DataPacket_User{User: &livekit.UserPacket{
			Payload: req.GetData(), Topic: req.Topic, DestinationSids: req.GetDestinationSids(),
			DestinationIdentities: req.GetDestinationIdentities(),
		}},
	})
	return &livekit.SendDataResponse{}, nil
}

func (s *service) UpdateRoomMetadata(ctx context.Context, req *livekit.UpdateRoomMetadataRequest) (*livekit.Room, error) {
	r, err := s.room(ctx, req.GetRoom())
	if err != nil {
		return nil, err
	}
	return r.SetMetadata(req.GetMetadata()), nil
}

// What the embedded engine has no use for: it has one node, and agents of its own.

func (s *service) ForwardParticipant(context.Context, *livekit.ForwardParticipantRequest) (*livekit.ForwardParticipantResponse, error) {
	return nil, twirp.NewError(twirp.Unimplemented, "not offered by this server")
}

func (s *service) MoveParticipant(context.Context, *livekit.MoveParticipantRequest) (*livekit.MoveParticipantResponse, error) {
	return nil, twirp.NewError(twirp.Unimplemented, "not offered by this server")
}

func (s *service) PerformRpc(context.Context, *livekit.PerformRpcRequest) (*livekit.PerformRpcResponse, error) {
	return nil, twirp.NewError(twirp.Unimplemented, "not offered by this server")
}
