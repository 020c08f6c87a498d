// What the session's feed says, and what the room says to it. Every message is
// parsed by a function of its own; nothing that came over the wire is cast.

export type Role = string;
export type ParticipantID = string;
export type NetworkGrade = "good" | "fair" | "poor";
export type Level = "info" | "warn" | "alert";
export type Data = Readonly<Record<string, unknown>>;

export interface Self {
  readonly participant: ParticipantID;
  readonly role: Role;
  readonly name: string;
  readonly language: string;
  readonly host: boolean;
  readonly state: "lobby" | "admitted" | "removed";
}
export interface Waiting {
  readonly participant: ParticipantID;
  readonly name: string;
  readonly role: Role;
  readonly since: string;
  readonly check: { readonly audio: boolean; readonly video: boolean; readonly network: NetworkGrade } | null;
  readonly place: string; // of the patient, as said at the door
}
export interface Ticket { readonly url: string; readonly token: string; readonly expires: string }
export interface Person {
  readonly participant: ParticipantID;
  readonly name: string;
  readonly role: Role;
  readonly organization: string;
  readonly language: string;
  readonly spoken: string;
  readonly connected: boolean;
  readonly hand: boolean;
  readonly host: boolean;
}
export type ChannelState = "off" | "waiting" | "live" | "idle" | "paused" | "no_source" | "down";
export interface ChannelInterpreter { readonly participant: ParticipantID; readonly name: string; readonly on_air: boolean }
export interface Channel {
  readonly tag: string;
  readonly state: ChannelState;
  readonly interpreters: readonly ChannelInterpreter[];
  readonly source: "direct" | "relay";
  readonly via: string; // of a relay: the language the interpreter works from, else ""
}
export type Mode = "simultaneous" | "consecutive";
export type BoothState = "empty" | "idle" | "live" | "offered" | "requested" | "armed" | "overlap" | "down";
export type BoothSelf = "standby" | "on_air" | "ready" | "lost";
export interface ScopeSentence { readonly message_id: string; readonly data: Data }

export interface Welcome { readonly type: "welcome"; readonly self: Self; readonly epoch: number; readonly heartbeat_ms: number }
export interface Lobby { readonly type: "lobby"; readonly waiting: readonly Waiting[] }
export interface Admitted { readonly type: "admitted"; readonly media: { readonly main: Ticket; readonly booth: Ticket | null } }
/** At the door: oneself, or, to the host, whom the rules do not let in. */
export interface Refused {
  readonly type: "refused"; readonly code: string; readonly message_id: string; readonly data: Data; readonly participant: ParticipantID;
}
export interface Roster { readonly type: "roster"; readonly people: readonly Person[] }
export interface Channels {
  readonly type: "channels"; readonly epoch: number; readonly mode: Mode;
  readonly proposed: Mode | ""; // another mode, waiting for the other side
  readonly channels: readonly Channel[]; readonly listening: string;
  readonly paused: readonly string[]; // why specialist and patient do not hear each other
}
export interface Booth {
  readonly type: "booth"; readonly epoch: number; readonly pair: readonly string[]; readonly state: BoothState;
  readonly out: string; readonly on_air: ParticipantID; readonly next: ParticipantID; readonly self: BoothSelf; readonly muted: boolean;
  readonly partners: readonly ParticipantID[];
  readonly input: Input;
}
export type InputKind = "floor" | "relay" | "no_source";
/** What an interpreter hears: the speakers, another interpreter, or nobody they understand. */
export interface Input {
  readonly kind: InputKind;
  readonly tag: string; // of the relay, there or missing
  readonly chosen: boolean; // by the interpreter
  readonly lost: boolean; // the relay was there before
  readonly speaks: readonly string[]; // names of those heard in it
  readonly choices: readonly InputChoice[];
}
export interface InputChoice { readonly tag: string; readonly speaks: readonly string[] }
export interface Chat {
  readonly type: "chat"; readonly id: string; readonly room: "main" | "aside"; readonly from: ParticipantID;
  readonly name: string; readonly text: string; readonly language: string; readonly at: string;
}
export interface Scope { readonly type: "scope"; readonly sentences: readonly ScopeSentence[]; readonly acts: Readonly<Record<string, boolean>> }
export interface ConsentItem { readonly purpose: string; readonly given: boolean }
export interface Consent { readonly type: "consent"; readonly recording: boolean; readonly items: readonly ConsentItem[] }
export interface Notice {
  readonly type: "notice"; readonly code: string; readonly message_id: string; readonly data: Data; readonly level: Level;
}
export interface Signal { readonly type: "signal"; readonly kind: SignalKind; readonly from: ParticipantID }
export interface CommandError {
  readonly type: "error"; readonly command: string; readonly id: string; readonly code: string; readonly message_id: string; readonly data: Data; readonly epoch: number;
}
/** A command took effect. */
export interface Done { readonly type: "done"; readonly command: string; readonly id: string; readonly epoch: number }
export interface Removed { readonly type: "removed"; readonly reason: string }
export interface Ended { readonly type: "ended" }
export interface Pong { readonly type: "pong" }

