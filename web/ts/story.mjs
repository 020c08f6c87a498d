// Bundles the stories and plays those named, or all: npm run story [NAME...].
// Several may run beside each other when each has a name of its own in
// CONSILIUM_STORY_RUN; pictures and logs lie in test-results/ and that name.
import { build } from "esbuild";
import { mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, ".story", process.env.CONSILIUM_STORY_RUN ?? "run");
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
await build({
  absWorkingDir: here, entryPoints: ["story/main.ts"], outdir: out, bundle: true, format: "esm",
  platform: "node", target: ["node20"], packages: "external", sourcemap: "inline", logLevel: "warning",
  outExtension: { ".js": ".mjs" },
});
await import(pathToFileURL(join(out, "main.mjs")).href);
