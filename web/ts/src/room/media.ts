// The one place that speaks to livekit-client. It joins room main, and for an
// interpreter the booth; publishes the person's devices, plays what arrives at the
// loudness the room's state asks for, and reports what it sees as events.
import type { AudioCaptureOptions, Participant, RemoteTrack, RemoteTrackPublication, Room, RoomOptions, TrackPublication, TrackPublishOptions } from "livekit-client";
import { channelDb, floorDb, gain, rampDownMs, rampRestoreMs, rampStep, rampUpMs, relayTag, unarmed, watch, type Watch } from "./ducking.ts";
import { Meter } from "./meter.ts";
import { listenedChannel, listening, micOpen, noTracks, selfIsInterpreter, type Event, type RoomKey, type RoomState, type Tracks } from "./state.ts";
import type { ParticipantID, Ticket } from "./wire.ts";

type Kit = typeof import("livekit-client");

export interface Devices { readonly audio: string; readonly video: string; readonly output: string; readonly headphones: boolean }

/** Loudness of the booth partner in an interpreter's ear (design interpretation, section 8). */
const partnerDb = -12;
const channelPrefix = "channel:";
/** A floor speaker counts as speaking from this level on (-34 dB of full scale), and stops 500 ms after. */
const speechLevel = 0.02;
const speechHoldMs = 500;
const tickMs = 100;
const rampTickMs = 10;

/** Below this the voice with its redundancy (about 100 kbit/s) leaves nothing for a picture; looked at every 2 s. */
const videoNeeds = 110_000;
const narrowLooks = 5;

interface Playing { readonly track: RemoteTrack; readonly room: RoomKey; db: number; target: number; span: number; totalMs: number }

// A microphone that was taken away: so many looks (tickMs apart) until it is said, and how
// often it is tried again. A toggle of one's own settles within two looks.
const micLooks = 8;
const micRetryMs = 3000;

export class Media {
  private kit: Kit | null = null;
  private readonly rooms = new Map<RoomKey, Room>();
  private readonly playing = new Map<string, Playing>(); // by track sid
  private readonly taken = new WeakSet<RemoteTrack>(); // the tracks that subscribed has seen
  private readonly packets = new Map<string, number>(); // RTP time last played, by track sid
  private readonly spokeAt = new Map<ParticipantID, number>();
  private readonly wanted = new Map<RoomKey, { mic: boolean; camera: boolean; screen: boolean }>();
  private readonly working = new Set<RoomKey>();
  private readonly serials = new Map<RoomKey, number>();
  private watched: Watch = unarmed;
  private watchedTag = "";
  private ticker: ReturnType<typeof setInterval> | null = null;
  private ramp: ReturnType<typeof setInterval> | null = null;
  private rampAt = 0;
  private state: RoomState;
  private devices: Devices;
  private ownClone: MediaStream | null = null; // of the published microphone, never silenced
  private ownMeter: { meter: Meter; track: MediaStreamTrack } | null = null;
  private mutedSpeech = 0;
  private slowRuns = 0;
  private narrowRuns = 0;
  private micGone = 0; // looks in a row that found the wanted microphone silent
  private micLost = false;
  private regaining = false;
  private regainedAt = 0; // tried last
  private readonly report: (e: Event) => void;
  private readonly sink: HTMLElement;
  private readonly log: (what: string) => void;

  constructor(config: { report: (e: Event) => void; sink: HTMLElement; log: (what: string) => void; state: RoomState; devices: Devices }) {
    this.report = config.report;
    this.sink = config.sink;
    this.log = config.log;
    this.state = config.state;
    this.devices = config.devices;
  }

  /** Loads the client ahead of the need; the room's own chunk. */
  async prepare(): Promise<Kit> {
    if (!this.kit) {
      this.kit = await import("livekit-client");
      // Its log names addresses with tickets; errors are reported by us.
      this.kit.setLogLevel("silent");
    }
    return this.kit;
  }

  setDevices(d: Devices): void {
    this.devices = d;
  }

