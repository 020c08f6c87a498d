// The media engine against the real client of its protocol in Chromium: `consilium media`
// in a process of its own, and pages that hold nothing but livekit-client. What the Go
// client shows of the same stands in sfu/conformance_test.go.
import { type ChildProcess, spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect, createServer as createSocket, type Server as Door } from "node:net";
import { join } from "node:path";
import type * as Kit from "livekit-client";
import { type Browser, chromium, type Page } from "playwright-core";
import { type Counts, root } from "./stage.ts";
import { speakTone } from "./tone.ts";

declare const LivekitClient: typeof Kit;

const key = "protocol";
const secret = "a-secret-of-the-protocol-story-of-32-characters";
const program = process.env["CONSILIUM_BINARY"] ?? join(root, "bin/consilium");
const limitMs = Number(process.env["CONSILIUM_STORY_PATIENCE"] ?? 60_000);
const chromiums = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome-stable", "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium"];
const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
  "--use-fake-device-for-media-stream=fps=10,device-count=1", "--use-fake-ui-for-media-stream", "--allow-loopback-in-peer-connection",
  "--disable-features=WebRtcHideLocalIpsWithMdns", "--autoplay-policy=no-user-gesture-required"];

/** What a page remembers: its room, what happened in it, and its sockets. */
interface Held extends Window { room: Kit.Room; seen: string[]; sockets: WebSocket[]; keys?: Kit.ExternalE2EEKeyProvider; drawn?: MediaStreamTrack[]; silent?: number }

