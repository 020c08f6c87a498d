// The stage of the browser stories: the real binary with a fresh demonstration, real
// browsers with fake cameras, and steps that are counted.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import AxeBuilder from "@axe-core/playwright";
import { type Browser, type BrowserContext, type CDPSession, chromium, type Page } from "playwright-core";
import type { Cast } from "./cast.ts";
import { cuttable } from "./room.ts";
import { speakTone } from "./tone.ts";

export const root = join(process.cwd(), "../..");
const shots = join(root, "web/ts/test-results", process.env["CONSILIUM_STORY_RUN"] ?? "");
const binary = process.env["CONSILIUM_BINARY"] ?? join(root, "bin/consilium");

const browserNames = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome-stable", "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium"];

const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream=fps=10,device-count=1", "--use-fake-ui-for-media-stream",
  "--allow-loopback-in-peer-connection", "--disable-features=WebRtcHideLocalIpsWithMdns", "--autoplay-policy=no-user-gesture-required",
  "--auto-select-desktop-capture-source=Entire screen", "--ignore-certificate-errors"];

export interface Look {
  /** language of the browser, which a page of nobody in particular follows */
  locale?: string;
  /** IANA zone of the browser */
  zone?: string;
  width?: number;
  height?: number;
  dark?: boolean;
  /** frequency spoken instead of the microphone */
  tone?: number;
  /** a phone with its own kind of browser: touch, small screen, what it calls itself */
  phone?: Phone;
}

export interface Phone { userAgent: string; width: number; height: number; scale: number }

/** Chromium dressed as Safari on an iPhone: size, touch and name, not WebKit itself. */
export const iPhone: Phone = {
  userAgent: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
  width: 390, height: 664, scale: 3,
};

/** What a story begins with. */
export interface Scene {
  /** whose it is, for its log file */
  name?: string;
  /** other people than the standing cast */
  cast?: Cast;
  /** what time it is when the service starts: an instant such as 2027-01-05T08:00:00Z */
  clock?: string;
  /** settings of the service beside the defaults, as its environment */
  env?: Readonly<Record<string, string>>;
}

export interface Counts { readonly passed: number; readonly failed: number }

export interface Person {
  name: string;
  context: BrowserContext;
  page: Page;
}

export class Stage {
  readonly problems: string[] = [];
  /** the program under test */
  readonly binary = binary;
  private passed = 0;
  private failed = 0;
  private readonly people: Person[] = [];

  private constructor(
    readonly address: string, readonly data: string, private readonly scene: Scene,
    private server: ChildProcess, private readonly browser: Browser,
  ) {}

  /** Starts a fresh demonstration on a free port, and a browser. */
  static async open(scene: Scene = {}): Promise<Stage> {
    const port = await freePort();
    const data = mkdtempSync("/tmp/consilium-story-");
    chmodSync(data, 0o711); // the database's own account passes through
    mkdirSync(shots, { recursive: true });
    writeFileSync(logOf(scene), "");
    if (scene.cast) writeFileSync(join(data, "people.json"), JSON.stringify(scene.cast));
    const address = `http://localhost:${port}`;
    const server = await serve(address, data, scene, scene.clock);
    const executablePath = process.env["CONSILIUM_CHROMIUM"] ?? browserNames.find((p) => existsSync(p));
    if (!executablePath) throw new Error("no Chromium found: set CONSILIUM_CHROMIUM");
    // A picture of one's own instead of the browser's moving test picture (Y4M or MJPEG).
    const camera = process.env["CONSILIUM_STORY_CAMERA"];
    const browser = await chromium.launch({ executablePath, args: camera ? [...flags, `--use-file-for-fake-video-capture=${camera}`] : flags });
    return new Stage(address, data, scene, server, browser);
  }

  /** Time goes by: the service stops and starts again with the same data at a later instant. */
  async later(clock: string): Promise<void> {
    await this.stopServer();
    this.server = await serve(this.address, this.data, this.scene, clock);
  }

  private async stopServer(): Promise<void> {
    this.server.kill("SIGTERM");
    if (this.server.exitCode === null) await once(this.server, "exit");
    if (this.server.exitCode !== 0) {
      this.failed++;
      console.log(`FAIL  the server stopped with ${this.server.exitCode}\n${readFileSync(logOf(this.scene), "utf8")}`);
    }
  }

  /** A browser of its own for somebody, with an authenticator that verifies its user. */
  async enter(name: string, look: Look = {}): Promise<Person> {
    const context = await this.browser.newContext({
      baseURL: this.address, locale: look.locale ?? "en", timezoneId: look.zone ?? "UTC",
      viewport: { width: look.phone?.width ?? look.width ?? 1280, height: look.phone?.height ?? look.height ?? 800 }, colorScheme: look.dark ? "dark" : "light",
      permissions: ["camera", "microphone"], acceptDownloads: true,
      ...(look.phone ? { userAgent: look.phone.userAgent, hasTouch: true, isMobile: true, deviceScaleFactor: look.phone.scale } : {}),
    });
    context.setDefaultTimeout(Number(process.env["CONSILIUM_STORY_PATIENCE"] ?? 60_000)); // two cores may be busy with other tests
    if (look.tone !== undefined) await speakTone(context, look.tone);
    await cuttable(context);
    const page = await context.newPage();
    const person = { name, context, page };
    this.watch(person);
    this.people.push(person);
    return person;
  }