  async join(key: RoomKey, ticket: Ticket): Promise<void> {
    const kit = await this.prepare();
    const serial = (this.serials.get(key) ?? 0) + 1;
    this.serials.set(key, serial);
    await this.drop(key);
    this.report({ kind: "media.link", room: key, link: "connecting", at: Date.now() });
    const room = new kit.Room(this.options(key));
    this.rooms.set(key, room);
    this.listen(kit, key, room);
    try {
      await room.connect(ticket.url, ticket.token, { autoSubscribe: true });
    } catch (err) {
      this.log(`join ${key}: ${err instanceof Error ? err.message : "unknown"}`);
      if (this.rooms.get(key) === room) {
        this.rooms.delete(key);
        this.report({ kind: "media.link", room: key, link: "failed", at: Date.now() });
      }
      return;
    }
    if (this.rooms.get(key) !== room) {
      await room.disconnect();
      return;
    }
    this.report({ kind: "media.link", room: key, link: "up", at: Date.now() });
    this.report({ kind: "media.sound", blocked: !room.canPlaybackAudio });
    for (const p of room.remoteParticipants.values()) this.reportTracks(key, p);
    this.startTicks();
    this.apply(this.state);
  }

  /** Brings devices, loudness and rights in line with the state. Cheap when nothing changed. */
  apply(s: RoomState): void {
    this.state = s;
    const interpreter = selfIsInterpreter(s);
    const open = micOpen(s);
    // An interpreter's voice goes to the booth; in consecutive mode everybody hears it.
    const onFloor = !interpreter || s.channels?.mode === "consecutive";
    this.want("main", { mic: onFloor ? open : false, camera: s.mine.camera, screen: s.mine.screen });
    if (this.rooms.has("booth")) this.want("booth", { mic: open, camera: false, screen: false });
    this.cough(s.mine.cough);
    this.loudness();
  }

  /** Attaches the camera or screen of a participant to a video element of a tile. */
  show(participant: ParticipantID, source: "camera" | "screen", video: HTMLVideoElement): boolean {
    const kit = this.kit;
    const room = this.rooms.get("main");
    if (!kit || !room) return false;
    const who = participant === room.localParticipant.identity ? room.localParticipant : room.remoteParticipants.get(participant);
    const pub = who?.getTrackPublication(source === "camera" ? kit.Track.Source.Camera : kit.Track.Source.ScreenShare);
    const track = pub?.track;
    if (!track || pub.isMuted) return false;
    if (!track.attachedElements.includes(video)) track.attach(video);
    return true;
  }
  hide(video: HTMLVideoElement): void {
    for (const room of this.rooms.values()) {
      for (const p of [room.localParticipant, ...room.remoteParticipants.values()]) {
        for (const pub of p.trackPublications.values()) {
          if (pub.track?.attachedElements.includes(video)) pub.track.detach(video);
        }
      }
    }
    video.srcObject = null;
  }

  async startSound(): Promise<void> {
    for (const room of this.rooms.values()) await room.startAudio();
  }

  /** Level of the own microphone between 0 and 1, muted or not. */
  level(): number {
    this.meterOwn();
    return this.ownMeter?.meter.level() ?? 0;
  }

  async leave(key?: RoomKey): Promise<void> {
    for (const k of key ? [key] : [...this.rooms.keys()]) {
      this.serials.set(k, (this.serials.get(k) ?? 0) + 1);
      await this.drop(k);
      this.report({ kind: "media.link", room: k, link: "off", at: Date.now() });
    }
    if (this.rooms.size === 0) this.stopTicks();
  }

  /** Gives up a connection that does not heal by itself; a fresh ticket makes a new one. */
  async abandon(key: RoomKey): Promise<void> {
    if (!this.rooms.has(key)) return;
    this.log(`media ${key} given up`);
    this.serials.set(key, (this.serials.get(key) ?? 0) + 1);
    const gone = this.drop(key);
    this.report({ kind: "media.link", room: key, link: "failed", at: Date.now() });
    await gone;
  }

  private options(key: RoomKey): RoomOptions {
    return {
      adaptiveStream: key === "main", dynacast: true, stopLocalTrackOnUnpublish: true, disconnectOnPageLeave: true,
      webAudioMix: !volumeWorks(),
      // Two peer connections, although both engines also carry one: with one this client (2.23.0) keeps back, and never
      // tells, whose voice begins within 2 s after who publishes has joined anew; see the faults in sfu/doc.go. And the
      // engine restarts by itself the way on which it sends; with one the client has to.
      singlePeerConnection: false,
      ...(this.devices.output ? { audioOutput: { deviceId: this.devices.output } } : {}),
    };
  }

