import { strict as assert } from "node:assert/strict";
import { test } from "node:test";
import { cbor, concat, derSignature, fromBase64url, toBase64url, utf8 } from "./bytes.ts";

const hex = (b: Uint8Array): string => [...b].map((x) => x.toString(16).padStart(2, "0")).join("");

test("base64url goes there and back without padding", () => {
  for (const [bytes, text] of [[[], ""], [[0xff], "_w"], [[0xfb, 0xef, 0xbe], "----"], [[1, 2], "AQI"]] as const) {
    assert.equal(toBase64url(Uint8Array.from(bytes)), text);
    assert.deepEqual([...fromBase64url(text)], [...bytes]);
  }
});

test("CBOR items are written as in RFC 8949, appendix A", () => {
  assert.equal(hex(cbor.int(0)), "00");
  assert.equal(hex(cbor.int(23)), "17");
  assert.equal(hex(cbor.int(24)), "1818");
  assert.equal(hex(cbor.int(1000)), "1903e8");
  assert.equal(hex(cbor.int(-7)), "26");
  assert.equal(hex(cbor.int(-100)), "3863");
  assert.equal(hex(cbor.text("ü")), "62c3bc");
  assert.equal(hex(cbor.bytes(Uint8Array.of(1, 2, 3, 4))), "4401020304");
  assert.equal(hex(cbor.map([[cbor.int(1), cbor.int(2)], [cbor.int(3), cbor.int(4)]])), "a201020304");
  assert.equal(hex(cbor.bytes(new Uint8Array(300)).slice(0, 3)), "59012c");
});

test("a signature's halves become integers: no sign bit, no leading zero", () => {
  const half = (first: number, second: number): Uint8Array => concat(Uint8Array.of(first, second), new Uint8Array(30).fill(1));
  const plain = derSignature(concat(half(0x7f, 1), half(0x7f, 1)));
  assert.equal(hex(plain.slice(0, 4)), "30440220");
  const high = derSignature(concat(half(0x80, 1), half(0x7f, 1)));
  assert.equal(hex(high.slice(0, 5)), "3045022100");
  const low = derSignature(concat(half(0, 0x7f), half(0, 0x80)));
  assert.equal(hex(low.slice(0, 5)), "3043021f7f");
  assert.equal(hex(low.slice(35, 39)), "02200080");
  const zero = derSignature(new Uint8Array(64));
  assert.equal(hex(zero), "3006020100020100");
});

test("text is UTF-8", () => {
  assert.equal(hex(utf8("é")), "c3a9");
});
