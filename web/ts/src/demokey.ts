// The demonstration key: a P-256 key that WebCrypto keeps in this browser and never
// gives away. It makes true WebAuthn answers, which the server checks on the ordinary
// path and enrolls as "demonstration"; only the demonstration accepts them.
import { cbor, concat, derSignature, fromBase64url, toBase64url, utf8, type Bytes } from "./bytes.ts";

/** The authenticator model by which the server knows such a key: identity.DemonstrationAAGUID. */
export const MODEL = "c0f5111a-de30-4000-8000-6b6579000001";
const aaguid = Uint8Array.from(MODEL.replaceAll("-", "").match(/../g) ?? [], (h) => Number.parseInt(h, 16));

interface Stored {
  id: string; // base64url of the credential id
  rpId: string;
  user: string; // base64url of the user handle
  key: CryptoKey;
}

const present = 0x01;
const verified = 0x04;
const attested = 0x40;

export interface CreationJSON {
  challenge: string;
  rp: { id?: string; name: string };
  user: { id: string; name: string; displayName: string };
}

export interface RequestJSON {
  challenge: string;
  rpId?: string;
  allowCredentials?: readonly { id: string }[];
}

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const r = indexedDB.open("consilium-demonstration", 1);
    r.onupgradeneeded = () => r.result.createObjectStore("key", { keyPath: "id" });
    r.onsuccess = () => resolve(r.result);
    r.onerror = () => reject(r.error ?? new Error("indexedDB"));
  });
}

function done<T>(r: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    r.onsuccess = () => resolve(r.result);
    r.onerror = () => reject(r.error ?? new Error("indexedDB"));
  });
}

async function store(mode: IDBTransactionMode): Promise<IDBObjectStore> {
  return (await open()).transaction("key", mode).objectStore("key");
}

async function hash(bytes: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

function clientData(type: "webauthn.create" | "webauthn.get", challenge: string): Bytes {
  return utf8(JSON.stringify({ type, challenge, origin: location.origin, crossOrigin: false }));
}

async function authenticatorData(rpId: string, flags: number, rest: Uint8Array): Promise<Bytes> {
  return concat(await hash(utf8(rpId)), Uint8Array.of(flags, 0, 0, 0, 0), rest);
}

/** create makes a key and answers as navigator.credentials.create would, toJSON(). */
export async function create(options: CreationJSON): Promise<object> {
  const rpId = options.rp.id ?? location.hostname;
  const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);
  const point = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey)); // 4 || x || y
  const id = crypto.getRandomValues(new Uint8Array(32));
  const cose = cbor.map([
    [cbor.int(1), cbor.int(2)], // kty: EC2
    [cbor.int(3), cbor.int(-7)], // alg: ES256
    [cbor.int(-1), cbor.int(1)], // crv: P-256
    [cbor.int(-2), cbor.bytes(point.slice(1, 33))],
    [cbor.int(-3), cbor.bytes(point.slice(33, 65))],
  ]);
  const rest = concat(aaguid, Uint8Array.of(id.length >> 8, id.length & 0xff), id, cose);
  const data = await authenticatorData(rpId, present | verified | attested, rest);
  const attestation = cbor.map([
    [cbor.text("fmt"), cbor.text("none")],
    [cbor.text("attStmt"), cbor.map([])],
    [cbor.text("authData"), cbor.bytes(data)],
  ]);
  const spki = new Uint8Array(await crypto.subtle.exportKey("spki", pair.publicKey));
  const entry: Stored = { id: toBase64url(id), rpId, user: options.user.id, key: pair.privateKey };
  await done((await store("readwrite")).put(entry));
  return {
    id: entry.id,
    rawId: entry.id,
    type: "public-key",
    authenticatorAttachment: "platform",
    clientExtensionResults: {},
    response: {
      clientDataJSON: toBase64url(clientData("webauthn.create", options.challenge)),
      authenticatorData: toBase64url(data),
      attestationObject: toBase64url(attestation),
      publicKey: toBase64url(spki),
      publicKeyAlgorithm: -7,
      transports: ["internal"],
    },
  };
}

/** find is the key of this browser that the options allow, if there is one. */
export async function find(options: RequestJSON): Promise<Stored | undefined> {
  const rpId = options.rpId ?? location.hostname;
  const all: Stored[] = await done((await store("readonly")).getAll());
  const allowed = options.allowCredentials;
  return all.find((k) => k.rpId === rpId && (!allowed?.length || allowed.some((c) => c.id === k.id)));
}

/** only tells that every credential the options allow is a key of this browser. */
export async function only(options: RequestJSON): Promise<boolean> {
  const all: Stored[] = await done((await store("readonly")).getAll());
  const allowed = options.allowCredentials ?? [];
  return allowed.length > 0 && allowed.every((c) => all.some((k) => k.id === c.id));
}

/** get signs and answers as navigator.credentials.get would, toJSON(). */
export async function get(key: Stored, options: RequestJSON): Promise<object> {
  const client = clientData("webauthn.get", options.challenge);
  const data = await authenticatorData(key.rpId, present | verified, new Uint8Array());
  const raw = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, key.key, concat(data, await hash(client)));
  return {
    id: key.id,
    rawId: key.id,
    type: "public-key",
    authenticatorAttachment: "platform",
    clientExtensionResults: {},
    response: {
      clientDataJSON: toBase64url(client),
      authenticatorData: toBase64url(data),
      signature: toBase64url(derSignature(new Uint8Array(raw))),
      userHandle: toBase64url(fromBase64url(key.user)),
    },
  };
}