  private audioCapture(): AudioCaptureOptions {
    const interpreter = selfIsInterpreter(this.state);
    const h = this.devices.headphones;
    return {
      ...(this.devices.audio ? { deviceId: { ideal: this.devices.audio } } : {}),
      channelCount: 1, echoCancellation: !h, noiseSuppression: !interpreter && !h, autoGainControl: !interpreter && !h,
    };
  }
  private audioPublish(): TrackPublishOptions {
    const interpreted = (this.state.channels?.channels.length ?? 0) > 0;
    const interpreter = selfIsInterpreter(this.state);
    // DTX stays off so that packets always flow and a missing run means loss (design interpretation, section 5).
    return {
      dtx: !interpreted && !interpreter, red: interpreter || interpreted, forceStereo: false,
      audioPreset: { maxBitrate: interpreter ? 64_000 : interpreted ? 48_000 : 32_000 },
    };
  }

  private async drop(key: RoomKey): Promise<void> {
    const room = this.rooms.get(key);
    if (!room) return;
    this.rooms.delete(key);
    this.wanted.delete(key);
    for (const [sid, p] of this.playing) {
      if (p.room !== key) continue;
      for (const e of p.track.detach()) e.remove();
      this.playing.delete(sid);
    }
    if (key === "main") {
      for (const p of room.remoteParticipants.values()) this.report({ kind: "media.gone", participant: p.identity });
      this.report({ kind: "media.gone", participant: room.localParticipant.identity });
    }
    room.removeAllListeners();
    await room.disconnect(true);
  }

  private listen(kit: Kit, key: RoomKey, room: Room): void {
    const ev = kit.RoomEvent;
    const link = (l: "up" | "lost" | "failed"): void => this.report({ kind: "media.link", room: key, link: l, at: Date.now() });
    const changed = (_: unknown, p: Participant): void => this.reportTracks(key, p);
    room
      .on(ev.SignalReconnecting, () => link("lost"))
      .on(ev.Reconnecting, () => link("lost"))
      .on(ev.Reconnected, () => {
        link("up");
        this.apply(this.state);
      })
      .on(ev.Disconnected, (reason) => {
        if (this.rooms.get(key) !== room) return;
        this.log(`media ${key} ended: ${reason ?? "unknown"}`);
        this.rooms.delete(key);
        this.wanted.delete(key);
        for (const [sid, p] of this.playing) {
          if (p.room !== key) continue;
          for (const e of p.track.detach()) e.remove();
          this.playing.delete(sid);
        }
        link("failed");
      })
      .on(ev.ParticipantConnected, (p) => this.reportTracks(key, p))
      .on(ev.ParticipantDisconnected, (p) => {
        if (key === "main" && !p.identity.startsWith(channelPrefix)) this.report({ kind: "media.gone", participant: p.identity });
      })
      .on(ev.TrackSubscribed, (track, pub, p) => this.subscribed(kit, key, track, pub, p))
      .on(ev.TrackUnsubscribed, (track, pub, p) => {
        this.playing.delete(pub.trackSid);
        this.packets.delete(pub.trackSid);
        for (const e of track.detach()) if (track.kind === kit.Track.Kind.Audio) e.remove();
        this.reportTracks(key, p);
      })
      .on(ev.TrackPublished, changed)
      .on(ev.TrackUnpublished, changed)
      .on(ev.TrackMuted, changed)
      .on(ev.TrackUnmuted, changed)
      .on(ev.TrackStreamStateChanged, (_, __, p) => this.reportTracks(key, p))
      .on(ev.LocalTrackPublished, changed)
      .on(ev.LocalTrackUnpublished, (pub, p) => {
        this.reportTracks(key, p);
        if (key === "main" && pub.source === kit.Track.Source.ScreenShare && this.state.mine.screen) this.report({ kind: "media.screen", on: false });
      })
      .on(ev.ConnectionQualityChanged, (_, p) => this.reportTracks(key, p))
      .on(ev.AudioPlaybackStatusChanged, () => this.report({ kind: "media.sound", blocked: !room.canPlaybackAudio }))
      .on(ev.MediaDevicesError, (err) => this.deviceError(err));
  }

