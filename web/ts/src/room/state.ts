// The room's state and the one reducer that owns it. Views draw it; the feed, the
// media and the person report events; nothing else changes it.
import type {
  Booth, Channels, Chat, Command, Consent, Data, Level, Message, NetworkGrade, ParticipantID, Person, Scope, Self, Ticket, Waiting,
} from "./wire.ts";

export type Phase =
  | { readonly kind: "check" } //                        the device check
  | { readonly kind: "entering" } //                     the feed is being opened
  | { readonly kind: "lobby"; readonly since: number }
  | { readonly kind: "live"; readonly since: number }
  | { readonly kind: "over"; readonly why: Why };
/** Why it is over for this person here. */
export type Why = "left" | "removed" | "declined" | "ended" | "taken" | "closed";

export type Link = "off" | "connecting" | "up" | "lost" | "failed";
export type RoomKey = "main" | "booth";

/** What the media engine shows of one participant in room main. */
export interface Tracks {
  readonly mic: "none" | "on" | "muted";
  readonly camera: boolean;
  readonly screen: boolean;
  readonly paused: readonly ("camera" | "screen")[]; // pictures the engine holds back: this link carries only the voice
  readonly quality: "unknown" | NetworkGrade;
}
export const noTracks: Tracks = { mic: "none", camera: false, screen: false, paused: [], quality: "unknown" };

export interface Banner {
  readonly key: string; //        one banner a key; a later one replaces it
  readonly level: Level;
  readonly message: string; //    message id
  readonly data: Data;
  readonly until: number; //      clock, 0: until it is taken away
}

/** What the person has chosen: of their own devices and ears. */
export interface Mine {
  readonly mic: boolean;
  readonly camera: boolean;
  readonly screen: boolean;
  readonly talking: boolean; //   Space held
  readonly cough: boolean;
  readonly duckDb: number; //     original sound under the interpreter; -Infinity is off
  readonly keys: boolean; //      single-letter keys work
  readonly understood: readonly string[]; // languages of the person's profile: who speaks one of them is not ducked
}

export interface RoomState {
  readonly phase: Phase;
  readonly feed: Link;
  readonly media: Readonly<Record<RoomKey, Link>>;
  readonly tickets: { readonly main: Ticket; readonly booth: Ticket | null; readonly serial: number } | null;
  readonly self: Self | null;
  readonly epoch: number;
  readonly heartbeatMs: number;
  readonly people: readonly Person[];
  readonly waiting: readonly Waiting[];
  readonly tracks: Readonly<Record<ParticipantID, Tracks>>;
  readonly speaking: readonly ParticipantID[];
  readonly lastSpeaker: ParticipantID; // of others, for the large tile
  readonly pinned: ParticipantID;
  readonly channels: Channels | null;
  readonly wish: string; //            language asked for and not yet confirmed, or ""
  readonly starved: boolean; //        no packets on the chosen channel
  readonly booth: Booth | null;
  readonly chat: readonly Chat[];
  readonly unread: number;
  readonly tab: Tab;
  readonly scope: Scope | null;
  readonly consent: Consent | null;
  readonly refusal: { readonly code: string; readonly message: string; readonly data: Data } | null;
  readonly banners: readonly Banner[];
  readonly mine: Mine;
  readonly soundBlocked: boolean;
  readonly micLost: boolean; // wanted on, and taken by a call or another program
  readonly slow: boolean;
}
export type Tab = "language" | "people" | "chat";

export type Event =
  | { readonly kind: "feed"; readonly message: Message; readonly at: number }
  | { readonly kind: "feed.link"; readonly link: Link; readonly at: number }
  | { readonly kind: "feed.closed"; readonly why: "taken" | "closed" | "ended" } // the server will not have us back
  | { readonly kind: "media.link"; readonly room: RoomKey; readonly link: Link; readonly at: number }
  | { readonly kind: "media.tracks"; readonly participant: ParticipantID; readonly tracks: Tracks }
  | { readonly kind: "media.gone"; readonly participant: ParticipantID }
  | { readonly kind: "media.speaking"; readonly participants: readonly ParticipantID[] }
  | { readonly kind: "media.starved"; readonly starved: boolean; readonly at: number }
  | { readonly kind: "media.sound"; readonly blocked: boolean }
  | { readonly kind: "media.mic"; readonly lost: boolean }
  | { readonly kind: "media.slow"; readonly slow: boolean }
  | { readonly kind: "media.screen"; readonly on: boolean } // the browser's own bar can end it
  | { readonly kind: "enter" }
  | { readonly kind: "mine"; readonly change: Partial<Mine> }
  | { readonly kind: "wish"; readonly tag: string }
  | { readonly kind: "pin"; readonly participant: ParticipantID }
  | { readonly kind: "tab"; readonly tab: Tab }
  | { readonly kind: "say"; readonly banner: Banner }
  | { readonly kind: "unsay"; readonly key: string }
  | { readonly kind: "tick"; readonly at: number }
  | { readonly kind: "leave" };

