// What a listener hears (design interpretation, section 4): how loud each floor
// speaker is under the interpreter, how a change of loudness is ramped, and the
// watchdog that gives the original sound back when the interpreter's packets stop.
import { listenedChannel, listening, selfIsInterpreter, type RoomState } from "./state.ts";
import type { ParticipantID } from "./wire.ts";

/** Ducking is on: the chosen channel is live, its packets flow, and the mode is simultaneous. */
export function ducks(s: RoomState): boolean {
  return s.channels?.mode === "simultaneous" && listenedChannel(s)?.state === "live" && !s.starved && !selfIsInterpreter(s);
}

/** An interpreter works from another one's channel (design interpretation, section 6.5). */
export function relays(s: RoomState): boolean {
  return relayTag(s) !== "" && !s.starved;
}
/** The channel an interpreter is to work from, or "". */
export function relayTag(s: RoomState): string {
  return selfIsInterpreter(s) && s.channels?.mode === "simultaneous" && s.booth?.input.kind === "relay" ? s.booth.input.tag : "";
}
/** The original under a relay. */
export const relayFloorDb = -30;

/** The wanted loudness in dB of one floor speaker; 0 is as it comes, -Infinity is silence. */
export function floorDb(s: RoomState, speaker: ParticipantID): number {
  const spoken = s.people.find((p) => p.participant === speaker)?.spoken ?? "";
  // On relay the original is faint, but for those whom the interpreter can follow.
  if (relays(s)) return s.booth?.pair.some((tag) => sameLanguage(spoken, tag)) ? 0 : relayFloorDb;
  if (!ducks(s)) return 0;
  return [listening(s), ...s.mine.understood].some((tag) => sameLanguage(spoken, tag)) ? 0 : s.mine.duckDb;
}

/** The wanted loudness of a language channel's tracks. */
export function channelDb(s: RoomState, tag: string): number {
  if (selfIsInterpreter(s)) return relays(s) && s.booth?.input.tag === tag ? 0 : -Infinity;
  return tag === listening(s) ? 0 : -Infinity;
}

/** es-MX and es are one language to a listener; nothing is not. */
export function sameLanguage(a: string, b: string): boolean {
  if (!a || !b) return false;
  return a.toLowerCase().split("-")[0] === b.toLowerCase().split("-")[0];
}

export const rampDownMs = 120;
export const rampUpMs = 600;
export const rampRestoreMs = 250; // after a loss the floor comes back faster
/** Never more than 6 dB in any 20 ms. */
export const maxDbPerMs = 6 / 20;
/** What counts as silence when a ramp in dB needs a number. */
export const floorOfDb = -60;

/** One step of a ramp that is linear in dB: where the loudness stands after `ms` more. */
export function rampStep(now: number, target: number, span: number, totalMs: number, ms: number): number {
  const from = Math.max(now, floorOfDb);
  const to = Math.max(target, floorOfDb);
  const perMs = Math.min(Math.max(span, 6) / totalMs, maxDbPerMs);
  const step = perMs * ms;
  const next = Math.abs(to - from) <= step + 1e-9 ? to : from + Math.sign(to - from) * step;
  return next <= floorOfDb ? -Infinity : next;
}
export function gain(db: number): number {
  return db === -Infinity ? 0 : Math.min(1, 10 ** (db / 20));
}

export const starveMs = 800;
export const feedMs = 300;

/** Watches the packets of the chosen channel's tracks. It is armed while the channel is live. */
export interface Watch { readonly armedAt: number; readonly lastPacket: number; readonly flowingSince: number; readonly starved: boolean }
export const unarmed: Watch = { armedAt: 0, lastPacket: 0, flowingSince: 0, starved: false };

export function watch(w: Watch, armed: boolean, packets: boolean, at: number): Watch {
  if (!armed) return w.armedAt === 0 && !w.starved ? w : unarmed;
  const began = w.armedAt === 0 ? at : w.armedAt;
  const last = packets ? at : w.lastPacket;
  if (!w.starved) {
    const starved = at - Math.max(last, began) > starveMs;
    return { armedAt: began, lastPacket: last, flowingSince: 0, starved };
  }
  // Packets must flow without a gap that would be a loss again.
  const broken = at - w.lastPacket > feedMs && !packets;
  const since = packets ? (w.flowingSince === 0 || at - w.lastPacket > feedMs ? at : w.flowingSince) : broken ? 0 : w.flowingSince;
  const fed = since !== 0 && at - since >= feedMs;
  return { armedAt: began, lastPacket: last, flowingSince: fed ? 0 : since, starved: !fed };
}
