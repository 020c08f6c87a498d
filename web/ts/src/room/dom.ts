// Small helpers of the views. Nodes come from the page or from its templates; text
// is set as text, never parsed.

export function byId<T extends HTMLElement = HTMLElement>(id: string, type: new () => T): T {
  const e = document.getElementById(id);
  if (!(e instanceof type)) throw new Error(`the page has no #${id}`);
  return e;
}
export function find<T extends Element>(root: ParentNode, selector: string, type: new () => T): T {
  const e = root.querySelector(selector);
  if (!(e instanceof type)) throw new Error(`nothing fits ${selector}`);
  return e;
}
/** A copy of the one element in a template of the page. */
export function copy(id: string): HTMLElement {
  const t = byId(id, HTMLTemplateElement);
  const first = t.content.firstElementChild?.cloneNode(true);
  if (!(first instanceof HTMLElement)) throw new Error(`template #${id} is empty`);
  return first;
}
/** Sets what differs only: live regions and the layout stay quiet. */
export function text(e: Element, s: string): void {
  if (e.textContent !== s) e.textContent = s;
}
export function attr(e: Element, name: string, value: string | null): void {
  if (value === null) {
    if (e.hasAttribute(name)) e.removeAttribute(name);
  } else if (e.getAttribute(name) !== value) e.setAttribute(name, value);
}
export function show(e: HTMLElement, on: boolean): void {
  if (e.hidden === on) e.hidden = !on;
}
/** Points the icon of a button at another drawing of the same sheet. */
export function icon(root: ParentNode, name: string): void {
  const use = root.querySelector("use");
  const href = use?.getAttribute("href");
  if (!use || !href) return;
  const next = href.slice(0, href.indexOf("#") + 1) + name;
  if (next !== href) use.setAttribute("href", next);
}

/** Keeps one element a key, in the order given; elements that stay are not touched. */
export class Keyed<T> {
  private readonly held = new Map<string, HTMLElement>();
  private readonly parent: HTMLElement;
  private readonly make: (item: T) => HTMLElement;
  private readonly draw: (e: HTMLElement, item: T) => void;

  constructor(parent: HTMLElement, make: (item: T) => HTMLElement, draw: (e: HTMLElement, item: T) => void) {
    this.parent = parent;
    this.make = make;
    this.draw = draw;
  }

  update(items: readonly (readonly [key: string, item: T])[]): void {
    const wanted = new Set(items.map(([k]) => k));
    for (const [k, e] of this.held) {
      if (!wanted.has(k)) {
        e.remove();
        this.held.delete(k);
      }
    }
    let before: Element | null = null;
    for (const [k, item] of items) {
      let e = this.held.get(k);
      if (!e) {
        e = this.make(item);
        this.held.set(k, e);
        if (before) before.after(e);
        else this.parent.prepend(e);
      } else if (before ? before.nextElementSibling !== e : this.parent.firstElementChild !== e) {
        if (before) before.after(e);
        else this.parent.prepend(e);
      }
      before = e;
      this.draw(e, item);
    }
  }

  get(key: string): HTMLElement | undefined {
    return this.held.get(key);
  }
}
