// What people do in the room, and what is waited for there.
import type { BrowserContext, Page } from "playwright-core";

/** Passes the device check with the place on file and goes on to the lobby, with a camera or without. */
export async function enterRoom(page: Page, camera: "camera" | "audio only" = "camera"): Promise<void> {
  await page.locator("#check[data-permission=granted]").waitFor();
  if (camera === "audio only") {
    await page.locator("#audio-only").check();
    await page.locator("#check[data-permission=granted]").waitFor();
  }
  await page.locator("#enter").click();
}

export async function waiting(page: Page): Promise<void> {
  await page.locator("#room[data-phase=lobby]").waitFor();
}

export async function live(page: Page): Promise<void> {
  await page.locator("#room[data-phase=live]").waitFor();
}

/** The host lets in everybody who waits, so many as there are. */
export async function admitAll(host: Page, many: number): Promise<void> {
  const rows = host.locator("#waiting-list li");
  for (let i = many; i > 0; i--) {
    await rows.nth(i - 1).waitFor();
    await host.locator("#waiting-list button[data-act=admit]").first().click();
    await rows.nth(i - 1).waitFor({ state: "detached" });
  }
}

/** Chooses what to hear: a channel's tag or the floor. */
export async function listenTo(page: Page, tag: string): Promise<void> {
  const tab = page.locator("#tab-language");
  if ((await tab.getAttribute("aria-selected")) !== "true") await tab.click();
  const choice = page.locator(`#channels [data-channel="${tag}"] input`);
  await choice.check();
}

/** At least n pictures of others are there and their frames grow. */
export async function moving(page: Page, n: number): Promise<void> {
  await page.waitForFunction((want: number) => {
    interface Seen extends Window { seenFrames?: Map<Element, number> }
    const w = window as Seen;
    const before = (w.seenFrames ??= new Map());
    const self = document.getElementById("room")?.dataset["participant"];
    let grown = 0;
    for (const video of document.querySelectorAll<HTMLVideoElement>("#stage video")) {
      if (video.closest<HTMLElement>("[data-participant]")?.dataset["participant"] === self) continue;
      const frames = video.getVideoPlaybackQuality().totalVideoFrames;
      const first = before.get(video);
      if (first === undefined) before.set(video, frames);
      else if (video.videoWidth > 0 && frames > first + 3) grown++;
    }
    return grown >= want;
  }, n, { polling: 200 });
}

/** Lets a test cut the page's WebSockets, as a network would. Call it before the page opens. */
export async function cuttable(context: BrowserContext): Promise<void> {
  await context.addInitScript(() => {
    const open: WebSocket[] = [];
    const Real = WebSocket;
    class Kept extends Real {
      constructor(url: string | URL, protocols?: string | string[]) {
        super(url, protocols);
        open.push(this);
      }
    }
    Object.assign(window, { WebSocket: Kept, openSockets: open });
  });
}

/** Cuts all open sockets of the page and waits until it has noticed; returns how many there were. */
export async function cutSockets(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const all = "openSockets" in window && Array.isArray(window.openSockets) ? window.openSockets : [];
    const open = all.filter((s): s is WebSocket => s instanceof WebSocket && s.readyState === WebSocket.OPEN);
    await Promise.all(open.map((s) => new Promise<void>((gone) => {
      s.addEventListener("close", () => gone());
      s.close();
    })));
    return open.length;
  });
}