  private deviceError(err: Error): void {
    const denied = err.name === "NotAllowedError";
    this.report({
      kind: "say",
      banner: { key: "device", level: "warn", message: denied ? "room.banner.device_denied" : "room.banner.device_lost", data: {}, until: Date.now() + 10_000 },
    });
  }

  private subscribed(kit: Kit, key: RoomKey, track: RemoteTrack, pub: RemoteTrackPublication, p: Participant): void {
    this.taken.add(track);
    if (track.kind === kit.Track.Kind.Audio) {
      // The element must be in the page and not muted; a channel begins silent.
      const e = track.attach();
      e.dataset["participant"] = p.identity;
      e.dataset["room"] = key;
      this.sink.append(e);
      const db = this.target(key, p.identity);
      const playing: Playing = { track, room: key, db, target: db, span: 0, totalMs: rampUpMs };
      this.playing.set(pub.trackSid, playing);
      volume(kit, track, db);
    }
    this.reportTracks(key, p);
  }

  /** The client may take a track without a word while it joins again: that is played too. */
  private missed(kit: Kit): void {
    for (const [key, room] of this.rooms) {
      if (room.state !== kit.ConnectionState.Connected) continue;
      for (const p of room.remoteParticipants.values()) {
        for (const pub of p.trackPublications.values()) {
          if (!pub.track || this.taken.has(pub.track)) continue;
          this.log(`media ${key}: a track was taken without a word`);
          this.subscribed(kit, key, pub.track, pub, p);
        }
      }
    }
  }

  private reportTracks(key: RoomKey, p: Participant): void {
    if (key !== "main" || p.identity.startsWith(channelPrefix) || p.identity === "") return;
    const kit = this.kit;
    if (!kit) return;
    const mic = p.getTrackPublication(kit.Track.Source.Microphone);
    const visible = (pub: TrackPublication | undefined): boolean => pub !== undefined && !pub.isMuted && pub.track !== undefined;
    const q = kit.ConnectionQuality;
    const camera = p.getTrackPublication(kit.Track.Source.Camera);
    const screen = p.getTrackPublication(kit.Track.Source.ScreenShare);
    const tracks: Tracks = {
      ...noTracks,
      mic: !mic ? "none" : mic.isMuted ? "muted" : "on",
      camera: visible(camera),
      screen: visible(screen),
      paused: [...(paused(kit, camera) ? ["camera" as const] : []), ...(paused(kit, screen) ? ["screen" as const] : [])],
      quality: p.connectionQuality === q.Excellent ? "good" : p.connectionQuality === q.Good ? "fair"
        : p.connectionQuality === q.Poor || p.connectionQuality === q.Lost ? "poor" : "unknown",
    };
    this.report({ kind: "media.tracks", participant: p.identity, tracks });
  }

  // ---- own devices

  private want(key: RoomKey, w: { mic: boolean; camera: boolean; screen: boolean }): void {
    if (!this.rooms.has(key)) return;
    this.wanted.set(key, w);
    void this.work(key);
  }

  /** One change at a time and room; what was wanted last wins. */
  private async work(key: RoomKey): Promise<void> {
    if (this.working.has(key)) return;
    this.working.add(key);
    try {
      let done: { mic: boolean; camera: boolean; screen: boolean } | undefined;
      for (;;) {
        const room = this.rooms.get(key);
        const w = this.wanted.get(key);
        if (!room || !w || w === done || room.state !== "connected") return;
        done = w;
        const me = room.localParticipant;
        // Voice before video. What the ticket does not allow is not tried.
        const may = me.permissions;
        if (!may || may.canPublish) {
          if (!w.mic) this.micFound();
          if (!this.micLost) await this.set("mic", w.mic, me.isMicrophoneEnabled, () => me.setMicrophoneEnabled(w.mic, this.audioCapture(), this.audioPublish()));
          await this.set("camera", w.camera, me.isCameraEnabled, () => me.setCameraEnabled(
            w.camera,
            { ...(this.devices.video ? { deviceId: { ideal: this.devices.video } } : {}), resolution: { width: 640, height: 360, frameRate: 20 } },
            { simulcast: true, videoCodec: "vp8" },
          ));
          await this.set("screen", w.screen, me.isScreenShareEnabled, () => me.setScreenShareEnabled(
            w.screen, { audio: false, resolution: { width: 1920, height: 1080, frameRate: 8 }, contentHint: "detail" }, { simulcast: false },
          ));
        }
        this.cough(this.state.mine.cough);
      }
    } finally {
      this.working.delete(key);
    }
  }