export const defaultDuckDb = -20;

export function initial(mine: Partial<Mine> = {}): RoomState {
  return {
    phase: { kind: "check" }, feed: "off", media: { main: "off", booth: "off" }, tickets: null, self: null, epoch: 0, heartbeatMs: 2500,
    people: [], waiting: [], tracks: {}, speaking: [], lastSpeaker: "", pinned: "", channels: null, wish: "", starved: false, booth: null,
    chat: [], unread: 0, tab: "language", scope: null, consent: null, refusal: null, banners: [],
    mine: { mic: true, camera: true, screen: false, talking: false, cough: false, duckDb: defaultDuckDb, keys: true, understood: [], ...mine },
    soundBlocked: false, micLost: false, slow: false,
  };
}

function banner(s: RoomState, b: Banner): RoomState {
  return { ...s, banners: [...s.banners.filter((x) => x.key !== b.key), b] };
}
function unbanner(s: RoomState, key: string): RoomState {
  return s.banners.some((b) => b.key === key) ? { ...s, banners: s.banners.filter((b) => b.key !== key) } : s;
}

/** Notices fade; alerts of a lost interpretation stay until something better is said. */
const noticeMs = 8000;
const errorMs = 8000;

export function reduce(s: RoomState, e: Event): RoomState {
  if (s.phase.kind === "over" && e.kind !== "media.link") return s;
  switch (e.kind) {
    case "feed": return received(s, e.message, e.at);
    case "feed.link": {
      const next = { ...s, feed: e.link };
      if (e.link === "lost" || e.link === "connecting" && s.feed === "lost") {
        if (s.phase.kind === "check") return next;
        return banner(next, { key: "feed", level: "alert", message: "room.banner.reconnecting", data: {}, until: 0 });
      }
      return e.link === "up" ? unbanner(next, "feed") : next;
    }
    case "feed.closed": return over(s, e.why);
    case "media.link": {
      const next: RoomState = { ...s, media: { ...s.media, [e.room]: e.link } };
      if (s.phase.kind === "over") return next;
      if (e.link === "lost" || e.link === "failed") {
        return banner(next, { key: "media." + e.room, level: "alert", message: "room.banner.media_lost", data: {}, until: 0 });
      }
      return e.link === "up" || e.link === "off" ? unbanner(next, "media." + e.room) : next;
    }
    case "media.tracks": return { ...s, tracks: { ...s.tracks, [e.participant]: e.tracks } };
    case "media.gone": {
      const { [e.participant]: _, ...tracks } = s.tracks;
      return { ...s, tracks, speaking: s.speaking.filter((p) => p !== e.participant), pinned: s.pinned === e.participant ? "" : s.pinned };
    }
    case "media.speaking": {
      if (same(s.speaking, e.participants)) return s;
      const other = e.participants.find((p) => p !== s.self?.participant && !isInterpreter(s, p));
      return { ...s, speaking: e.participants, lastSpeaker: other ?? s.lastSpeaker };
    }
    case "media.starved": return s.starved === e.starved ? s : { ...s, starved: e.starved };
    case "media.sound": return { ...s, soundBlocked: e.blocked };
    case "media.mic": return { ...s, micLost: e.lost };
    case "media.slow": return { ...s, slow: e.slow };
    case "media.screen": return { ...s, mine: { ...s.mine, screen: e.on } };
    case "enter": return s.phase.kind === "check" ? { ...s, phase: { kind: "entering" } } : s;
    case "mine": return { ...s, mine: { ...s.mine, ...e.change } };
    case "wish": return { ...s, wish: e.tag, starved: false };
    case "pin": return { ...s, pinned: s.pinned === e.participant ? "" : e.participant };
    case "tab": return { ...s, tab: e.tab, unread: e.tab === "chat" ? 0 : s.unread };
    case "say": return banner(s, e.banner);
    case "unsay": return unbanner(s, e.key);
    case "tick": {
      const banners = s.banners.filter((b) => b.until === 0 || b.until > e.at);
      return banners.length === s.banners.length ? s : { ...s, banners };
    }
    case "leave": return over(s, "left");
    default: return never(e);
  }
}