function token(identity: string, grant: Record<string, unknown>): string {
  const part = (v: unknown): string => Buffer.from(JSON.stringify(v)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part({ iss: key, sub: identity, nbf: now - 5, exp: now + 600, video: grant })}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

async function freePort(): Promise<number> {
  const s = createSocket().listen(0, "127.0.0.1");
  await once(s, "listening");
  const { port } = s.address() as AddressInfo;
  s.close();
  await once(s, "close");
  return port;
}

/** An engine in a process of its own. */
interface Engine { port: number; process: ChildProcess }

/** The engine behind a door, a server with one empty page, and a browser. */
class Bench {
  passed = 0;
  failed = 0;
  private constructor(readonly url: string, private readonly pages: string, private engine: Engine, private readonly door: Door, private readonly web: Server, private readonly browser: Browser) {}

  private static async start(): Promise<Engine> {
    const port = await freePort();
    const engine = spawn(program, ["media", "--addr", `127.0.0.1:${port}`, "--udp-port", "0", "--key", key, "--secret", secret],
      { stdio: ["ignore", "ignore", "inherit"], env: { PATH: process.env["PATH"], CONSILIUM_DRAIN: "1s" } });
    const until = Date.now() + limitMs;
    while (!(await fetch(`http://127.0.0.1:${port}/healthz`).then((r) => r.ok, () => false))) {
      if (Date.now() > until || engine.exitCode !== null) throw new Error("the media engine does not answer");
    }
    return { port, process: engine };
  }

  static async open(): Promise<Bench> {
    const door = createSocket((from) => {
      const to = connect(bench.engine.port, "127.0.0.1");
      for (const [a, b] of [[from, to], [to, from]] as const) a.on("error", () => b.destroy()).on("close", () => b.destroy()).pipe(b);
    }).listen(0, "127.0.0.1");
    await once(door, "listening");
    const dist = join(root, "web/ts/node_modules/livekit-client/dist");
    const scripts: Record<string, Buffer> = {
      "/kit.js": readFileSync(join(dist, "livekit-client.umd.js")), "/worker.mjs": readFileSync(join(dist, "livekit-client.e2ee.worker.mjs")),
    };
    const web = createServer((request, response) => {
      const script = scripts[request.url ?? ""];
      response.setHeader("Content-Type", script ? "text/javascript" : "text/html");
      response.end(script ?? "<!doctype html><title>client</title><script src=/kit.js></script>");
    }).listen(0, "localhost");
    await once(web, "listening");
    const executablePath = process.env["CONSILIUM_CHROMIUM"] ?? chromiums.find((p) => existsSync(p));
    if (!executablePath) throw new Error("no Chromium found: set CONSILIUM_CHROMIUM");
    const browser = await chromium.launch({ executablePath, args: flags });
    const bench = new Bench(`ws://127.0.0.1:${(door.address() as AddressInfo).port}`, `http://localhost:${(web.address() as AddressInfo).port}/`, await Bench.start(), door, web, browser);
    return bench;
  }

  /** Takes whoever comes from now on to another engine, and stops the first: it waits a second for those who talk. */
  async move(): Promise<void> {
    const first = this.engine.process;
    this.engine = await Bench.start();
    first.kill("SIGTERM");
    await once(first, "exit");
  }

  /** Whether who joins has one connection for both directions. */
  single = false;
  /** Where who joins goes to. */
  room = "";

  /** A page that has joined as somebody; with a pass, encrypted end to end. */
  async join(identity: string, hertz: number, pass?: string): Promise<Page> {
    const context = await this.browser.newContext({ permissions: ["camera", "microphone"] });
    context.setDefaultTimeout(limitMs);
    await speakTone(context, hertz);
    await context.addInitScript(() => {
      const w = window as unknown as Held;
      w.sockets = [];
      w.seen = [];
      const Real = WebSocket;
      window.WebSocket = class extends Real {
        constructor(...a: ConstructorParameters<typeof WebSocket>) {
          super(...a);
          w.sockets.push(this);
        }
      };
    });
    const page = await context.newPage();
    await page.goto(this.pages);
    const ticket = token(identity, { room: this.room, roomJoin: true, canUpdateOwnMetadata: true });
    await page.evaluate(async ({ url, ticket, pass, single }) => {
      const w = window as unknown as Held;
      const kit = LivekitClient;
      const options: Kit.RoomOptions = { singlePeerConnection: single, dynacast: true, publishDefaults: { simulcast: true, red: true, dtx: false } };
      if (pass !== undefined) {
        w.keys = new kit.ExternalE2EEKeyProvider();
        await w.keys.setKey(pass);
        options.encryption = { keyProvider: w.keys, worker: new Worker("/worker.mjs", { type: "module" }) };
      }
      const r = (w.room = new kit.Room(options));
      const say = (what: string): void => void w.seen.push(what);
      r.on(kit.RoomEvent.ParticipantConnected, (p) => say(`joined ${p.identity}`))
        .on(kit.RoomEvent.ParticipantDisconnected, (p) => say(`left ${p.identity}`))
        .on(kit.RoomEvent.TrackSubscribed, (t, _, p) => { t.attach(); say(`subscribed ${p.identity} ${t.source}`); })
        .on(kit.RoomEvent.TrackUnpublished, (t, p) => say(`unpublished ${p.identity} ${t.source}`))
        .on(kit.RoomEvent.TrackMuted, (t, p) => say(`muted ${p.identity} ${t.source}`))
        .on(kit.RoomEvent.TrackUnmuted, (t, p) => say(`unmuted ${p.identity} ${t.source}`))
        .on(kit.RoomEvent.ActiveSpeakersChanged, (list) => list.forEach((p) => say(`speaks ${p.identity}`)))
        .on(kit.RoomEvent.DataReceived, (bytes, p, _, topic) => say(`data ${p?.identity} ${topic} ${new TextDecoder().decode(bytes)}`))
        .on(kit.RoomEvent.ParticipantAttributesChanged, (changed, p) => say(`attributes ${p.identity} ${JSON.stringify(changed)}`))
        .on(kit.RoomEvent.ParticipantMetadataChanged, (_, p) => say(`metadata ${p.identity} ${p.metadata}`))
        .on(kit.RoomEvent.ParticipantNameChanged, (name, p) => say(`name ${p.identity} ${name}`))
        .on(kit.RoomEvent.ParticipantPermissionsChanged, (_, p) => say(`permissions ${p.identity} publish=${p.permissions?.canPublish}`))
        .on(kit.RoomEvent.SignalReconnecting, () => say("signal reconnecting"))
        .on(kit.RoomEvent.Reconnecting, () => say("reconnecting"))
        .on(kit.RoomEvent.Reconnected, () => say("reconnected"))
        .on(kit.RoomEvent.EncryptionError, (e, p) => say(`no key for ${p?.identity}: ${e.message}`))
        .on(kit.RoomEvent.Disconnected, (why) => say(`disconnected ${why}`));
      r.registerTextStreamHandler("chat", async (reader, from) => say(`text ${from.identity} ${await reader.readAll()}`));
      if (pass !== undefined) await r.setE2EEEnabled(true);
      await r.connect(url, ticket);
    }, { url: this.url, ticket, pass, single: this.single });
    const dialled = await page.evaluate(() => (window as unknown as Held).sockets.map((s) => new URL(s.url).pathname));
    if (dialled.join() !== (this.single ? "/rtc/v1" : "/rtc")) throw new Error(`${identity} came by ${dialled.join()}`);
    return page;
  }

  /** A call of RoomService, which must answer. */
  async service(method: string, request: Record<string, unknown>): Promise<void> {
    const answer = await fetch(`${this.url.replace("ws", "http")}/twirp/livekit.RoomService/${method}`, {
      method: "POST", headers: { "Content-Type": "application/json", Authorization: `Bearer ${token("operator", { room: this.room, roomAdmin: true })}` }, body: JSON.stringify({ room: this.room, ...request }),
    });
    if (!answer.ok) throw new Error(`${method}: ${answer.status} ${await answer.text()}`);
  }

  async step(name: string, play: () => Promise<void>): Promise<void> {
    const began = Date.now();
    try {
      await play();
      this.passed++;
      console.log(`ok    ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
    } catch (e) {
      this.failed++;
      console.log(`FAIL  ${name}\n      ${e instanceof Error ? (e.stack ?? e.message) : String(e)}`);
      throw e;
    }
  }

  async close(): Promise<void> {
    await this.browser.close();
    this.web.close();
    this.door.close();
    const { process } = this.engine;
    process.kill("SIGTERM");
    if (process.exitCode === null) await once(process, "exit");
  }
}

/** Waits until a page has seen all of these, and forgets them. */
async function sees(page: Page, ...all: string[]): Promise<void> {
  await page.waitForFunction((all) => all.every((want) => (window as unknown as Held).seen.some((s) => s.startsWith(want))), all).catch(async (e: unknown) => {
    throw new Error(`waited for ${all.join(", ")}; seen: ${(await page.evaluate(() => (window as unknown as Held).seen)).join("; ")}`, { cause: e });
  });
  await page.evaluate((all) => {
    const { seen } = window as unknown as Held;
    for (const had of all) seen.splice(seen.findIndex((s) => s.startsWith(had)), 1);
  }, all);
}

interface Inbound { width: number; frames: number; samples: number; filled: number; repeated: number }

/**
 * What arrives of somebody: the picture's width and frames, the sound's samples, and the frames of sound that came
 * once more; what the decoder filled in because nothing came is counted apart. The statistics call RED by the codec inside it; that it is RED shows in what the decoder has twice.
 */
async function inbound(page: Page, identity: string): Promise<Inbound> {
  return page.evaluate(async (identity) => {
    const out: Inbound = { width: 0, frames: 0, samples: 0, filled: 0, repeated: 0 };
    const from = (window as unknown as Held).room.remoteParticipants.get(identity);
    for (const pub of from?.trackPublications.values() ?? []) {
      const report = await pub.track?.getRTCStatsReport();
      report?.forEach((s: { type: string; kind?: string; frameWidth?: number; framesDecoded?: number; totalSamplesReceived?: number; concealedSamples?: number; packetsDiscarded?: number }) => {
        if (s.type !== "inbound-rtp") return;
        if (s.kind === "video") [out.width, out.frames] = [s.frameWidth ?? 0, s.framesDecoded ?? 0];
        if (s.kind === "audio") {
          out.filled = s.concealedSamples ?? 0;
          [out.samples, out.repeated] = [(s.totalSamplesReceived ?? 0) - out.filled, s.packetsDiscarded ?? 0];
        }
      });
    }
    return out;
  }, identity);
}

async function until(what: string, page: Page, identity: string, ok: (now: Inbound) => boolean): Promise<void> {
  const limit = Date.now() + limitMs;
  for (;;) {
    const now = await inbound(page, identity);
    if (ok(now)) return;
    if (Date.now() > limit) throw new Error(`${what}: ${JSON.stringify(now)}`);
  }
}

/** Picture and sound of somebody go on arriving. */
async function flows(page: Page, identity: string): Promise<void> {
  const before = await inbound(page, identity);
  await until(`picture and sound of ${identity}`, page, identity, (now) => (now.frames >= before.frames + 5 || now.frames < before.frames && now.frames >= 5) &&
    (now.samples >= before.samples + 24_000 || now.samples < before.samples && now.samples >= 24_000));
}

const publish = async (page: Page): Promise<void> => page.evaluate(async () => {
  const me = (window as unknown as Held).room.localParticipant;
  await me.setMicrophoneEnabled(true);
  await me.setCameraEnabled(true, { resolution: { width: 640, height: 360, frameRate: 10 } });
});

/** Measures the longest time in which no packet of alice's sound arrives, in ms; the statistics are renewed every 50 ms. */
const listen = (page: Page): Promise<void> => page.evaluate(() => {
  const w = window as unknown as Held;
  let last = performance.now(), had = -1;
  w.silent = 0;
  const look = async (): Promise<void> => {
    const track = w.room.remoteParticipants.get("alice")?.getTrackPublication(LivekitClient.Track.Source.Microphone)?.track;
    let got = -1;
    (await track?.getRTCStatsReport())?.forEach((s: { type: string; packetsReceived?: number }) => { if (s.type === "inbound-rtp") got = s.packetsReceived ?? -1; });
    const now = performance.now();
    if (got > 0 && got !== had) {
      if (had >= 0) w.silent = Math.max(w.silent ?? 0, now - last);
      [had, last] = [got, now];
    }
    setTimeout(() => void look(), 10);
  };
  void look();
});

/** Ends or begins the subscriptions to everything of alice's. */
const wishes = (page: Page, on: boolean): Promise<void> => page.evaluate((on) => {
  for (const p of (window as unknown as Held).room.remoteParticipants.get("alice")?.trackPublications.values() ?? []) (p as Kit.RemoteTrackPublication).setSubscribed(on);
}, on);

/** Publishes so many small moving pictures besides, or ends those there are. */
const more = (page: Page, n: number): Promise<void> => page.evaluate(async (n) => {
  const w = window as unknown as Held;
  const me = w.room.localParticipant;
  if (n === 0) await me.unpublishTracks((w.drawn ?? []).splice(0));
  for (let i = 0; i < n; i++) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [64, 64];
    const ink = canvas.getContext("2d");
    let turn = 0;
    setInterval(() => { if (ink) { ink.fillStyle = `hsl(${(turn += 40)} 90% 50%)`; ink.fillRect(0, 0, 64, 64); } }, 100);
    const [track] = canvas.captureStream(10).getVideoTracks();
    if (!track) throw new Error("nothing is drawn");
    (w.drawn ??= []).push(track);
    await me.publishTrack(track, { name: `drawn ${i}`, simulcast: false });
  }
}, n);

/** Waits until exactly so many pictures of alice's are there and move. */
async function moving(page: Page, n: number): Promise<void> {
  const limit = Date.now() + limitMs;
  for (;;) {
    const [there, moving] = await page.evaluate(async () => {
      let moving = 0, there = 0;
      for (const pub of (window as unknown as Held).room.remoteParticipants.get("alice")?.trackPublications.values() ?? []) {
        if (pub.kind !== LivekitClient.Track.Kind.Video) continue;
        there++;
        (await pub.track?.getRTCStatsReport())?.forEach((s: { type: string; framesDecoded?: number }) => {
          if (s.type === "inbound-rtp" && (s.framesDecoded ?? 0) >= 3) moving++;
        });
      }
      return [there, moving];
    });
    if (there === n && moving === n) return;
    if (Date.now() > limit) throw new Error(`${n} pictures are to move: ${there} are there, ${moving} move`);
  }
}

/** The connection that a page receives on. */
interface Inner { engine: { pcManager: { publisher: Transport; subscriber?: Transport } } }
interface Transport { getTransceivers(): RTCRtpTransceiver[]; getRemoteDescription(): RTCSessionDescriptionInit }

const count = (page: Page): Promise<number> => page.evaluate(() => {
  const m = ((window as unknown as Held).room as unknown as Inner).engine.pcManager;
  return (m.subscriber ?? m.publisher).getTransceivers().length;
});

/** Waits until so many sections receive, by the last answer. */
async function receiving(page: Page, n: number): Promise<void> {
  await page.waitForFunction((n) => {
    const m = ((window as unknown as Held).room as unknown as Inner).engine.pcManager;
    return (m.subscriber ?? m.publisher).getTransceivers().filter((t) => t.currentDirection?.includes("recv")).length === n;
  }, n);
}

/** The engine's ICE credentials on the connection that a page sends on. */
const credentials = (page: Page): Promise<string> => page.evaluate(() =>
  /a=ice-ufrag:(.*)/.exec(((window as unknown as Held).room as unknown as Inner).engine.pcManager.publisher.getRemoteDescription().sdp ?? "")?.[1] ?? "");

export async function protocol(): Promise<Counts> {
  const bench = await Bench.open();
  try {
    await told(bench, "two", false, false);
    await told(bench, "one", true, true);
    await told(bench, "mixed", true, false);
  } catch {
    // The step has told it.
  } finally {
    await bench.close();
  }
  return { passed: bench.passed, failed: bench.failed };
}

/** The whole of it, between two whose connections are of these forms. */
async function told(bench: Bench, name: string, first: boolean, second: boolean): Promise<void> {
  console.log(`--    ${name}: who speaks has ${first ? "one connection" : "two"}, who listens ${second ? "one" : "two"}`);
  bench.room = name;
  let alice!: Page, bob!: Page;
  await bench.step("join: both are connected and see each other", async () => {
    bench.single = first;
    alice = await bench.join("alice", 440);
    bench.single = second;
    bob = await bench.join("bob", 660);
    await sees(alice, "joined bob");
    if (!(await bob.evaluate(() => (window as unknown as Held).room.remoteParticipants.has("alice")))) throw new Error("bob does not see alice");
  });
  await bench.step("publish and subscribe: picture and sound arrive, the sound as RED", async () => {
    await publish(alice);
    await sees(bob, "subscribed alice microphone", "subscribed alice camera");
    await flows(bob, "alice");
    await until("redundancy", bob, "alice", (now) => now.repeated > 20);
  });
  await bench.step("speakers: who speaks is told", () => sees(bob, "speaks alice"));
  await bench.step("mute: it is told both ways, and sound comes back", async () => {
    await alice.evaluate(() => (window as unknown as Held).room.localParticipant.setMicrophoneEnabled(false).then(() => undefined));
    await sees(bob, "muted alice microphone");
    await alice.evaluate(() => (window as unknown as Held).room.localParticipant.setMicrophoneEnabled(true).then(() => undefined));
    await sees(bob, "unmuted alice microphone");
    await flows(bob, "alice");
  });
  await bench.step("simulcast: the receiver's wish switches the layer, down and up", async () => {
    const wish = (quality: 0 | 2): Promise<void> => bob.evaluate((q) => {
      const pub = (window as unknown as Held).room.remoteParticipants.get("alice")?.getTrackPublication(LivekitClient.Track.Source.Camera);
      (pub as Kit.RemoteTrackPublication).setVideoQuality(q);
    }, quality);
    await wish(2);
    await until("the large picture", bob, "alice", (now) => now.width === 640);
    await wish(0);
    await until("the small picture", bob, "alice", (now) => now.width > 0 && now.width < 640);
    await wish(2);
    await until("the large picture again", bob, "alice", (now) => now.width === 640);
    await flows(bob, "alice");
  });
  await bench.step("subscriptions: ended and begun again, and more than there were sections for", async () => {
    await wishes(bob, false);
    await until("the end of picture and sound", bob, "alice", (now) => now.frames === 0 && now.samples === 0);
    await wishes(bob, true);
    await flows(bob, "alice");
    await more(alice, 5);
    await moving(bob, 6);
    const sections = await count(bob);
    await more(alice, 0);
    await moving(bob, 1);
    await receiving(bob, 2);
    await more(alice, 5);
    await moving(bob, 6);
    if ((await count(bob)) >= sections + 5) throw new Error(`${sections} sections were not used again: ${await count(bob)}`);
    await more(alice, 0);
    await receiving(bob, 2);
    await flows(bob, "alice");
    await bob.evaluate(() => void (window as unknown as Held).seen.splice(0));
  });
  await bench.step("data: packets and text streams arrive with who sent them", async () => {
    await alice.evaluate(async () => {
      const me = (window as unknown as Held).room.localParticipant;
      await me.publishData(new TextEncoder().encode("hello"), { reliable: true, topic: "t" });
      await me.sendText("a text", { topic: "chat" });
    });
    await sees(bob, "data alice t hello", "text alice a text");
  });
  await bench.step("attributes, metadata and name are changed by their owner", async () => {
    await alice.evaluate(async () => {
      const me = (window as unknown as Held).room.localParticipant;
      await me.setAttributes({ hand: "up" });
      await me.setMetadata("m1");
      await me.setName("Alice");
    });
    await sees(bob, 'attributes alice {"hand":"up"}', "metadata alice m1", "name alice Alice");
  });
  await bench.step("permission: taken away the tracks end, given back they return", async () => {
    await bench.service("UpdateParticipant", { identity: "alice", permission: { can_subscribe: true, can_publish: false, can_publish_data: true } });
    await sees(alice, "permissions alice publish=false");
    await sees(bob, "unpublished alice microphone", "unpublished alice camera");
    await bench.service("UpdateParticipant", { identity: "alice", permission: { can_subscribe: true, can_publish: true, can_publish_data: true, can_update_metadata: true } });
    await sees(alice, "permissions alice publish=true");
    await publish(alice);
    await sees(bob, "subscribed alice microphone", "subscribed alice camera");
    await flows(bob, "alice");
  });
  await bench.step("resume: a dropped socket is not noticed by the others, and ICE starts anew", async () => {
    const before = await credentials(alice);
    await alice.evaluate(() => (window as unknown as Held).sockets.forEach((s) => s.close()));
    await sees(alice, "reconnected");
    await flows(bob, "alice");
    const seen = await bob.evaluate(() => (window as unknown as Held).seen.filter((s) => s.startsWith("left") || s.startsWith("unpublished")));
    if (seen.length > 0) throw new Error(`bob saw ${seen.join(", ")}`);
    if ((await credentials(alice)) === before) throw new Error("ICE did not start anew");
  });
  await bench.step("restart: told to join again, the client is back with its tracks", async () => {
    await alice.evaluate(() => (window as unknown as Held).room.simulateScenario("leave-full-reconnect"));
    await sees(bob, "left alice", "joined alice", "subscribed alice microphone", "subscribed alice camera");
    await sees(alice, "reconnected");
    await flows(bob, "alice");
  });
  await bench.step("move: when the engine is stopped for another, the call goes on there", async () => {
    await listen(bob);
    await bench.move();
    await sees(bob, "reconnected", "subscribed alice microphone", "subscribed alice camera");
    await flows(bob, "alice");
    console.log(`      ${await bob.evaluate(() => Math.round((window as unknown as Held).silent ?? 0))} ms without a packet of sound`);
  });
  await bench.step("removal: the client is told why", async () => {
    await bench.service("RemoveParticipant", { identity: "alice" });
    await sees(alice, "disconnected 4");
    await sees(bob, "left alice");
    await bob.context().close();
    await alice.context().close();
  });
  await sealed(bench, first, second);
}

/** Frames encrypted end to end: the engine passes on what it cannot read, and nobody else's key is its business. */
async function sealed(bench: Bench, first: boolean, second: boolean): Promise<void> {
  let fay!: Page, gus!: Page, hal!: Page;
  const errors = (page: Page): Promise<string[]> => page.evaluate(() => (window as unknown as Held).seen.filter((s) => s.startsWith("no key")));
  await bench.step("encryption: who has the key sees, hears and reads, and is told that it is encrypted", async () => {
    bench.single = first;
    fay = await bench.join("fay", 440, "the key");
    bench.single = second;
    gus = await bench.join("gus", 660, "the key");
    await publish(fay);
    await sees(gus, "subscribed fay microphone", "subscribed fay camera");
    await flows(gus, "fay");
    const open = await gus.evaluate(() => [...((window as unknown as Held).room.remoteParticipants.get("fay")?.trackPublications.values() ?? [])]
      .filter((p) => !p.isEncrypted || p.trackInfo?.encryption !== 1).map((p) => p.source));
    if (open.length > 0) throw new Error(`not announced as encrypted: ${open.join(", ")}`);
    await fay.evaluate(() => (window as unknown as Held).room.localParticipant.publishData(new TextEncoder().encode("sealed"), { reliable: true, topic: "t" }));
    await sees(gus, "data fay t sealed");
  });
  await bench.step("encryption: with another key nothing is seen, the client says so, and the others do not notice", async () => {
    hal = await bench.join("hal", 880, "another key");
    await sees(hal, "subscribed fay microphone", "subscribed fay camera", "no key for fay");
    await flows(gus, "fay");
    const got = await inbound(hal, "fay");
    if (got.frames > 0) throw new Error(`read with another key: ${JSON.stringify(got)}`);
  });
  await bench.step("encryption: given the key, the picture comes", async () => {
    await hal.evaluate(() => (window as unknown as Held).keys?.setKey("the key"));
    await flows(hal, "fay");
  });
  await bench.step("encryption: a pause is told from a wrong key, and sound and picture come back", async () => {
    const receive = (on: boolean): Promise<void> => gus.evaluate((on) => {
      for (const p of (window as unknown as Held).room.remoteParticipants.get("fay")?.trackPublications.values() ?? []) (p as Kit.RemoteTrackPublication).setEnabled(on);
    }, on);
    for (let i = 0; i < 3; i++) {
      await receive(false);
      const { filled } = await inbound(gus, "fay");
      await until("the pause", gus, "fay", (now) => now.filled > filled + 9600);
      await receive(true);
      await flows(gus, "fay");
    }
    const seen = await errors(gus);
    if (seen.length > 0) throw new Error(`gus saw ${seen.join("; ")}`);
  });
  // Who moves takes the camera anew, and this browser has one for all its pages: when several take it at once, some
  // have a live track without a single frame. A page that stays would move along with the next two.
  for (const page of [fay, gus, hal]) await page.context().close();
}