  private async set(what: "mic" | "camera" | "screen", on: boolean, is: boolean, act: () => Promise<unknown>): Promise<void> {
    if (on === is) return;
    try {
      await act();
    } catch (err) {
      if (!(err instanceof Error)) throw err;
      this.log(`${what} ${on ? "on" : "off"}: ${err.name}`);
      if (on && what === "screen") this.report({ kind: "media.screen", on: false });
      else if (on && what === "mic" && (err.name === "NotReadableError" || err.name === "AbortError")) this.micTaken(); // in use elsewhere
      else if (on) {
        this.deviceError(err);
        this.report({ kind: "mine", change: what === "mic" ? { mic: false, talking: false } : { camera: false } });
      }
    }
  }

  /** Looks whether a wanted microphone was taken away by a phone call or another program, and tries to get it back. */
  private watchMic(kit: Kit): void {
    const gone = [...this.rooms].some(([key, room]) => {
      if (!this.wanted.get(key)?.mic || this.working.has(key) || room.state !== "connected") return false;
      const may = room.localParticipant.permissions;
      if (may && !may.canPublish) return false;
      const pub = room.localParticipant.getTrackPublication(kit.Track.Source.Microphone);
      if (!pub) return this.micLost; // not published yet
      const track = pub.track?.mediaStreamTrack;
      return pub.isMuted || !track || track.readyState === "ended" || track.muted;
    });
    this.micGone = gone ? this.micGone + 1 : 0;
    if (!gone) this.micFound();
    else if (this.micGone >= micLooks) this.micTaken();
    if (this.micLost && Date.now() - this.regainedAt > micRetryMs) void this.regainMic();
  }

  private micTaken(): void {
    if (this.micLost) return;
    this.micLost = true;
    this.log("microphone taken away");
    this.report({ kind: "media.mic", lost: true });
  }

  private micFound(): void {
    if (!this.micLost) return;
    this.micLost = false;
    this.log("microphone is back");
    this.report({ kind: "media.mic", lost: false });
  }

  /** Opens the wanted microphone anew. A device that is still taken is tried again later. */
  async regainMic(): Promise<void> {
    const kit = this.kit;
    if (!kit || this.regaining) return;
    this.regaining = true;
    this.regainedAt = Date.now();
    try {
      for (const [key, room] of this.rooms) {
        if (!this.wanted.get(key)?.mic || room.state !== "connected") continue;
        const me = room.localParticipant;
        const pub = me.getTrackPublication(kit.Track.Source.Microphone);
        const track = pub?.track;
        if (track instanceof kit.LocalAudioTrack && !pub?.isMuted) await track.restartTrack();
        else await me.setMicrophoneEnabled(true, this.audioCapture(), this.audioPublish());
      }
    } catch (err) {
      if (!(err instanceof Error)) throw err;
      this.log(`microphone still away: ${err.name}`);
    } finally {
      this.regaining = false;
    }
  }

  /** Silences within the client at once: the sender goes on, so nothing is taken for a loss. */
  private cough(on: boolean): void {
    const kit = this.kit;
    if (!kit) return;
    for (const room of this.rooms.values()) {
      const pub = room.localParticipant.getTrackPublication(kit.Track.Source.Microphone);
      const track = pub?.track?.mediaStreamTrack;
      if (track && !pub.isMuted) track.enabled = !on;
    }
  }

  private meterOwn(): void {
    const kit = this.kit;
    const room = this.rooms.get("booth") ?? this.rooms.get("main");
    const track = kit ? room?.localParticipant.getTrackPublication(kit.Track.Source.Microphone)?.track?.mediaStreamTrack : undefined;
    if (this.ownMeter && this.ownMeter.track === track) return;
    this.ownMeter?.meter.close();
    for (const t of this.ownClone?.getTracks() ?? []) t.stop();
    this.ownMeter = null;
    this.ownClone = null;
    if (!track || track.readyState !== "live") return;
    // A copy of its own keeps its level while the published one is silent.
    const clone = track.clone();
    clone.enabled = true;
    this.ownClone = new MediaStream([clone]);
    this.ownMeter = { meter: new Meter(this.ownClone), track };
  }

