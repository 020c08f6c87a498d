// The stories that the browser tests play. Each is whole: one demonstration, the
// people in it, from the first click to the proof.
import { mainJob } from "./mainjob.ts";

process.exitCode = (await mainJob()) === 0 ? 0 : 1;
