// Bytes as WebAuthn writes them: base64url without padding, and the few shapes of
// CBOR and DER that a credential needs.

export type Bytes = Uint8Array<ArrayBuffer>;

export function toBase64url(bytes: Uint8Array): string {
  let s = "";
  for (const b of bytes) s += String.fromCharCode(b);
  return btoa(s).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

export function fromBase64url(text: string): Bytes {
  const raw = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  const out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}

export function concat(...parts: readonly Uint8Array[]): Bytes {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

export function utf8(text: string): Bytes {
  return new Uint8Array(new TextEncoder().encode(text));
}

/** head is the first bytes of a CBOR item (RFC 8949 §3): major type and argument. */
function head(major: number, n: number): Bytes {
  const m = major << 5;
  if (n < 24) return Uint8Array.of(m | n);
  if (n < 0x100) return Uint8Array.of(m | 24, n);
  return Uint8Array.of(m | 25, n >> 8, n & 0xff);
}

export const cbor = {
  int: (n: number): Bytes => (n >= 0 ? head(0, n) : head(1, -1 - n)),
  bytes: (b: Uint8Array): Bytes => concat(head(2, b.length), b),
  text: (t: string): Bytes => {
    const b = utf8(t);
    return concat(head(3, b.length), b);
  },
  map: (entries: readonly (readonly [Uint8Array, Uint8Array])[]): Bytes => concat(head(5, entries.length), ...entries.flatMap(([k, v]) => [k, v])),
};

/** derSignature turns r||s into the ECDSA-Sig-Value of RFC 3279 that WebAuthn wants. */
export function derSignature(raw: Uint8Array): Bytes {
  const integer = (n: Uint8Array): Bytes => {
    let i = 0;
    while (i < n.length - 1 && n[i] === 0) i++;
    const body = n.slice(i);
    const padded = (body[0] ?? 0) & 0x80 ? concat(Uint8Array.of(0), body) : body;
    return concat(Uint8Array.of(0x02, padded.length), padded);
  };
  const half = raw.length / 2;
  const both = concat(integer(raw.slice(0, half)), integer(raw.slice(half)));
  return concat(Uint8Array.of(0x30, both.length), both);
}
