// The device check at the door: picture, level, speaker, connection, place.
import { attr, byId, show, text } from "./dom.ts";
import { Meter, tone } from "./meter.ts";
import { load, save, type Prefs } from "./prefs.ts";
import type { NetworkGrade } from "./wire.ts";

export interface CheckResult {
  readonly audio: boolean; //  a microphone was opened
  readonly video: boolean; //  a camera was opened and wanted
  readonly network: NetworkGrade;
  readonly place: string; //   "" when it was not asked
  readonly prefs: Prefs;
}

export class Check {
  private stream: MediaStream | null = null;
  private meter: Meter | null = null;
  private timer: ReturnType<typeof setInterval> | null = null;
  private heardFor = 0;
  private network: NetworkGrade = "fair";
  private asked = 0;
  private over = false;
  private readonly root = byId("check", HTMLElement);
  private readonly camera = byId("camera", HTMLSelectElement);
  private readonly microphone = byId("microphone", HTMLSelectElement);
  private readonly audioOnly = byId("audio-only", HTMLInputElement);
  private readonly headphones = byId("headphones", HTMLInputElement);
  private readonly video = byId("preview-video", HTMLVideoElement);

  constructor(enter: (r: CheckResult) => void) {
    const p = load();
    this.audioOnly.checked = !p.camera;
    this.headphones.checked = p.headphones;
    this.audioOnly.onchange = () => {
      save({ camera: !this.audioOnly.checked });
      void this.ask();
    };
    this.headphones.onchange = () => {
      save({ headphones: this.headphones.checked });
      void this.ask();
    };
    this.camera.onchange = () => {
      save({ videoDevice: this.camera.value });
      void this.ask();
    };
    this.microphone.onchange = () => {
      save({ audioDevice: this.microphone.value });
      void this.ask();
    };
    byId("retry", HTMLButtonElement).onclick = () => void this.ask();
    const result = byId("speaker-test", HTMLElement);
    byId("play", HTMLButtonElement).onclick = () => {
      void tone(523, 300).then(() => tone(659, 400)).then(() => show(byId("did-hear", HTMLElement), true));
    };
    const heard = (yes: boolean): void => {
      const word = byId("heard-word", HTMLElement);
      result.dataset["result"] = yes ? "heard" : "silent";
      text(word, (yes ? word.dataset["yes"] : word.dataset["no"]) ?? "");
    };
    byId("heard-yes", HTMLButtonElement).onclick = () => heard(true);
    byId("heard-no", HTMLButtonElement).onclick = () => heard(false);
    byId("enter", HTMLButtonElement).onclick = () => {
      const place = document.getElementById("place");
      if (place instanceof HTMLSelectElement && !place.reportValidity()) return;
      const done = this.result();
      this.close();
      enter(done);
    };
    navigator.mediaDevices?.addEventListener("devicechange", () => {
      if (!this.over) void this.list();
    });
    void this.ask();
    void this.test();
  }

  result(): CheckResult {
    const place = document.getElementById("place");
    return {
      audio: (this.stream?.getAudioTracks().length ?? 0) > 0, video: (this.stream?.getVideoTracks().length ?? 0) > 0 && !this.audioOnly.checked,
      network: this.network, place: place instanceof HTMLSelectElement ? place.value : "", prefs: load(),
    };
  }

  close(): void {
    this.over = true;
    this.stop();
  }

  private stop(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
    this.meter?.close();
    this.meter = null;
    for (const t of this.stream?.getTracks() ?? []) t.stop();
    this.stream = null;
    this.video.srcObject = null;
  }

  private async ask(): Promise<void> {
    const serial = ++this.asked;
    const p = load();
    const want = !this.audioOnly.checked;
    this.root.dataset["permission"] = "asking";
    this.say("asking");
    const audio: MediaTrackConstraints = {
      ...(p.audioDevice ? { deviceId: { ideal: p.audioDevice } } : {}), echoCancellation: !p.headphones, noiseSuppression: !p.headphones, autoGainControl: !p.headphones,
    };
    const video: MediaTrackConstraints = { ...(p.videoDevice ? { deviceId: { ideal: p.videoDevice } } : {}), width: 640, height: 360 };
    const [stream, problem] = await open(audio, want ? video : false);
    if (serial !== this.asked || this.over) {
      for (const t of stream?.getTracks() ?? []) t.stop();
      return;
    }
    this.stop();
    this.stream = stream;
    this.say(stream === null ? problem : "granted");
    this.root.dataset["permission"] = stream === null ? problem : "granted";
    const picture = stream?.getVideoTracks().length ? stream : null;
    this.video.srcObject = picture;
    show(this.video, picture !== null);
    show(byId("preview-none", HTMLElement), picture === null);
    if (stream?.getAudioTracks().length) this.measure(stream);
    await this.list();
  }

