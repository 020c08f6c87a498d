package sfu

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/webrtc/v4"
	"google.golang.org/protobuf/proto"
)

// maxTracks bounds what one participant publishes: microphone, camera, screen with
// sound, and room for a second of each.
const maxTracks = 8

// maxMetadata bounds what a participant may say of itself.
const maxMetadata = 16 << 10

// handle works on one request of the client; it runs in the peer's loop.
func (p *Peer) handle(req *livekit.SignalRequest) {
	switch m := req.GetMessage().(type) {
	case *livekit.SignalRequest_Offer:
		p.handleOffer(m.Offer)
	case *livekit.SignalRequest_Answer:
		p.sub.answer(m.Answer)
	case *livekit.SignalRequest_Trickle:
		// Remote candidates are not used; see description.
		p.answerHeld()
	case *livekit.SignalRequest_AddTrack:
		p.handleAddTrack(m.AddTrack)
	case *livekit.SignalRequest_Mute:
		p.handleMute(m.Mute)
	case *livekit.SignalRequest_Subscription:
		p.handleSubscription(m.Subscription)
	case *livekit.SignalRequest_TrackSetting:
		p.handleTrackSetting(m.TrackSetting)
	case *livekit.SignalRequest_Leave:
		p.room.leave(p.participant, livekit.DisconnectReason_CLIENT_INITIATED)
	case *livekit.SignalRequest_SyncState:
		p.handleSyncState(m.SyncState)
	case *livekit.SignalRequest_Ping:
		p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_Pong{Pong: p.srv.now().UnixMilli()}})
	case *livekit.SignalRequest_PingReq:
		p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_PongResp{PongResp: &livekit.Pong{
			LastPingTimestamp: m.PingReq.GetTimestamp(), Timestamp: p.srv.now().UnixMilli(),
		}}})
	case *livekit.SignalRequest_UpdateMetadata:
		p.handleUpdateMetadata(m.UpdateMetadata)
	case *livekit.SignalRequest_Simulate:
		p.handleSimulate(m.Simulate)
	case *livekit.SignalRequest_UpdateAudioTrack:
		p.handleUpdateAudioTrack(m.UpdateAudioTrack)
	case *livekit.SignalRequest_UpdateVideoTrack:
		p.handleUpdateVideoTrack(m.UpdateVideoTrack)
	default:
		// SubscriptionPermission always comes after joining: who receives whom is
		// the policy's to say. What is newer than we is ignored.
	}
}

// holdFirst bounds the wait for a client that is not ready for an answer.
const holdFirst = 2 * time.Second

// handleFirst takes the offer that came with the request to join. The Go client reads
// messages before it has set its own offer, and an answer that comes first is lost: its
// first candidate says that it has.
func (p *Peer) handleFirst(sd *livekit.SessionDescription) {
	if p.sdk != "go" {
		p.handleOffer(sd)
		return
	}
	p.held = sd
	wait := time.AfterFunc(holdFirst, func() { p.later(p.answerHeld) })
	context.AfterFunc(p.sub.link.ctx, func() { wait.Stop() })
}

func (p *Peer) answerHeld() {
	if sd := p.held; sd != nil {
		p.held = nil
		p.handleOffer(sd)
	}
}

func (p *Peer) handleOffer(sd *livekit.SessionDescription) {
	p.held = nil // a later one counts
	if p.pub == nil {
		pub, err := newPublisher(p)
		if err != nil {
			p.srv.log.Error("make publisher connection", "participant", p.sid, "error", err)
			return
		}
		p.pub = pub
	}
	if err := p.pub.offer(sd); err != nil {
		p.srv.log.Warn("publisher offer", "participant", p.sid, "error", err)
		p.restart(livekit.DisconnectReason_STATE_MISMATCH)
	}
}

func (p *Peer) refuse(reason livekit.RequestResponse_Reason, message string, add *livekit.AddTrackRequest) {
	p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_RequestResponse{RequestResponse: &livekit.RequestResponse{
		Reason: reason, Message: message, Request: &livekit.RequestResponse_AddTrack{AddTrack: add},
	}}})
}

