// An instant near enough to count down to: the server says until when in words, the
// browser how many minutes and seconds that is. When it is over the page is read anew.

function show(el: HTMLElement, now: number): boolean {
  const left = Date.parse(el.dataset["until"] ?? "") - now;
  if (Number.isNaN(left)) return false;
  const seconds = Math.max(0, Math.ceil(left / 1000));
  el.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  return left <= 0;
}

/** countDown keeps the countdowns of the page going, if it has any. */
export function countDown(): void {
  const all = [...document.querySelectorAll<HTMLElement>("[data-until]")];
  const first = Date.now();
  const running = all.filter((el) => !show(el, first));
  if (running.length === 0) return;
  const timer = window.setInterval(() => {
    const now = Date.now();
    if (running.some((el) => show(el, now))) {
      window.clearInterval(timer);
      // A form that somebody writes in is left alone.
      if (!document.activeElement?.matches("textarea, input, select")) window.location.reload();
    }
  }, 1000);
}
