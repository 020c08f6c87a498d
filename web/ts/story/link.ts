// A poor link in front of a TCP address: the command `consultbot link`, spoken to line by line.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { root } from "./stage.ts";

export class Link {
  private constructor(private readonly child: ChildProcess, private readonly answers: Interface, readonly address: string) {}

  /** Listens on a free port of loopback and passes on to an address, HOST:PORT. */
  static async open(to: string): Promise<Link> {
    const child = spawn(process.env["CONSILIUM_BOT"] ?? join(root, "bin/consultbot"), ["link", "--to", to], { stdio: ["pipe", "pipe", "inherit"] });
    const answers = createInterface({ input: child.stdout });
    const [first] = await once(answers, "line");
    const address = /^listening (.+)$/.exec(String(first))?.[1];
    if (!address) throw new Error(`consultbot link: ${String(first)}`);
    return new Link(child, answers, address);
  }

  /** Changes the link: "kbits=150 delay=60ms loss=0.1", or "" for a perfect one. */
  async become(shape: string): Promise<void> {
    await this.ask(shape);
  }

  /** Ends every connection at once; returns how many there were, and how many were ever made. */
  async cut(): Promise<{ ended: number; made: number }> {
    const told = /^cut (\d+) of (\d+)$/.exec(await this.ask("cut"));
    if (!told) throw new Error("consultbot link does not cut");
    return { ended: Number(told[1]), made: Number(told[2]) };
  }

  async close(): Promise<void> {
    this.child.stdin?.end();
    if (this.child.exitCode === null) await once(this.child, "exit");
  }

  private async ask(line: string): Promise<string> {
    const answer = once(this.answers, "line");
    this.child.stdin?.write(line + "\n");
    return String((await answer)[0]);
  }
}

/** A certificate for localhost that nobody vouches for, and its key, as files. */
export function certificate(folder: string): { cert: string; key: string } {
  const cert = join(folder, "turn.crt");
  const key = join(folder, "turn.key");
  execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
    "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert], { stdio: "ignore" });
  chmodSync(key, 0o600);
  return { cert, key };
}
