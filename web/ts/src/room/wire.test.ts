import { strict as assert } from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { parse, WireError } from "./wire.ts";

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
    channels: [{ tag: "ar", state: "waiting", interpreters: [], source: "direct" }],
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
