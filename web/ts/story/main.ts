// The stories that the browser tests play. Each is whole: one demonstration, the
// people in it, from the first click to the proof. Names as arguments play only those.
import { mainJob } from "./mainjob.ts";
import { everyPage } from "./pages.ts";

const stories = { mainJob, everyPage };
const wanted = process.argv.slice(2);

let passed = 0;
let failed = 0;
for (const [name, play] of Object.entries(stories)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  console.log(`story ${name}`);
  const counts = await play();
  passed += counts.passed;
  failed += counts.failed;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