func (p *Peer) handleAddTrack(req *livekit.AddTrackRequest) {
	r := p.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if !mayPublish(p.perm, req.GetSource()) {
		p.refuse(livekit.RequestResponse_NOT_ALLOWED, "not allowed to publish this source", req)
		return
	}
	if len(p.tracks)+len(p.pending) >= maxTracks {
		p.refuse(livekit.RequestResponse_LIMIT_EXCEEDED, "too many tracks", req)
		return
	}
	for _, t := range p.pending {
		if t.cid == req.GetCid() {
			p.sendPublished(t)
			return
		}
	}
	kind := webrtc.RTPCodecTypeAudio
	if req.GetType() == livekit.TrackType_VIDEO {
		kind = webrtc.RTPCodecTypeVideo
	}
	t := &Track{
		sid: "TR_" + shortID(), cid: req.GetCid(), room: r, owner: p.participant,
		kind: kind, source: req.GetSource(), wanted: livekit.VideoQuality_HIGH,
	}
	t.info = &livekit.TrackInfo{
		Sid: t.sid, Type: req.GetType(), Name: req.GetName(), Muted: req.GetMuted(), Source: req.GetSource(),
		Width: req.GetWidth(), Height: req.GetHeight(), Simulcast: len(req.GetLayers()) > 1,
		DisableDtx: req.GetDisableDtx(), DisableRed: req.GetDisableRed(), Stereo: slices.Contains(req.GetAudioFeatures(), livekit.AudioTrackFeature_TF_STEREO),
		Encryption: req.GetEncryption(), Stream: req.GetStream(), AudioFeatures: req.GetAudioFeatures(),
		BackupCodecPolicy: req.GetBackupCodecPolicy(), Layers: req.GetLayers(),
	}
	if codecs := req.GetSimulcastCodecs(); t.video() && len(codecs) > 0 && codecs[0].GetCodec() != "" {
		t.wantCodec = "video/" + strings.TrimPrefix(strings.ToLower(codecs[0].GetCodec()), "video/")
	}
	if req.GetEncryption() != livekit.Encryption_NONE {
		t.sealed = r.injected()
	}
	t.muted.Store(req.GetMuted())
	p.pending = append(p.pending, t)
	p.grantLocked()
	p.sendPublished(t)
}

func (p *Peer) sendPublished(t *Track) {
	p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_TrackPublished{
		TrackPublished: &livekit.TrackPublishedResponse{Cid: t.cid, Track: proto.Clone(t.info).(*livekit.TrackInfo)},
	}})
}

// ownLocked finds a track of this peer, published or not yet.
func (p *Peer) ownLocked(sid string) *Track {
	for _, t := range p.tracks {
		if t.sid == sid {
			return t
		}
	}
	for _, t := range p.pending {
		if t.sid == sid {
			return t
		}
	}
	return nil
}

func (p *Peer) handleMute(req *livekit.MuteTrackRequest) {
	p.room.mu.Lock()
	defer p.room.mu.Unlock()
	if t := p.ownLocked(req.GetSid()); t != nil {
		p.room.muteLocked(t, req.GetMuted())
	}
}

func (p *Peer) handleSubscription(req *livekit.UpdateSubscription) {
	p.room.mu.Lock()
	defer p.room.mu.Unlock()
	p.wishLocked(req)
	p.wakeUp()
}

// maxWishes bounds what a client may make us remember.
const maxWishes = 4096

func (p *Peer) wishLocked(req *livekit.UpdateSubscription) {
	sids := req.GetTrackSids()
	for _, pt := range req.GetParticipantTracks() {
		sids = append(sids, pt.GetTrackSids()...)
	}
	for _, sid := range sids {
		if len(p.wants) < maxWishes {
			p.wants[sid] = req.GetSubscribe()
		}
	}
}

func (p *Peer) handleTrackSetting(req *livekit.UpdateTrackSettings) {
	r := p.room
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.srv.now()
	for _, sid := range req.GetTrackSids() {
		if len(p.settings) >= maxWishes {
			return
		}
		p.settings[sid] = req
		if d := p.subs[sid]; d != nil {
			d.settings = req
			d.choose(now)
			r.regateLocked(d, now)
			r.dynacastLocked(d.track, now)
		}
	}
}

func (p *Peer) handleSyncState(req *livekit.SyncState) {
	r := p.room
	r.mu.Lock()
	for _, pt := range req.GetPublishTracks() {
		if p.ownLocked(pt.GetTrack().GetSid()) == nil {
			r.mu.Unlock()
			p.restart(livekit.DisconnectReason_STATE_MISMATCH)
			return
		}
	}
	p.wishLocked(req.GetSubscription())
	now := r.srv.now()
	for _, sid := range req.GetTrackSidsDisabled() {
		d := p.subs[sid]
		if d == nil {
			continue
		}
		s := &livekit.UpdateTrackSettings{TrackSids: []string{sid}, Quality: livekit.VideoQuality_HIGH}
		if d.settings != nil {
			s = proto.Clone(d.settings).(*livekit.UpdateTrackSettings)
		}
		s.Disabled = true
		p.settings[sid], d.settings = s, s
		r.regateLocked(d, now)
	}
	r.mu.Unlock()
	p.wakeUp()
}

func (p *Peer) handleUpdateMetadata(req *livekit.UpdateParticipantMetadata) {
	r := p.room
	r.mu.Lock()
	defer r.mu.Unlock()
	answer := &livekit.RequestResponse{RequestId: req.GetRequestId(), Request: &livekit.RequestResponse_UpdateMetadata{UpdateMetadata: req}}
	size := len(req.GetMetadata()) + len(req.GetName())
	for k, v := range req.GetAttributes() {
		size += len(k) + len(v)
	}
	switch {
	case !p.perm.GetCanUpdateMetadata():
		answer.Reason = livekit.RequestResponse_NOT_ALLOWED
		answer.Message = "does not have permission to update own metadata"
	case size > maxMetadata:
		answer.Reason = livekit.RequestResponse_LIMIT_EXCEEDED
		answer.Message = "metadata too large"
	default:
		var name, metadata *string
		if req.GetName() != "" {
			name = &req.Name
		}
		if req.GetMetadata() != "" {
			metadata = &req.Metadata
		}
		r.updateLocked(p.participant, name, metadata, req.GetAttributes())
	}
	if req.GetRequestId() != 0 {
		p.send(&livekit.SignalResponse{Message: &livekit.SignalResponse_RequestResponse{RequestResponse: answer}})
	}
}

