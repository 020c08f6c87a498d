// Bundles the browser code into ../static/dist, which the Go binary embeds.
// Chunks carry the hash of their content; entries get theirs from the server.
import { build } from "esbuild";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { fileURLToPath } from "node:url";
import { dirname, join } from "node:path";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "../static/dist");

const entries = {
  app: "src/app.ts",
  passkey: "src/passkey.ts",
  hours: "src/hours.ts",
  room: "src/room/main.ts",
};

// Tests run on Node: node build.mjs --tests && node --test .tests/
if (process.argv.includes("--tests")) {
  const tests = readdirSync(join(here, "src"), { recursive: true }).filter((name) => name.endsWith(".test.ts"));
  rmSync(join(here, ".tests"), { recursive: true, force: true });
  await build({
    absWorkingDir: here, entryPoints: tests.map((name) => join("src", name)), outdir: ".tests", bundle: true, format: "esm",
    platform: "node", target: ["node20"], packages: "external", sourcemap: "inline", logLevel: "warning",
    outExtension: { ".js": ".mjs" },
  });
  process.exit(0);
}

for (const name of readdirSync(dist)) {
  if (name !== ".keep") rmSync(join(dist, name), { recursive: true });
}

const result = await build({
  absWorkingDir: here,
  entryPoints: Object.fromEntries(Object.entries(entries).filter(([, path]) => existsSync(join(here, path)))),
  outdir: dist,
  bundle: true,
  splitting: true,
  format: "esm",
  target: ["es2022"],
  minify: true,
  sourcemap: false,
  legalComments: "none",
  chunkNames: "chunk-[hash]",
  entryNames: "[name]",
  metafile: true,
  write: true,
  logLevel: "warning",
});

const { readFileSync } = await import("node:fs");
for (const path of Object.keys(result.metafile.outputs).sort()) {
  const body = readFileSync(join(here, path));
  console.log(`${String(gzipSync(body).length).padStart(8)} bytes gzip  ${path}`);
}
