// Loudness of a stream, for the level bar and for the hint that somebody speaks
// while muted. One audio context serves the page.
let shared: AudioContext | null = null;

export function audioContext(): AudioContext {
  if (!shared) {
    shared = new AudioContext({ latencyHint: "interactive" });
    // A browser may hold it back until somebody touches the page.
    for (const touch of ["pointerdown", "keydown"]) document.addEventListener(touch, wakeUp, { capture: true });
  }
  wakeUp();
  return shared;
}
function wakeUp(): void {
  if (shared?.state === "suspended") void shared.resume().catch(() => undefined);
}

export class Meter {
  private readonly source: MediaStreamAudioSourceNode;
  private readonly analyser: AnalyserNode;
  private readonly samples: Float32Array<ArrayBuffer>;

  constructor(stream: MediaStream) {
    const audio = audioContext();
    this.source = audio.createMediaStreamSource(stream);
    this.analyser = audio.createAnalyser();
    this.analyser.fftSize = 1024;
    this.samples = new Float32Array(this.analyser.fftSize);
    this.source.connect(this.analyser);
  }

  /** Root mean square in dB of full scale. */
  db(): number {
    this.analyser.getFloatTimeDomainData(this.samples);
    let sum = 0;
    for (const x of this.samples) sum += x * x;
    return 10 * Math.log10(sum / this.samples.length + 1e-10);
  }

  /** The same between 0 and 1 for a bar: -60 dB is nothing, -6 dB is full. */
  level(): number {
    return Math.min(1, Math.max(0, (this.db() + 60) / 54));
  }

  close(): void {
    this.source.disconnect();
  }
}

/** A short soft tone: the speaker test, and somebody in the waiting room. */
export function tone(hertz: number, ms: number, volume = 0.12): Promise<void> {
  const audio = audioContext();
  return new Promise((done) => {
    const o = audio.createOscillator();
    const g = audio.createGain();
    const end = audio.currentTime + ms / 1000;
    o.frequency.value = hertz;
    g.gain.setValueAtTime(0, audio.currentTime);
    g.gain.linearRampToValueAtTime(volume, audio.currentTime + 0.03);
    g.gain.setValueAtTime(volume, Math.max(audio.currentTime + 0.03, end - 0.05));
    g.gain.linearRampToValueAtTime(0, end);
    o.connect(g).connect(audio.destination);
    o.onended = () => done();
    o.start();
    o.stop(end);
  });
}