export type Message =
  | Welcome | Lobby | Admitted | Refused | Roster | Channels | Booth | Chat | Scope | Consent | Notice
  | Signal | CommandError | Done | Removed | Ended | Pong;

/** What the room asks of the server; the feed adds the id. */
export type Command =
  | { type: "lobby.check"; audio: boolean; video: boolean; network: NetworkGrade }
  | { type: "place.confirm"; place: string }
  | { type: "admit" | "decline" | "remove" | "back_to_lobby"; participant: ParticipantID }
  | { type: "ticket.renew" | "leave" | "end" | "ping" }
  | { type: "listen.set" | "spoken.set"; tag: string }
  | { type: "go_live" | "stop"; expect_epoch: number }
  | { type: "direction.set"; out: string; expect_epoch: number }
  | { type: "input.set"; tag: string; expect_epoch: number }
  | { type: "speech"; on: boolean }
  | { type: "mode.propose" | "mode.confirm"; mode: Mode; expect_epoch: number }
  | { type: "handover.offer"; to: ParticipantID; expect_epoch: number }
  | { type: HandoverAct; expect_epoch: number }
  | { type: "mute"; muted: boolean }
  | { type: "cough"; on: boolean }
  | { type: "chat.say"; room: "main" | "aside"; text: string }
  | { type: "hand"; raised: boolean }
  | { type: "signal"; kind: SignalKind };

export type HandoverAct = "handover.request" | "handover.accept" | "handover.decline" | "handover.cancel" | "handover.switch";
export const signalKinds = ["slow_down", "repeat", "pause", "louder", "one_at_a_time", "sound_problem"] as const;
export type SignalKind = (typeof signalKinds)[number];

/** A message that is not what it says it is. */
export class WireError extends Error {
  override name = "WireError";
}

type Fields = Readonly<Record<string, unknown>>;

function isFields(v: unknown): v is Fields {
  return typeof v === "object" && v !== null && !Array.isArray(v);
}
function fields(v: unknown, what: string): Fields {
  if (!isFields(v)) throw new WireError(`${what}: not an object`);
  return v;
}
function text(f: Fields, key: string): string {
  const v = f[key];
  if (typeof v !== "string") throw new WireError(`${key}: not a text`);
  return v;
}
/** Go leaves empty texts out; absent is "". */
function optional(f: Fields, key: string): string {
  return f[key] === undefined || f[key] === null ? "" : text(f, key);
}
function number(f: Fields, key: string): number {
  const v = f[key];
  if (typeof v !== "number" || !Number.isFinite(v)) throw new WireError(`${key}: not a number`);
  return v;
}
function flag(f: Fields, key: string): boolean {
  const v = f[key];
  if (v === undefined || v === null) return false;
  if (typeof v !== "boolean") throw new WireError(`${key}: not true or false`);
  return v;
}
function list<T>(f: Fields, key: string, each: (v: unknown) => T): readonly T[] {
  const v = f[key];
  if (v === undefined || v === null) return [];
  if (!Array.isArray(v)) throw new WireError(`${key}: not a list`);
  return v.map(each);
}
function oneOf<const T extends string>(f: Fields, key: string, allowed: readonly T[]): T {
  const v = f[key];
  for (const a of allowed) if (v === a) return a;
  throw new WireError(`${key}: ${JSON.stringify(v)} is none of ${allowed.join(", ")}`);
}
function word(v: unknown): string {
  if (typeof v !== "string") throw new WireError("list: not a text");
  return v;
}
function data(f: Fields): Data {
  const v = f["data"];
  return v === undefined || v === null ? {} : fields(v, "data");
}