function over(s: RoomState, why: Why): RoomState {
  return { ...s, phase: { kind: "over", why }, tickets: null, media: { main: "off", booth: "off" }, banners: [], speaking: [], people: [], waiting: [] };
}

function received(s: RoomState, m: Message, at: number): RoomState {
  switch (m.type) {
    case "welcome": {
      const next: RoomState = { ...s, self: m.self, epoch: m.epoch, heartbeatMs: m.heartbeat_ms };
      switch (m.self.state) {
        case "removed": return over(next, "removed");
        case "lobby": return toLobby(next, at);
        case "admitted": return s.phase.kind === "live" ? next : { ...next, phase: { kind: "live", since: at }, refusal: null };
        default: return never(m.self.state);
      }
    }
    case "lobby": return { ...s, waiting: m.waiting };
    case "admitted": {
      const tickets = { main: m.media.main, booth: m.media.booth, serial: (s.tickets?.serial ?? 0) + 1 };
      const self = s.self ? { ...s.self, state: "admitted" as const } : null;
      return { ...s, tickets, self, refusal: null, phase: s.phase.kind === "live" ? s.phase : { kind: "live", since: at } };
    }
    case "refused": {
      const message = m.message_id || "room.unknown";
      const data = m.message_id ? m.data : { Code: m.code };
      if (m.participant !== "" && m.participant !== s.self?.participant) {
        // To the host: whom the rules keep out, and why.
        const who = s.waiting.find((w) => w.participant === m.participant)?.name ?? personOf(s, m.participant)?.name ?? "";
        return banner(s, { key: "refused." + m.participant, level: "warn", message, data: { ...data, Who: who }, until: at + 3 * noticeMs });
      }
      return { ...s, refusal: { code: m.code, message, data } };
    }
    case "roster": return { ...s, people: m.people };
    case "channels": {
      // An older message can overtake nobody here, but a rebuilt session starts anew.
      const confirmed = s.wish === m.listening ? "" : s.wish;
      let next: RoomState = { ...s, channels: m, wish: confirmed, epoch: Math.max(s.epoch, m.epoch) };
      next = interpretationBanner(next);
      const paused = m.paused[0];
      return paused === undefined ? unbanner(next, "paused")
        : banner(next, { key: "paused", level: "alert", message: "room.paused." + paused, data: {}, until: 0 });
    }
    case "booth": return { ...s, booth: m, epoch: Math.max(s.epoch, m.epoch) };
    case "chat": {
      if (s.chat.some((c) => c.id === m.id)) return s;
      const chat = [...s.chat, m].sort((a, b) => a.at.localeCompare(b.at));
      const mine = m.from === s.self?.participant;
      return { ...s, chat, unread: s.tab === "chat" || mine ? s.unread : s.unread + 1 };
    }
    case "scope": {
      const next = { ...s, scope: m };
      return closing(next) ? { ...next, mine: { ...s.mine, screen: false } } : next; // shows nothing any more
    }
    case "consent": return { ...s, consent: m };
    case "notice":
      return banner(s, {
        key: "notice." + m.code, level: m.level, message: m.message_id || "room.notice.unknown",
        data: m.message_id ? m.data : { Code: m.code }, until: m.level === "alert" ? at + 2 * noticeMs : at + noticeMs,
      });
    case "signal":
      return banner(s, { key: "signal." + m.kind, level: "warn", message: "room.signalled." + m.kind, data: {}, until: at + noticeMs });
    case "done": {
      const next = unbanner(s, "error." + m.command); // what went wrong before works now
      return m.epoch > s.epoch ? { ...next, epoch: m.epoch } : next;
    }
    case "error": {
      const next = { ...s, epoch: m.epoch > 0 ? m.epoch : s.epoch, wish: m.command === "listen.set" ? "" : s.wish };
      return banner(next, {
        key: "error." + m.command, level: "warn", message: m.message_id || "room.error.unknown",
        data: m.message_id ? m.data : { Code: m.code }, until: at + errorMs,
      });
    }
    case "removed": return over(s, m.reason === "declined" ? "declined" : "removed");
    case "ended": return over(s, "ended");
    case "pong": return s;
    default: return never(m);
  }
}