// handleSimulate does what clients ask for in their own tests of reconnection.
func (p *Peer) handleSimulate(req *livekit.SimulateScenario) {
	switch req.GetScenario().(type) {
	case *livekit.SimulateScenario_LeaveRequestFullReconnect:
		p.restart(livekit.DisconnectReason_CLIENT_INITIATED)
	case *livekit.SimulateScenario_DisconnectSignalOnResume, *livekit.SimulateScenario_DisconnectSignalOnResumeNoMessages:
		// Only of use to livekit-server's own tests.
	}
}

func (p *Peer) handleUpdateAudioTrack(req *livekit.UpdateLocalAudioTrack) {
	p.room.mu.Lock()
	defer p.room.mu.Unlock()
	if t := p.ownLocked(req.GetTrackSid()); t != nil {
		t.info.AudioFeatures = req.GetFeatures()
		t.info.Stereo = slices.Contains(req.GetFeatures(), livekit.AudioTrackFeature_TF_STEREO)
		t.info.DisableDtx = slices.Contains(req.GetFeatures(), livekit.AudioTrackFeature_TF_NO_DTX)
		if t.announced {
			p.room.tellLocked(p.participant)
		}
	}
}

func (p *Peer) handleUpdateVideoTrack(req *livekit.UpdateLocalVideoTrack) {
	p.room.mu.Lock()
	defer p.room.mu.Unlock()
	if t := p.ownLocked(req.GetTrackSid()); t != nil && t.video() {
		t.info.Width, t.info.Height = req.GetWidth(), req.GetHeight()
		if t.announced {
			p.room.tellLocked(p.participant)
		}
	}
}

// maxData is the largest data message passed on, as clients of the protocol cap it.
const maxData = 64 << 10

// maxBuffered bounds what waits for a slow receiver of data; lossy packets are then
// lost, and a reliable channel that far behind is a client that must join again.
const maxBuffered = 4 << 20

// maxEarly bounds the reliable packets kept for a participant that is connecting.
const maxEarly = 64

// receiveData passes a data packet of a peer on to those who may have it.
func (r *Room) receiveData(p *Peer, kind livekit.DataPacket_Kind, raw []byte) {
	if len(raw) > maxData {
		return
	}
	var packet livekit.DataPacket
	if err := proto.Unmarshal(raw, &packet); err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.people[p.identity] != p.participant || !p.perm.GetCanPublishData() {
		return
	}
	if kind == livekit.DataPacket_RELIABLE && packet.GetSequence() > 0 {
		p.reliable.Store(packet.GetSequence())
	}
	if _, speakers := packet.GetValue().(*livekit.DataPacket_Speaker); speakers {
		return
	}
	packet.Kind = kind
	packet.ParticipantSid = p.sid
	packet.ParticipantIdentity = p.identity
	if u := packet.GetUser(); u != nil {
		u.ParticipantSid = p.sid
		u.ParticipantIdentity = p.identity
	}
	r.sendDataLocked(p.participant, kind, &packet)
}

// SendData sends a data packet of the server's.
func (r *Room) SendData(kind livekit.DataPacket_Kind, packet *livekit.DataPacket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sendDataLocked(nil, kind, packet)
}

func (r *Room) sendDataLocked(from *participant, kind livekit.DataPacket_Kind, packet *livekit.DataPacket) {
	to := packet.GetDestinationIdentities()
	sids := []string(nil)
	if u := packet.GetUser(); u != nil {
		to = append(slices.Clone(to), u.GetDestinationIdentities()...)
		sids = u.GetDestinationSids()
	}
	raw, err := proto.Marshal(packet)
	if err != nil {
		return
	}
	for _, o := range r.people {
		if o == from || o.peer == nil || !o.perm.GetCanSubscribe() {
			continue
		}
		if len(to)+len(sids) > 0 && !slices.Contains(to, o.identity) && !slices.Contains(sids, o.sid) {
			continue
		}
		if from != nil && r.policy != nil && !r.policy.Data(from.identity, o.identity) {
			continue
		}
		if kind == livekit.DataPacket_RELIABLE && !o.peer.dataOpen {
			if len(o.peer.early) < maxEarly {
				o.peer.early = append(o.peer.early, raw)
			}
			continue
		}
		dc := o.peer.data[kind]
		if dc == nil {
			continue
		}
		if dc.BufferedAmount() > maxBuffered {
			if kind == livekit.DataPacket_RELIABLE {
				r.srv.log.Warn("data receiver too slow", "participant", o.sid)
			}
			continue
		}
		_, _ = dc.Write(raw)
	}
}