export function parseWelcome(f: Fields): Welcome {
  const self = fields(f["self"], "self");
  return {
    type: "welcome",
    self: {
      participant: text(self, "participant"), role: text(self, "role"), name: text(self, "name"),
      language: optional(self, "language"), host: flag(self, "host"),
      state: oneOf(self, "state", ["lobby", "admitted", "removed"]),
    },
    epoch: number(f, "epoch"),
    heartbeat_ms: f["heartbeat_ms"] === undefined ? 2500 : number(f, "heartbeat_ms"),
  };
}
export function parseLobby(f: Fields): Lobby {
  return {
    type: "lobby",
    waiting: list(f, "waiting", (v) => {
      const w = fields(v, "waiting");
      const raw = w["check"];
      const check = raw === undefined || raw === null ? null : fields(raw, "check");
      return {
        participant: text(w, "participant"), name: text(w, "name"), role: text(w, "role"), since: text(w, "since"),
        check: check === null || !check["network"] ? null : {
          audio: flag(check, "audio"), video: flag(check, "video"), network: oneOf(check, "network", ["good", "fair", "poor"]),
        },
        place: optional(w, "place"),
      };
    }),
  };
}
function parseTicket(v: unknown, what: string): Ticket {
  const t = fields(v, what);
  return { url: text(t, "url"), token: text(t, "token"), expires: optional(t, "expires") };
}
export function parseAdmitted(f: Fields): Admitted {
  const media = fields(f["media"], "media");
  const booth = media["booth"];
  return {
    type: "admitted",
    media: { main: parseTicket(media["main"], "main"), booth: booth === undefined || booth === null ? null : parseTicket(booth, "booth") },
  };
}
export function parseRefused(f: Fields): Refused {
  return { type: "refused", code: text(f, "code"), message_id: optional(f, "message_id"), data: data(f), participant: optional(f, "participant") };
}
export function parseRoster(f: Fields): Roster {
  return {
    type: "roster",
    people: list(f, "people", (v) => {
      const p = fields(v, "people");
      return {
        participant: text(p, "participant"), name: text(p, "name"), role: text(p, "role"), organization: optional(p, "organization"),
        language: optional(p, "language"), spoken: optional(p, "spoken"), connected: flag(p, "connected"), hand: flag(p, "hand"), host: flag(p, "host"),
      };
    }),
  };
}
export function parseChannels(f: Fields): Channels {
  return {
    type: "channels", epoch: number(f, "epoch"), mode: oneOf(f, "mode", ["simultaneous", "consecutive"]),
    proposed: optional(f, "proposed") === "" ? "" : oneOf(f, "proposed", ["simultaneous", "consecutive"]),
    channels: list(f, "channels", (v) => {
      const c = fields(v, "channels");
      return {
        tag: text(c, "tag"), state: oneOf(c, "state", ["off", "waiting", "live", "idle", "paused", "no_source", "down"]),
        interpreters: list(c, "interpreters", (i) => {
          const who = fields(i, "interpreters");
          return { participant: text(who, "participant"), name: text(who, "name"), on_air: flag(who, "on_air") };
        }),
        source: c["source"] === undefined || c["source"] === "" ? "direct" : oneOf(c, "source", ["direct", "relay"]),
        via: optional(c, "via"),
      };
    }),
    listening: optional(f, "listening") || "floor",
    paused: list(f, "paused", word),
  };
}
function parseInput(v: unknown): Input {
  if (v === undefined || v === null) return floorInput;
  const f = fields(v, "input");
  return {
    kind: oneOf(f, "kind", ["floor", "relay", "no_source"]), tag: optional(f, "tag"), chosen: flag(f, "chosen"), lost: flag(f, "lost"),
    speaks: list(f, "speaks", word),
    choices: list(f, "choices", (c) => {
      const one = fields(c, "choices");
      return { tag: text(one, "tag"), speaks: list(one, "speaks", word) };
    }),
  };
}
export const floorInput: Input = { kind: "floor", tag: "", chosen: false, lost: false, speaks: [], choices: [] };
export function parseBooth(f: Fields): Booth {
  return {
    type: "booth", epoch: number(f, "epoch"),
    pair: list(f, "pair", word),
    state: oneOf(f, "state", ["empty", "idle", "live", "offered", "requested", "armed", "overlap", "down"]),
    out: optional(f, "out"), on_air: optional(f, "on_air"), next: optional(f, "next"), self: oneOf(f, "self", ["standby", "on_air", "ready", "lost"]),
    muted: flag(f, "muted"), partners: list(f, "partners", word), input: parseInput(f["input"]),
  };
}
export function parseChat(f: Fields): Chat {
  return {
    type: "chat", id: text(f, "id"), room: oneOf(f, "room", ["main", "aside"]), from: optional(f, "from"), name: optional(f, "name"),
    text: text(f, "text"), language: optional(f, "language"), at: text(f, "at"),
  };
}
export function parseScope(f: Fields): Scope {
  const acts: Record<string, boolean> = {};
  const raw = f["acts"];
  if (raw !== undefined && raw !== null) {
    const held = fields(raw, "acts");
    for (const key of Object.keys(held)) acts[key] = flag(held, key);
  }
  return {
    type: "scope", acts,
    sentences: list(f, "sentences", (v) => {
      const s = fields(v, "sentences");
      return { message_id: text(s, "message_id"), data: data(s) };
    }),
  };
}
export function parseConsent(f: Fields): Consent {
  return {
    type: "consent", recording: flag(f, "recording"),
    items: list(f, "items", (v) => {
      const c = fields(v, "items");
      return { purpose: text(c, "purpose"), given: flag(c, "given") };
    }),
  };
}
export function parseNotice(f: Fields): Notice {
  return {
    type: "notice", code: text(f, "code"), message_id: optional(f, "message_id"), data: data(f), level: oneOf(f, "level", ["info", "warn", "alert"]),
  };
}
export function parseSignal(f: Fields): Signal {
  return { type: "signal", kind: oneOf(f, "kind", signalKinds), from: optional(f, "from") };
}
export function parseDone(f: Fields): Done {
  return { type: "done", command: optional(f, "command"), id: optional(f, "id"), epoch: f["epoch"] === undefined ? 0 : number(f, "epoch") };
}
export function parseError(f: Fields): CommandError {
  return {
    type: "error", command: optional(f, "command"), id: optional(f, "id"), code: text(f, "code"), message_id: optional(f, "message_id"), data: data(f),
    epoch: f["epoch"] === undefined ? 0 : number(f, "epoch"),
  };
}

/** Reads one frame. A type this room does not know is null: the server may be newer. */
export function parse(frame: string): Message | null {
  let raw: unknown;
  try {
    raw = JSON.parse(frame);
  } catch {
    throw new WireError("frame: not JSON");
  }
  const f = fields(raw, "frame");
  const type = text(f, "type");
  switch (type) {
    case "welcome": return parseWelcome(f);
    case "lobby": return parseLobby(f);
    case "admitted": return parseAdmitted(f);
    case "refused": return parseRefused(f);
    case "roster": return parseRoster(f);
    case "channels": return parseChannels(f);
    case "booth": return parseBooth(f);
    case "chat": return parseChat(f);
    case "scope": return parseScope(f);
    case "consent": return parseConsent(f);
    case "notice": return parseNotice(f);
    case "signal": return parseSignal(f);
    case "error": return parseError(f);
    case "done": return parseDone(f);
    case "removed": return { type: "removed", reason: optional(f, "reason") };
    case "ended": return { type: "ended" };
    case "pong": return { type: "pong" };
    default: return null;
  }
}
