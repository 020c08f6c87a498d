import { strict as assert } from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { parse, WireError, type Command } from "./wire.ts";

// The examples that the Go side writes in its tests; run from web/ts.
const golden = "../../sessions/testdata/feed";

test("every golden message of the server is understood", () => {
  const files = readdirSync(golden).filter((f) => f.endsWith(".json"));
  assert(files.length >= 10, `only ${files.length} examples in ${golden}`);
  for (const f of files) {
    const text = readFileSync(`${golden}/${f}`, "utf8");
    const raw: unknown = JSON.parse(text);
    for (const one of Array.isArray(raw) ? raw : [raw]) {
      const m = parse(JSON.stringify(one));
      assert(m !== null, `${f}: type unknown to the room`);
      assert.equal(m.type, typeof one === "object" && one !== null && "type" in one ? one.type : "", f);
    }
  }
});

test("a welcome says who one is", () => {
  const m = parse('{"type":"welcome","self":{"participant":"p1","role":"patient","name":"Salma Idris","language":"ar","host":false,"state":"lobby"},"epoch":4,"heartbeat_ms":2500}');
  assert.deepEqual(m, {
    type: "welcome", self: { participant: "p1", role: "patient", name: "Salma Idris", language: "ar", host: false, state: "lobby" }, epoch: 4, heartbeat_ms: 2500,
  });
});

test("what Go leaves out or writes as null has a default", () => {
  assert.deepEqual(parse('{"type":"lobby","waiting":null}'), { type: "lobby", waiting: [] });
  assert.deepEqual(parse('{"type":"channels","epoch":1,"mode":"consecutive","channels":[{"tag":"ar","state":"waiting","interpreters":null,"source":""}],"listening":""}'), {
    type: "channels", epoch: 1, mode: "consecutive", proposed: "", listening: "floor", paused: [],
    channels: [{ tag: "ar", state: "waiting", interpreters: [], source: "direct", via: "" }],
  });
});

test("an unknown type is left to newer rooms", () => {
  assert.equal(parse('{"type":"weather","sun":true}'), null);
});

test("a malformed message is refused", () => {
  for (const bad of [
    "", "[]", "7", "{", '{"kind":"welcome"}', '{"type":"welcome"}', '{"type":"welcome","self":{"participant":1},"epoch":0}',
    '{"type":"admitted","media":{"booth":{"url":"u","token":"t"}}}', '{"type":"channels","epoch":"1","mode":"simultaneous"}',
    '{"type":"channels","epoch":1,"mode":"loud","channels":[]}', '{"type":"roster","people":[{"participant":"p"}]}',
    '{"type":"notice","code":"x","level":"scream"}', '{"type":"roster","people":{}}',
  ]) {
    assert.throws(() => parse(bad), WireError, bad);
  }
});

test("what the room says has the shape of the golden commands", () => {
  const examples = new Map<string, ReadonlySet<string>>();
  for (const line of readFileSync("../../sessions/testdata/commands.jsonl", "utf8").split("\n")) {
    if (line.trim() === "") continue;
    const raw: unknown = JSON.parse(line);
    assert(typeof raw === "object" && raw !== null && "type" in raw && typeof raw.type === "string");
    examples.set(raw.type, new Set(Object.keys(raw)));
  }
  const p = "01990000-0000-7000-8000-000000000002";
  const one: { readonly [T in Command["type"]]: Command & { type: T } } = {
    "lobby.check": { type: "lobby.check", audio: true, video: true, network: "good" },
    "place.confirm": { type: "place.confirm", place: "KE" },
    admit: { type: "admit", participant: p }, decline: { type: "decline", participant: p }, remove: { type: "remove", participant: p },
    back_to_lobby: { type: "back_to_lobby", participant: p },
    "ticket.renew": { type: "ticket.renew" }, leave: { type: "leave" }, end: { type: "end" }, ping: { type: "ping" },
    "listen.set": { type: "listen.set", tag: "ar" }, "spoken.set": { type: "spoken.set", tag: "en" },
    go_live: { type: "go_live", expect_epoch: 1 }, stop: { type: "stop", expect_epoch: 1 },
    "input.set": { type: "input.set", tag: "en", expect_epoch: 1 }, speech: { type: "speech", on: true },
    "direction.set": { type: "direction.set", out: "en", expect_epoch: 1 },
    "mode.propose": { type: "mode.propose", mode: "consecutive", expect_epoch: 1 }, "mode.confirm": { type: "mode.confirm", mode: "consecutive", expect_epoch: 1 },
    "handover.offer": { type: "handover.offer", to: p, expect_epoch: 1 }, "handover.request": { type: "handover.request", expect_epoch: 1 },
    "handover.accept": { type: "handover.accept", expect_epoch: 1 }, "handover.decline": { type: "handover.decline", expect_epoch: 1 },
    "handover.cancel": { type: "handover.cancel", expect_epoch: 1 }, "handover.switch": { type: "handover.switch", expect_epoch: 1 },
    mute: { type: "mute", muted: true }, cough: { type: "cough", on: true }, "chat.say": { type: "chat.say", room: "main", text: "x" },
    hand: { type: "hand", raised: true }, signal: { type: "signal", kind: "repeat" },
  };
  for (const command of Object.values(one)) {
    const known = examples.get(command.type);
    assert(known !== undefined, `${command.type} is unknown to the server`);
    for (const key of Object.keys(command)) assert(known.has(key), `${command.type}.${key} is unknown to the server`);
  }
});