  private say(what: "asking" | "denied" | "none" | "granted"): void {
    show(byId("asking", HTMLElement), what === "asking");
    show(byId("denied", HTMLElement), what === "denied");
    show(byId("nodevice", HTMLElement), what === "none");
    if (what === "denied") {
      const how = byId("denied-how", HTMLElement);
      text(how, how.dataset[browser()] ?? how.dataset["other"] ?? "");
    }
  }

  private measure(stream: MediaStream): void {
    const bar = byId("level", HTMLMeterElement);
    const word = byId("level-word", HTMLElement);
    this.meter = new Meter(stream);
    this.heardFor = 0;
    this.timer = setInterval(() => {
      const level = this.meter?.level() ?? 0;
      bar.value = level;
      if (level > 0.3) this.heardFor++;
      text(word, (this.heardFor >= 3 ? word.dataset["heard"] : word.dataset["quiet"]) ?? "");
      attr(word, "data-result", this.heardFor >= 3 ? "heard" : "quiet");
    }, 100);
  }

  private async list(): Promise<void> {
    const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    fill(this.camera, all.filter((d) => d.kind === "videoinput"), this.stream?.getVideoTracks()[0]);
    fill(this.microphone, all.filter((d) => d.kind === "audioinput"), this.stream?.getAudioTracks()[0]);
  }

  /** Round trips to the server that also carries the media: the middle one of five counts. */
  private async test(): Promise<void> {
    const times: number[] = [];
    for (let i = 0; i < 5; i++) {
      const began = performance.now();
      try {
        const r = await fetch("/healthz", { cache: "no-store" });
        await r.text();
        times.push(performance.now() - began);
      } catch {
        times.push(Infinity);
      }
    }
    times.sort((a, b) => a - b);
    this.network = grade(times[2] ?? Infinity);
    const word = byId("check-network", HTMLElement);
    text(word, word.dataset[this.network] ?? "");
    this.root.dataset["network"] = this.network;
  }
}

/** Under 250 ms a conversation does not notice; over 800 ms people talk into each other. */
export function grade(ms: number): NetworkGrade {
  return ms < 250 ? "good" : ms < 800 ? "fair" : "poor";
}

/** Opens what can be opened: both, else the microphone, else nothing and why. */
async function open(audio: MediaTrackConstraints, video: MediaTrackConstraints | false): Promise<[MediaStream | null, "denied" | "none"]> {
  const media = navigator.mediaDevices;
  if (!media) return [null, "none"];
  let why: "denied" | "none" = "none";
  for (const c of video ? [{ audio, video }, { audio }, { video }] : [{ audio }]) {
    try {
      return [await media.getUserMedia(c), why];
    } catch (err) {
      if (err instanceof DOMException && err.name === "NotAllowedError") why = "denied";
    }
  }
  return [null, why];
}

function fill(select: HTMLSelectElement, devices: readonly MediaDeviceInfo[], used: MediaStreamTrack | undefined): void {
  const id = used?.getSettings().deviceId ?? "";
  select.replaceChildren(...devices.filter((d) => d.deviceId !== "").map((d) => {
    const o = document.createElement("option");
    o.value = d.deviceId;
    o.textContent = d.label;
    o.selected = d.deviceId === id;
    return o;
  }));
  select.disabled = select.options.length === 0;
}

function browser(): "chrome" | "firefox" | "safari" | "other" {
  const ua = navigator.userAgent;
  if (/Firefox\//.test(ua)) return "firefox";
  if (/Chrome\//.test(ua)) return "chrome";
  if (/Safari\//.test(ua)) return "safari";
  return "other";
}
