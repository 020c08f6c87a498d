// Who hears what: every page publishes a tone of its own instead of a microphone,
// and the loudest tone in what a page plays is measured.
import type { BrowserContext, Page } from "playwright-core";

/** Makes every microphone of the context an oscillator of the given frequency, and the camera a moving picture. */
export async function speakTone(context: BrowserContext, hertz: number): Promise<void> {
  await context.addInitScript((frequency: number) => {
    if (!("mediaDevices" in navigator)) return; // not a page of ours
    const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (constraints?: MediaStreamConstraints) => {
      const out = new MediaStream();
      if (constraints?.video) {
        for (const t of (await real({ video: constraints.video })).getVideoTracks()) out.addTrack(t);
      }
      if (constraints?.audio) {
        const audio = new AudioContext();
        await audio.resume();
        const tone = audio.createOscillator();
        tone.frequency.value = frequency;
        const level = audio.createGain();
        level.gain.value = 0.4;
        const sink = audio.createMediaStreamDestination();
        tone.connect(level).connect(sink);
        tone.start();
        for (const t of sink.stream.getAudioTracks()) out.addTrack(t);
      }
      return out;
    };
  }, hertz);
}

/** What a page plays at one frequency, in decibels of full scale as set by the page (element volume included). */
export async function heard(page: Page, hertz: readonly number[]): Promise<number[]> {
  return page.evaluate(async (frequencies: readonly number[]) => {
    interface Probe { analyser: AnalyserNode; element: HTMLMediaElement; data: Float32Array<ArrayBuffer> }
    interface Listening extends Window { probes?: Map<string, Probe>; probeContext?: AudioContext }
    const w = window as Listening;
    const audio = (w.probeContext ??= new AudioContext());
    await audio.resume();
    const probes = (w.probes ??= new Map<string, Probe>());
    const live = new Set<string>();
    for (const element of document.querySelectorAll<HTMLMediaElement>("audio, video")) {
      const stream = element.srcObject;
      if (!(stream instanceof MediaStream)) continue;
      for (const track of stream.getAudioTracks()) {
        live.add(track.id);
        const known = probes.get(track.id);
        if (known) {
          known.element = element;
          continue;
        }
        const analyser = audio.createAnalyser();
        analyser.fftSize = 8192;
        analyser.smoothingTimeConstant = 0;
        audio.createMediaStreamSource(new MediaStream([track])).connect(analyser);
        probes.set(track.id, { analyser, element, data: new Float32Array(analyser.frequencyBinCount) });
      }
    }
    // The analyser needs a window of fresh samples (8192 at 48 kHz: 171 ms).
    const until = audio.currentTime + 0.35;
    await new Promise<void>((done) => {
      const look = (): void => {
        if (audio.currentTime >= until) done();
        else requestAnimationFrame(look);
      };
      look();
    });
    return frequencies.map((frequency) => {
      let sum = 0;
      for (const [id, p] of probes) {
        if (!live.has(id) || p.element.muted || p.element.paused || p.element.volume === 0) continue;
        p.analyser.getFloatFrequencyData(p.data);
        const bin = Math.round((frequency * p.analyser.fftSize) / audio.sampleRate);
        let peak = -Infinity;
        for (let i = bin - 2; i <= bin + 2; i++) peak = Math.max(peak, p.data[i] ?? -Infinity);
        sum += 10 ** (peak / 10) * p.element.volume ** 2;
      }
      return 10 * Math.log10(sum + 1e-20);
    });
  }, hertz);
}

/** Waits until the page plays what `want` accepts, or fails naming what it played. */
export async function untilHeard(
  page: Page, what: string, hertz: readonly number[], want: (db: readonly number[]) => boolean, limitMs = 45_000,
): Promise<readonly number[]> {
  const limit = Date.now() + limitMs;
  let last: readonly number[] = [];
  for (;;) {
    last = await heard(page, hertz);
    if (want(last)) return last;
    if (Date.now() > limit) {
      throw new Error(`${what}: plays ${hertz.map((h, i) => `${h} Hz at ${last[i]?.toFixed(0)} dB`).join(", ")}`);
    }
  }
}
