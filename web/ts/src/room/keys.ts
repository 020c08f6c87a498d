// Keys of the room. They are silent in text fields and can be switched off.
export interface KeyActs {
  readonly on: () => boolean;
  readonly mic: () => void;
  readonly camera: () => void;
  readonly talk: (on: boolean) => void;
  readonly language: () => void;
  readonly hand: () => void;
  readonly help: () => void;
  readonly live: () => void;
  readonly direction: () => void;
  readonly cough: (on: boolean) => void;
}

/** A key that types or presses something where the focus is, is not ours. */
export function belongsToFocus(target: EventTarget | null, key: string): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return true;
  if (target instanceof HTMLInputElement) return !["checkbox", "radio", "range", "button"].includes(target.type) || key === " ";
  // The space bar presses a focused button and opens a summary.
  return key === " " && target.closest("button, a, summary, [role=tab]") !== null;
}

export function listenToKeys(a: KeyActs): void {
  document.addEventListener("keydown", (e) => {
    if (!a.on() || e.ctrlKey || e.altKey || e.metaKey || e.isComposing || belongsToFocus(e.target, e.key)) return;
    if (document.querySelector("dialog[open]")) return;
    const act = ((): (() => void) | null => {
      switch (e.key) {
        case "m": case "M": return a.mic;
        case "v": case "V": return a.camera;
        case "l": case "L": return a.language;
        case "h": case "H": return a.hand;
        case "g": case "G": return a.live;
        case "d": case "D": return a.direction;
        case "c": case "C": return () => a.cough(true);
        case " ": return () => a.talk(true);
        case "?": return a.help;
        default: return null;
      }
    })();
    if (!act) return;
    e.preventDefault();
    if (!e.repeat) act();
  });
  document.addEventListener("keyup", (e) => {
    if (e.key === " ") a.talk(false);
    if (e.key === "c" || e.key === "C") a.cough(false);
  });
  // A key let go elsewhere is never heard of.
  window.addEventListener("blur", () => {
    a.talk(false);
    a.cough(false);
  });
}