  // ---- ears

  private target(key: RoomKey, identity: string): number {
    const s = this.state;
    if (key === "booth") return s.booth?.self === "on_air" ? -Infinity : partnerDb;
    if (identity.startsWith(channelPrefix)) return channelDb(s, identity.slice(channelPrefix.length));
    return floorDb(s, identity);
  }

  private loudness(): void {
    const kit = this.kit;
    if (!kit) return;
    let moving = false;
    for (const [key, room] of this.rooms) {
      for (const p of room.remoteParticipants.values()) {
        for (const pub of p.audioTrackPublications.values()) {
          const playing = this.playing.get(pub.trackSid);
          if (!playing) continue;
          const target = this.target(key, p.identity);
          if (target === playing.target && playing.db === target) continue;
          if (target !== playing.target) {
            playing.span = Math.abs(Math.max(target, -60) - Math.max(playing.db, -60));
            playing.totalMs = target < playing.db ? rampDownMs : this.state.starved || listenedChannel(this.state)?.state === "down" ? rampRestoreMs : rampUpMs;
            playing.target = target;
          }
          if (p.identity.startsWith(channelPrefix) && target !== playing.db) {
            // A channel is switched, not faded: the server stops the former at the next packet.
            playing.db = target;
            volume(kit, playing.track, target);
            continue;
          }
          moving = true;
        }
      }
    }
    if (moving && this.ramp === null) {
      this.rampAt = performance.now();
      this.ramp = setInterval(() => this.rampTick(kit), rampTickMs);
    }
  }

  private rampTick(kit: Kit): void {
    const now = performance.now();
    const ms = Math.min(now - this.rampAt, 1000);
    this.rampAt = now;
    let moving = false;
    for (const p of this.playing.values()) {
      if (p.db === p.target) continue;
      p.db = rampStep(p.db, p.target, p.span, p.totalMs, ms);
      if (p.db === -Infinity && p.target > -60) p.db = -60;
      volume(kit, p.track, p.db);
      if (p.db !== p.target) moving = true;
    }
    if (!moving && this.ramp !== null) {
      clearInterval(this.ramp);
      this.ramp = null;
    }
  }

  // ---- what is heard and how it fares

  private startTicks(): void {
    if (this.ticker !== null) return;
    let n = 0;
    this.ticker = setInterval(() => {
      n++;
      this.watchdog();
      if (this.kit) this.watchMic(this.kit);
      if (n % 3 === 0) void this.speakers();
      if (n % 10 === 0 && this.kit) this.missed(this.kit);
      if (n % 20 === 0) void this.health();
    }, tickMs);
  }
  private stopTicks(): void {
    if (this.ticker !== null) clearInterval(this.ticker);
    this.ticker = null;
    this.ownMeter?.meter.close();
    this.ownMeter = null;
    for (const t of this.ownClone?.getTracks() ?? []) t.stop();
    this.ownClone = null;
  }

  /** Whether a track played a new packet since the last look. */
  private moved(sid: string, track: RemoteTrack): boolean {
    const source = track.receiver?.getSynchronizationSources()[0];
    if (!source) return false;
    const moved = this.packets.get(sid) !== source.rtpTimestamp;
    this.packets.set(sid, source.rtpTimestamp);
    return moved;
  }

  private watchdog(): void {
    const relay = relayTag(this.state);
    const tag = relay || listening(this.state);
    if (tag !== this.watchedTag) {
      this.watchedTag = tag;
      this.watched = unarmed;
    }
    const room = this.rooms.get("main");
    const armed = this.state.channels?.mode === "simultaneous" && (relay !== "" || listenedChannel(this.state)?.state === "live") && room?.state === "connected";
    let packets = false;
    if (armed) {
      for (const pub of room.remoteParticipants.get(channelPrefix + tag)?.audioTrackPublications.values() ?? []) {
        if (pub.track && this.moved(pub.trackSid, pub.track)) packets = true;
      }
    }
    this.watched = watch(this.watched, armed, packets, Date.now());
    if (this.watched.starved !== this.state.starved) this.report({ kind: "media.starved", starved: this.watched.starved, at: Date.now() });
  }

