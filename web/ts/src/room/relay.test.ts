import { strict as assert } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { channelDb, floorDb, relayFloorDb, relays } from "./ducking.ts";
import { matters } from "./hint.ts";
import { initial, reduce, type Event, type RoomState } from "./state.ts";
import { parse } from "./wire.ts";

function fed(json: string): Event {
  const message = parse(json);
  assert(message !== null);
  return { kind: "feed", message, at: 1000 };
}
const golden = (name: string): Event => fed(readFileSync(`../../sessions/testdata/feed/${name}.json`, "utf8"));
const person = (participant: string, role: string, spoken: string) =>
  ({ participant, name: participant, role, organization: "", language: spoken, spoken, connected: true, hand: false, host: false });
const roster = fed(JSON.stringify({ type: "roster", people: [person("haddad", "local_physician", "ar-JO"), person("weber", "specialist", "de")] }));
const channels = fed(JSON.stringify({ type: "channels", epoch: 2, mode: "simultaneous", listening: "floor", channels: ["ar", "de", "en"].map((tag) =>
  ({ tag, state: tag === "de" ? "no_source" : "live", interpreters: [], source: tag === "de" ? "relay" : "direct" })) }));
const welcome = (role: string): Event =>
  fed(JSON.stringify({ type: "welcome", self: { participant: "me", role, name: "M", language: "de", host: false, state: "admitted" }, epoch: 1, heartbeat_ms: 2500 }));
const krueger = (booth: string): RoomState => [welcome("interpreter"), roster, channels, golden(booth)].reduce(reduce, initial());

test("on relay the other interpreter is loud, the original faint, and whom one understands as loud as ever", () => {
  const s = krueger("booth-relay");
  assert.equal(relays(s), true);
  assert.equal(channelDb(s, "en"), 0);
  assert.equal(channelDb(s, "ar"), -Infinity);
  assert.equal(floorDb(s, "haddad"), relayFloorDb);
  assert.equal(floorDb(s, "weber"), 0);
});

test("without a relay, lost or not needed, the floor is as loud as it comes", () => {
  for (const booth of ["booth", "booth-relay-lost"]) {
    const s = krueger(booth);
    assert.equal(relays(s), false, booth);
    assert.deepEqual([channelDb(s, "en"), floorDb(s, "haddad"), floorDb(s, "weber")], [-Infinity, 0, 0], booth);
  }
  // The packets stop before the server has said so.
  const starved = reduce(krueger("booth-relay"), { kind: "media.starved", starved: true, at: 2000 });
  assert.deepEqual([channelDb(starved, "en"), floorDb(starved, "haddad")], [-Infinity, 0]);
});

test("listeners are told that their interpreter waits for another one", () => {
  const listener = reduce([welcome("specialist"), roster, channels].reduce(reduce, initial()), { kind: "wish", tag: "de" });
  const s = reduce(listener, channels);
  assert.equal(s.banners.find((b) => b.key === "interpretation")?.message, "room.banner.relay_lost");
});

test("who speaks is told where booths could relay, and by nobody else", () => {
  const up: Event = { kind: "feed.link", link: "up", at: 1 };
  const admitted = fed(JSON.stringify({ type: "admitted", media: { main: { url: "u", token: "t", expires: "" } } }));
  const of = (role: string): RoomState => [{ kind: "enter" } as const, up, welcome(role), admitted, roster, channels].reduce(reduce, initial());
  assert.equal(matters(of("specialist")), true);
  assert.equal(matters(of("interpreter")), false);
  assert.equal(matters(of("coordinator")), false);
  assert.equal(matters({ ...of("patient"), feed: "lost" }), false);
});
