import { strict as assert } from "node:assert/strict";
import { test } from "node:test";
import { channelDb, floorDb, rampStep, rampDownMs, rampUpMs, unarmed, watch, ducks } from "./ducking.ts";
import { closing, initial, largeTile, listening, micOpen, reduce, type Event, type RoomState } from "./state.ts";
import { parse, type Message } from "./wire.ts";
import { elapsed, readMessages, Texts } from "./texts.ts";
import { read } from "./prefs.ts";
import { handoverActs } from "./desk.ts";

function say(json: object): Message {
  const m = parse(JSON.stringify(json));
  assert(m !== null);
  return m;
}
function play(s: RoomState, ...events: Event[]): RoomState {
  return events.reduce(reduce, s);
}
const fed = (json: object, at = 1000): Event => ({ kind: "feed", message: say(json), at });
const welcome = (state: string, role = "patient"): Event =>
  fed({ type: "welcome", self: { participant: "me", role, name: "Salma Idris", language: "ar", host: false, state }, epoch: 1, heartbeat_ms: 2500 });
const ticket = { url: "ws://localhost", token: "t", expires: "2026-11-25T10:00:00Z" };
const admitted = fed({ type: "admitted", media: { main: ticket } });
const person = (participant: string, role: string, spoken: string) =>
  ({ participant, name: participant, role, organization: "", language: spoken, spoken, connected: true, hand: false, host: false });
const roster = fed({ type: "roster", people: [person("me", "patient", "ar"), person("otieno", "local_physician", "en"), person("aziz", "interpreter", "ar")] });
const channels = (state: string, listening = "ar", mode = "simultaneous"): Event =>
  fed({ type: "channels", epoch: 2, mode, channels: [{ tag: "ar", state, interpreters: [], source: "direct" }, { tag: "en", state: "idle", interpreters: [], source: "direct" }], listening });
const live = (): RoomState => play(initial(), { kind: "enter" }, welcome("lobby"), admitted, roster, channels("live"));

test("from the check through the lobby into the room", () => {
  let s = initial();
  assert.equal(s.phase.kind, "check");
  s = play(s, { kind: "enter" });
  assert.equal(s.phase.kind, "entering");
  s = play(s, welcome("lobby"));
  assert.equal(s.phase.kind, "lobby");
  assert.equal(s.tickets, null);
  s = play(s, admitted);
  assert.equal(s.phase.kind, "live");
  assert.equal(s.tickets?.serial, 1);
});

test("a refusal keeps one in the lobby and an admission takes it back", () => {
  let s = play(initial(), { kind: "enter" }, welcome("lobby"), fed({ type: "refused", code: "no-pack:UG", message_id: "scope.no_pack", data: { Place: "UG" } }));
  assert.equal(s.phase.kind, "lobby");
  assert.equal(s.refusal?.message, "scope.no_pack");
  s = play(s, admitted);
  assert.equal(s.refusal, null);
});

test("a refusal of somebody else is told to the host and blocks nobody", () => {
  const s = play(live(), fed({ type: "refused", code: "no-pack:UG", message_id: "scope.no_pack", data: { Place: "UG" }, participant: "otieno" }));
  assert.equal(s.refusal, null);
  assert.equal(s.banners.at(-1)?.message, "scope.no_pack");
  assert.equal(s.banners.at(-1)?.data["Who"], "otieno");
});

test("back to the lobby forgets everything of the room", () => {
  const s = play(live(), welcome("lobby"));
  assert.equal(s.phase.kind, "lobby");
  assert.deepEqual([s.people, s.tickets, s.channels, s.chat, s.tracks], [[], null, null, [], {}]);
});

test("why one is back in the lobby is still said there", () => {
  const s = play(live(), channels("down"), fed({ type: "notice", code: "scope_ended", message_id: "room.code.scope_ended", data: {}, level: "alert" }), welcome("lobby"));
  assert.deepEqual(s.banners.map((b) => b.message), ["room.code.scope_ended"]);
});

test("a welcome after a lost feed keeps the room as it stands", () => {
  const before = play(live(), { kind: "feed.link", link: "lost", at: 5 });
  assert.equal(before.banners.at(-1)?.key, "feed");
  const after = play(before, { kind: "feed.link", link: "connecting", at: 6 }, { kind: "feed.link", link: "up", at: 7 }, welcome("admitted"));
  assert.equal(after.phase.kind, "live");
  assert.equal(after.banners.some((b) => b.key === "feed"), false);
  assert.equal(listening(after), "ar");
});

test("the language asked for counts until the server answers", () => {
  let s = play(live(), { kind: "wish", tag: "en" });
  assert.equal(listening(s), "en");
  s = play(s, channels("live", "ar"));
  assert.equal(listening(s), "en", "an answer to something else does not undo it");
  s = play(s, channels("live", "en"));
  assert.equal(s.wish, "");
  assert.equal(listening(s), "en");
  s = play(s, { kind: "wish", tag: "ar" }, fed({ type: "error", command: "listen.set", code: "forbidden", message_id: "", epoch: 9 }));
  assert.equal(listening(s), "en", "refused: back to what is");
  assert.equal(s.epoch, 9);
});