  /** How loud a received track is now, between 0 and 1, by the browser's own statistics: no server need tell. */
  private async heard(track: RemoteTrack): Promise<number> {
    let level = 0;
    const stats = await track.receiver?.getStats();
    stats?.forEach((row: unknown) => {
      if (typeof row === "object" && row !== null && "type" in row && row.type === "inbound-rtp" && "audioLevel" in row && typeof row.audioLevel === "number") {
        level = row.audioLevel;
      }
    });
    return level;
  }

  private async speakers(): Promise<void> {
    const room = this.rooms.get("main");
    if (!room) return;
    const now = Date.now();
    for (const p of room.remoteParticipants.values()) {
      if (p.identity.startsWith(channelPrefix)) continue;
      for (const pub of p.audioTrackPublications.values()) {
        if (pub.isMuted || !pub.track) continue;
        if ((await this.heard(pub.track)) > speechLevel) this.spokeAt.set(p.identity, now);
      }
    }
    this.meterOwn();
    const db = this.ownMeter?.meter.db() ?? -100;
    const me = room.localParticipant.identity;
    const open = micOpen(this.state);
    if (db > -45 && open) this.spokeAt.set(me, now);
    this.mutedSpeech = db > -38 && !open && !this.state.mine.cough ? this.mutedSpeech + 1 : 0;
    if (this.mutedSpeech === 3) {
      this.report({ kind: "say", banner: { key: "muted", level: "info", message: "room.banner.muted", data: {}, until: now + 4000 } });
    }
    const speaking = [...this.spokeAt].filter(([id, at]) => now - at < speechHoldMs && (id === me || room.remoteParticipants.has(id)))
      .sort(([, a], [, b]) => b - a).map(([id]) => id);
    // The order within a look means nothing; keep who spoke before in front.
    const kept = this.state.speaking.filter((id) => speaking.includes(id));
    this.report({ kind: "media.speaking", participants: [...kept, ...speaking.filter((id) => !kept.includes(id))] });
  }

  /** Says when the link is too slow for the picture. The encoder and the server lower video by themselves. */
  private async health(): Promise<void> {
    const kit = this.kit;
    const room = this.rooms.get("main");
    const track = kit ? room?.localParticipant.getTrackPublication(kit.Track.Source.Camera)?.track : undefined;
    if (!room || !kit) return;
    const held = [...room.remoteParticipants.values()].some((p) => [...p.videoTrackPublications.values()].some((pub) => paused(kit, pub)));
    let limited = held || room.localParticipant.connectionQuality === kit.ConnectionQuality.Poor;
    let narrow = false;
    if (track && track.kind === kit.Track.Kind.Video) {
      const stats = await track.getRTCStatsReport();
      stats?.forEach((row: unknown) => {
        if (typeof row !== "object" || row === null) return;
        if ("qualityLimitationReason" in row && row.qualityLimitationReason === "bandwidth") limited = true;
        if ("availableOutgoingBitrate" in row && typeof row.availableOutgoingBitrate === "number" && row.availableOutgoingBitrate < videoNeeds) narrow = true;
      });
    }
    // Voice before video: a link that carries no picture for so long is left to the voice.
    this.narrowRuns = narrow && this.state.mine.camera ? this.narrowRuns + 1 : 0;
    if (this.narrowRuns >= narrowLooks) {
      this.narrowRuns = 0;
      this.report({ kind: "mine", change: { camera: false } });
      this.report({ kind: "say", banner: { key: "video", level: "warn", message: "room.banner.video_off", data: {}, until: Date.now() + 15_000 } });
    }
    this.slowRuns = limited ? this.slowRuns + 1 : 0;
    const slow = this.slowRuns >= 3; // 6 s: the estimate starts low in every call
    if (slow !== this.state.slow) this.report({ kind: "media.slow", slow });
  }
}

/** Whether the engine holds a picture back, as this link carries only the voice. */
function paused(kit: Kit, pub: TrackPublication | undefined): boolean {
  return pub?.track instanceof kit.RemoteTrack && pub.track.streamState === kit.Track.StreamState.Paused;
}

function volume(kit: Kit, track: RemoteTrack, db: number): void {
  if (track instanceof kit.RemoteAudioTrack) track.setVolume(gain(db));
}

/** iOS plays every element at full volume whatever is set. */
function volumeWorks(): boolean {
  const a = document.createElement("audio");
  a.volume = 0.5;
  return a.volume === 0.5;
}
