// The stories that the browser tests play. Each is whole: demonstrations of its own,
// the people in it, from the first click to the proof. Names as arguments play only those.
import { mainJob, mainJobOnLiveKit } from "./mainjob.ts";
import { a1 } from "./a1.ts";
import { a2 } from "./a2.ts";
import { a4 } from "./a4.ts";
import { a5 } from "./a5.ts";
import { a7 } from "./a7.ts";
import { a8 } from "./a8.ts";
import { a9 } from "./a9.ts";
import { hours, times } from "./hours.ts";
import { everyPage } from "./pages.ts";
import { protocol } from "./protocol.ts";
import { renewal } from "./renewal.ts";
import type { Counts } from "./stage.ts";

const stories: Record<string, () => Promise<Counts>> = { mainJob, everyPage, a1, a2, a5, a7, a8, a9, hours, protocol, renewal };
/** Played only when named: they need more than the others, or more time. */
const onRequest: Record<string, () => Promise<Counts>> = { mainJobOnLiveKit, a4, times };
const wanted = process.argv.slice(2);
const known = { ...stories, ...onRequest };
const unknown = wanted.filter((name) => !(name in known));
if (unknown.length > 0) throw new Error(`no story ${unknown.join(", ")}; there are ${Object.keys(known).join(", ")}`);

let passed = 0;
let failed = 0;
for (const [name, tell] of Object.entries(wanted.length > 0 ? known : stories)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  console.log(`story ${name}`);
  const began = Date.now();
  const counts = await tell();
  console.log(`story ${name}: ${counts.passed} passed, ${counts.failed} failed in ${((Date.now() - began) / 1000).toFixed(0)} s`);
  passed += counts.passed;
  failed += counts.failed;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