function toLobby(s: RoomState, at: number): RoomState {
  if (s.phase.kind === "lobby") return s;
  return {
    ...s, phase: { kind: "lobby", since: at }, tickets: null, media: { main: "off", booth: "off" },
    people: [], waiting: [], tracks: {}, speaking: [], channels: null, booth: null, scope: null, chat: [], unread: 0,
    banners: s.banners.filter((b) => b.key.startsWith("notice.")), // may say why
  };
}

/** A listener of a channel that is down, paused or without source is told so, and hears the floor. */
function interpretationBanner(s: RoomState): RoomState {
  const c = listenedChannel(s);
  const key = "interpretation";
  if (!c || s.channels?.mode === "consecutive") return unbanner(s, key);
  switch (c.state) {
    case "down": return banner(s, { key, level: "alert", message: "room.banner.interpretation_lost", data: {}, until: 0 });
    case "paused": return banner(s, { key, level: "warn", message: "room.banner.interpretation_paused", data: {}, until: 0 });
    case "no_source": {
      const message = c.source === "relay" ? "room.banner.relay_lost" : "room.banner.no_source";
      return banner(s, { key, level: "warn", message, data: {}, until: 0 });
    }
    case "live": case "idle": case "waiting": case "off": return unbanner(s, key);
    default: return never(c.state);
  }
}

/** What the person listens to: what they asked for last, else what the server says. */
export function listening(s: RoomState): string {
  return s.wish || s.channels?.listening || "floor";
}
export function listenedChannel(s: RoomState) {
  const tag = listening(s);
  return s.channels?.channels.find((c) => c.tag === tag) ?? null;
}
export function personOf(s: RoomState, id: ParticipantID): Person | undefined {
  return s.people.find((p) => p.participant === id);
}
export function isInterpreter(s: RoomState, id: ParticipantID): boolean {
  const role = personOf(s, id)?.role ?? (s.self?.participant === id ? s.self.role : "");
  return role === "interpreter" || role === "sign_interpreter";
}
export function selfIsInterpreter(s: RoomState): boolean {
  return s.self?.role === "interpreter" || s.self?.role === "sign_interpreter";
}
/** The permission is gone and the talk is being brought to a close: nothing is shown or written any more. */
export function closing(s: RoomState): boolean {
  const acts = Object.values(s.scope?.acts ?? {});
  return acts.length > 0 && !acts.includes(true);
}
/** The microphone is open: by choice or by Space, and not while coughing. */
export function micOpen(s: RoomState): boolean {
  return (s.mine.mic || s.mine.talking) && !s.mine.cough;
}
/** Which tile is large: a shared screen, the pinned one, the last speaker, somebody. */
export function largeTile(s: RoomState): { participant: ParticipantID; source: "camera" | "screen" } | null {
  const present = s.people.filter((p) => p.connected);
  const sharing = present.find((p) => p.participant !== s.self?.participant && s.tracks[p.participant]?.screen);
  if (sharing) return { participant: sharing.participant, source: "screen" };
  const here = (id: ParticipantID): boolean => present.some((p) => p.participant === id);
  if (s.pinned && here(s.pinned)) return { participant: s.pinned, source: "camera" };
  if (s.lastSpeaker && here(s.lastSpeaker)) return { participant: s.lastSpeaker, source: "camera" };
  const others = present.filter((p) => p.participant !== s.self?.participant);
  const first = others.find((p) => !isInterpreter(s, p.participant)) ?? others[0];
  if (first) return { participant: first.participant, source: "camera" };
  return s.self ? { participant: s.self.participant, source: "camera" } : null;
}

/** Commands that undo what a new connection to the feed has forgotten: same seat, same language. */
export function resumeCommands(s: RoomState): readonly Command[] {
  const out: Command[] = [];
  if (s.wish) out.push({ type: "listen.set", tag: s.wish });
  return out;
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((x, i) => x === b[i]);
}
export function never(x: never): never {
  throw new Error(`unexpected ${JSON.stringify(x)}`);
}