test("removed and ended are final", () => {
  for (const [message, why] of [[{ type: "removed", reason: "host" }, "removed"], [{ type: "removed", reason: "declined" }, "declined"], [{ type: "ended" }, "ended"]] as const) {
    const s = play(live(), fed(message), admitted, welcome("admitted"));
    assert.deepEqual(s.phase, { kind: "over", why });
    assert.equal(s.tickets, null);
  }
});

test("chat keeps its order and no double", () => {
  const line = (id: string, at: string) => fed({ type: "chat", id, room: "main", from: "otieno", name: "Dr Otieno", text: id, language: "en", at });
  const s = play(live(), line("b", "2026-11-25T10:00:02Z"), line("a", "2026-11-25T10:00:01Z"), line("b", "2026-11-25T10:00:02Z"));
  assert.deepEqual(s.chat.map((c) => c.id), ["a", "b"]);
  assert.equal(s.unread, 2);
  assert.equal(play(s, { kind: "tab", tab: "chat" }).unread, 0);
});

test("notices fade, a lost interpretation stays until it is back", () => {
  let s = play(live(), fed({ type: "notice", code: "x", message_id: "room.code.x", data: {}, level: "info" }, 1000), channels("down"));
  assert.deepEqual(s.banners.map((b) => b.key), ["notice.x", "interpretation"]);
  s = play(s, { kind: "tick", at: 60_000 });
  assert.deepEqual(s.banners.map((b) => b.key), ["interpretation"]);
  s = play(s, channels("live"));
  assert.deepEqual(s.banners, []);
});

test("the large tile is a screen, the pinned one, the last speaker, then a clinician or patient", () => {
  let s = live();
  assert.deepEqual(largeTile(s), { participant: "otieno", source: "camera" }, "not the interpreter, not oneself");
  s = play(s, { kind: "media.speaking", participants: ["aziz"] });
  assert.equal(largeTile(s)?.participant, "otieno", "an interpreter does not take the stage");
  s = play(s, { kind: "pin", participant: "aziz" });
  assert.equal(largeTile(s)?.participant, "aziz");
  s = play(s, { kind: "media.tracks", participant: "otieno", tracks: { mic: "on", camera: true, screen: true, paused: [], quality: "good" } });
  assert.deepEqual(largeTile(s), { participant: "otieno", source: "screen" });
});

test("Space opens a closed microphone and a cough closes an open one", () => {
  let s = play(live(), { kind: "mine", change: { mic: false } });
  assert.equal(micOpen(s), false);
  s = play(s, { kind: "mine", change: { talking: true } });
  assert.equal(micOpen(s), true);
  s = play(s, { kind: "mine", change: { cough: true } });
  assert.equal(micOpen(s), false);
});

test("who is ducked under the interpreter, and when", () => {
  const cases: readonly (readonly [string, RoomState, string, number])[] = [
    ["speaker of another language, channel live", live(), "otieno", -20],
    ["speaker of the chosen language", live(), "aziz", 0],
    ["listening to the floor", play(live(), channels("live", "floor")), "otieno", 0],
    ["channel waiting", play(live(), channels("waiting")), "otieno", 0],
    ["channel down", play(live(), channels("down")), "otieno", 0],
    ["channel idle", play(live(), channels("live", "en")), "otieno", 0],
    ["packets have stopped", play(live(), { kind: "media.starved", starved: true, at: 1 }), "otieno", 0],
    ["consecutive", play(live(), channels("live", "ar", "consecutive")), "otieno", 0],
    ["chosen level", play(live(), { kind: "mine", change: { duckDb: -6 } }), "otieno", -6],
    ["speaker of a language that one understands", play(live(), { kind: "mine", change: { understood: ["ar", "en-GB"] } }), "otieno", 0],
    ["original sound off", play(live(), { kind: "mine", change: { duckDb: -Infinity } }), "otieno", -Infinity],
    ["the interpreter hears the floor as it is", play(live(), welcome("admitted", "interpreter")), "otieno", 0],
  ];
  for (const [name, s, who, want] of cases) assert.equal(floorDb(s, who), want, name);
  assert.equal(ducks(live()), true);
  assert.equal(channelDb(live(), "ar"), 0);
  assert.equal(channelDb(live(), "en"), -Infinity);
});