  private watch(person: Person): void {
    person.context.on("weberror", (e) => this.problems.push(`${person.name}: ${e.error().stack ?? e.error().message}`));
    person.context.on("console", (m) => {
      // A refused answer is no fault of the page; a broken policy or script is.
      if (m.type() === "error" && /Content Security Policy|Trusted|Uncaught/.test(m.text())) this.problems.push(`${person.name}: ${m.text()}`);
    });
  }

  /** An authenticator in the page's browser: a passkey that verifies its user. */
  async authenticator(page: Page): Promise<CDPSession> {
    const session = await page.context().newCDPSession(page);
    await session.send("WebAuthn.enable");
    await session.send("WebAuthn.addVirtualAuthenticator", {
      options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
    });
    return session;
  }

  /** One step of a story. The first that fails ends the story, with pictures of what everybody saw. */
  async step(name: string, play: () => Promise<void>): Promise<void> {
    const began = Date.now();
    try {
      await play();
      this.passed++;
      console.log(`ok    ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
    } catch (e) {
      this.failed++;
      console.log(`FAIL  ${name}\n      ${e instanceof Error ? (e.stack ?? e.message) : String(e)}`);
      for (const p of this.people) {
        await this.shot(p.page, `failed-${p.name}`).catch(() => undefined);
        const room = await p.page.locator("#room").evaluate((e) => JSON.stringify({ ...e.dataset, messages: undefined }), undefined, { timeout: 500 }).catch(() => "");
        console.log(`      ${p.name} was at ${p.page.url()} ${room}`);
      }
      throw new Ended();
    }
  }

  /** A picture of the whole page, or of what the screen shows. */
  async shot(page: Page, name: string, extent: "whole" | "screen" = "whole"): Promise<void> {
    await page.screenshot({ path: join(shots, `${name.replace(/[^\w-]+/g, "-")}.png`), fullPage: extent === "whole" });
  }

  /** axe finds nothing on this page, and it does not scroll sideways. */
  async accessible(page: Page, what: string): Promise<void> {
    const found = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]).analyze();
    const told = found.violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.target.join(" ")).join("; ")}`);
    if (told.length > 0) throw new Error(`${what} at ${page.url()}: ${told.join("\n")}`);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (wide > 0) throw new Error(`${what} at ${page.url()} scrolls sideways by ${wide} px`);
  }

  /** Ends everything and returns the counts. */
  async close(): Promise<Counts> {
    if (this.problems.length > 0) {
      this.failed++;
      console.log(`FAIL  no script error and no broken policy\n      ${this.problems.join("\n      ")}`);
    } else {
      this.passed++;
    }
    await this.browser.close();
    await this.stopServer();
    if (this.failed === 0) rmSync(this.data, { recursive: true, force: true });
    return { passed: this.passed, failed: this.failed };
  }
}

/** Plays a story on a stage of its own and returns the counts. */
export async function play(scene: Scene, tell: (stage: Stage) => Promise<void>): Promise<Counts> {
  const stage = await Stage.open(scene);
  try {
    await tell(stage);
  } catch (e) {
    if (!(e instanceof Ended)) {
      await stage.close();
      throw e;
    }
  }
  return stage.close();
}

const logOf = (scene: Scene): string => join(shots, `server${scene.name ? `-${scene.name}` : ""}.log`);

/** Starts the service and waits until it answers. */
async function serve(address: string, data: string, scene: Scene, clock?: string): Promise<ChildProcess> {
  const log = openSync(logOf(scene), "a");
  const server = spawn(binary, ["demo", "--addr", new URL(address).host, "--data", join(data, "demo"),
    ...(scene.cast ? ["--cast", join(data, "people.json")] : []), ...(clock ? ["--clock", clock] : [])], { stdio: ["ignore", log, log], env: { ...process.env, ...scene.env } });
  closeSync(log);
  await serving(address, server, logOf(scene));
  return server;
}

/** A story ended at a failed step; it has been told already. */
export class Ended extends Error {}

/** A port of loopback that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}

/** Waits until the server answers, or tells that it ended. */
async function serving(address: string, server: ChildProcess, log: string): Promise<void> {
  const limit = Date.now() + 60_000;
  while (Date.now() < limit) {
    if (server.exitCode !== null) throw new Error(`the server ended with ${server.exitCode}: ${readFileSync(log, "utf8")}`);
    try {
      if ((await fetch(`${address}/readyz`)).ok) return;
    } catch {
      await new Promise((again) => setTimeout(again, 50)); // not listening yet
    }
  }
  throw new Error("the server does not answer");
}
