// What every page gets: partial updates, times in the reader's words, focus on what
// went wrong. Nothing here is needed to read a page or to send a form.
import htmx from "htmx.org";
import { allowOnly } from "./trusted.ts";
import { countDown } from "./countdown.ts";
import { rewriteTimes } from "./times.ts";

htmx.config.allowEval = false;
htmx.config.allowScriptTags = false;
htmx.config.includeIndicatorStyles = false;
htmx.config.selfRequestsOnly = true;
// Pages hold clinical data: none of them is kept in the browser's storage.
htmx.config.historyCacheSize = 0;
htmx.config.refreshOnHistoryMiss = true;
htmx.config.responseHandling = [
  { code: "204", swap: false },
  { code: "[23]..", swap: true },
  { code: "422", swap: true },
  { code: "[45]..", swap: false, error: true },
];

allowOnly((expect) => {
  document.addEventListener("htmx:beforeSwap", (event) => {
    const detail: unknown = (event as CustomEvent).detail;
    if (typeof detail === "object" && detail !== null && "serverResponse" in detail && typeof detail.serverResponse === "string") {
      expect(detail.serverResponse);
    }
  });
});

function focusErrors(root: ParentNode): void {
  const summary = root.querySelector<HTMLElement>("#errors");
  if (summary) {
    summary.focus();
    summary.scrollIntoView({ block: "nearest" });
  }
}

/** ready runs when the page is parsed; module scripts run after that anyway. */
function ready(): void {
  rewriteTimes(document);
  countDown();
  focusErrors(document);
  // A link to a field's error puts the cursor there, also on a group of choices.
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest<HTMLAnchorElement>("#errors a[href^='#']") : null;
    if (!link) return;
    const field = document.getElementById(link.hash.slice(1));
    if (!field) return;
    event.preventDefault();
    const first = field.matches("fieldset") ? field.querySelector<HTMLElement>("input") : field;
    first?.focus();
  });
  // A form is sent once, however often its button is pressed.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || event.defaultPrevented || form.method !== "post" || form.target) return;
    if (form.dataset["sent"] === "yes") {
      event.preventDefault();
      return;
    }
    form.dataset["sent"] = "yes";
  });
  // Coming back by the browser's own button: the form may be sent again.
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll<HTMLFormElement>("form[data-sent]")) delete form.dataset["sent"];
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    const target = event.target instanceof Element ? event.target : document;
    rewriteTimes(target);
    focusErrors(target);
  });
}

ready();