test("ramps are linear in dB, 120 ms down and 600 ms up, never more than 6 dB in 20 ms", () => {
  const run = (from: number, to: number, total: number): number => {
    let db = from;
    let ms = 0;
    while (db !== to && ms < 5000) {
      const next = rampStep(db, to, Math.abs(Math.max(to, -60) - Math.max(from, -60)), total, 10);
      assert(Math.abs(Math.max(next, -60) - Math.max(db, -60)) <= 3 + 1e-9, `a step of ${next - db} dB in 10 ms`);
      db = next;
      ms += 10;
    }
    return ms;
  };
  assert.equal(run(0, -20, rampDownMs), 120);
  assert.equal(run(-20, 0, rampUpMs), 600);
  assert.equal(run(0, -Infinity, rampDownMs), 200); // 60 dB at the steepest allowed
});

test("the watchdog gives the floor back after 800 ms without packets and takes it after 300 ms with", () => {
  let w = unarmed;
  let at = 10_000;
  const run = (ms: number, packets: boolean, armed = true): void => {
    for (let t = 0; t < ms; t += 100) w = watch(w, armed, packets, (at += 100));
  };
  run(1000, true);
  assert.equal(w.starved, false);
  run(800, false);
  assert.equal(w.starved, false, "800 ms are not more than 800 ms");
  run(100, false);
  assert.equal(w.starved, true);
  run(300, true);
  assert.equal(w.starved, true);
  run(100, true);
  assert.equal(w.starved, false);
  run(900, false);
  assert.equal(w.starved, true);
  w = watch(w, false, false, (at += 100));
  assert.equal(w.starved, false, "not armed");
});

test("texts take values, plural forms and the reader's words for places and languages", () => {
  const t = new Texts("ar", "Africa/Nairobi", readMessages(JSON.stringify({
    "room.waiting.minutes": { one: "دقيقة", two: "دقيقتان", few: "{{.Count}} دقائق", other: "{{.Count}} دقيقة" },
    "scope.no_pack": { other: "[{{.Place}}]" }, "room.speaking_language": { other: "({{.Language}})" }, "room.unknown": { other: "? {{.Code}}" },
  })));
  assert.equal(t.n("room.waiting.minutes", 2), "دقيقتان");
  assert.equal(t.n("room.waiting.minutes", 5), "5 دقائق");
  assert.equal(t.say("scope.no_pack", { Place: "UG" }), "[\u2068أوغندا\u2069]");
  assert.equal(t.t("room.speaking_language", { Language: "en" }), "(\u2068الإنجليزية\u2069)");
  assert.equal(t.say("not.there", {}), "? \u2068not.there\u2069");
});

test("remembered choices survive nonsense", () => {
  assert.equal(read("{").camera, true);
  assert.equal(read('{"camera":false,"duckDb":3,"audioDevice":7}').duckDb, -20);
  assert.equal(read('{"camera":false}').camera, false);
  assert.equal(read('{"duckDb":null}').duckDb, -Infinity);
});

test("elapsed time", () => {
  assert.equal(elapsed(1_122_000), "18:42");
  assert.equal(elapsed(3_723_000), "1:02:03");
});

test("what each side of a handover may do", () => {
  const booth = (state: string, onAir: string, next: string, partners: readonly string[]) => {
    const m = say({ type: "booth", epoch: 3, pair: ["ar", "en"], state, out: "ar", on_air: onAir, next, self: "standby", muted: false, partners });
    assert(m.type === "booth");
    return m;
  };
  const cases: readonly (readonly [string, string, string, string, readonly string[]])[] = [
    ["live", "a", "", "a", ["handover.offer"]],
    ["live", "a", "", "b", ["handover.request"]],
    ["offered", "a", "b", "a", ["handover.cancel"]],
    ["offered", "a", "b", "b", ["handover.accept", "handover.decline"]],
    ["requested", "a", "b", "a", ["handover.accept", "handover.decline"]],
    ["requested", "a", "b", "b", ["handover.cancel"]],
    ["armed", "a", "b", "a", ["handover.switch", "handover.cancel"]],
    ["armed", "a", "b", "b", ["handover.switch", "handover.cancel"]],
    ["armed", "a", "b", "c", []],
    ["overlap", "a", "b", "b", []],
    ["down", "", "", "b", []],
  ];
  for (const [state, onAir, next, me, want] of cases) {
    const others = ["a", "b"].filter((p) => p !== me);
    assert.deepEqual(handoverActs(booth(state, onAir, next, others), me, 3).map((c) => c.type), want, `${state}, ${me}`);
  }
  assert.deepEqual(handoverActs(booth("live", "a", "", []), "a", 3), [], "alone in the booth");
});

test("who may do nothing any more shows no screen", () => {
  const scope = (may: boolean) => fed({ type: "scope", sentences: [], acts: { advise_physician: may, joint_video_visit: false } });
  let s = play(live(), { kind: "mine", change: { screen: true } }, scope(true));
  assert.equal(closing(s), false);
  assert.equal(s.mine.screen, true);
  s = play(s, scope(false));
  assert.equal(closing(s), true);
  assert.equal(s.mine.screen, false);
});
