// LiveKit's own server on loopback, for a story that is played on it instead of the engine
// in the binary. Its program is the one that the tests of sfu/livekit build.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./stage.ts";

const program = process.env["CONSILIUM_LIVEKIT_SERVER"]
  ?? join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "consilium/livekit-server-v1.13.5/server");
const key = "cluster";
const secret = "a-secret-of-the-cluster-of-32-characters-or-more";

/** Starts the server, calls play with the settings that move the media to it, and ends it. */
export async function onCluster<T>(play: (settings: Readonly<Record<string, string>>) => Promise<T>): Promise<T> {
  if (!existsSync(program)) throw new Error(`no livekit-server at ${program}: set CONSILIUM_LIVEKIT_SERVER, or build it by go test -tags promise -run TestResumeContract ./sfu/livekit`);
  const dir = mkdtempSync(join(tmpdir(), "consilium-cluster-"));
  const ports = [await freePort(), await freePort(), await freePort(), await freePort()];
  const config = join(dir, "livekit.yaml");
  writeFileSync(config, `port: ${ports[0]}
bind_addresses: ["127.0.0.1"]
keys: {${key}: "${secret}"}
room: {auto_create: false}
logging: {level: warn}
rtc: {udp_port: ${ports[1]}, tcp_port: ${ports[2]}, use_external_ip: false, use_mdns: false, enable_loopback_candidate: true,
  stun_servers: ["127.0.0.1:${ports[3]}"], interfaces: {includes: ["lo"]}, ips: {includes: ["127.0.0.1/32"]}}
`);
  const log = openSync(join(dir, "log"), "a");
  const server = spawn(program, ["--config", config], { stdio: ["ignore", log, log] });
  closeSync(log);
  try {
    await answers(server, `http://127.0.0.1:${ports[0]}/`, join(dir, "log"));
    return await play({ MEDIA_URL: `ws://127.0.0.1:${ports[0]}`, CONSILIUM_MEDIA_KEY: key, CONSILIUM_MEDIA_SECRET: secret });
  } finally {
    server.kill("SIGKILL"); // asked kindly it waits for participants that are gone
    if (server.exitCode === null && server.signalCode === null) await once(server, "exit");
    rmSync(dir, { recursive: true, force: true });
  }
}

async function answers(server: ChildProcess, address: string, log: string): Promise<void> {
  const limit = Date.now() + 60_000;
  while (!(await fetch(address).then((r) => r.ok, () => false))) {
    if (server.exitCode !== null) throw new Error(`livekit-server ended with ${server.exitCode}: ${readFileSync(log, "utf8")}`);
    if (Date.now() > limit) throw new Error("livekit-server does not answer");
  }
}
