// Signing in, adding a passkey, signing a document: the ceremonies between the page,
// the browser's passkeys (or the demonstration key) and the server.
import * as demokey from "./demokey.ts";

type Say = (what: "working" | "failed" | "canceled" | "unsupported", detail?: string) => void;

class ServerError extends Error {
  readonly code: string;
  constructor(text: string, code: string) {
    super(text);
    this.code = code;
  }
}

/** JSON that the server promises; its parts are checked where they are used. */
async function post(path: string, body: object): Promise<Record<string, unknown>> {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify(body),
  });
  const value: unknown = await answer.json();
  const record = typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  if (!answer.ok) {
    if (answer.status === 401 && typeof record["to"] === "string") location.assign(record["to"]);
    throw new ServerError(text(record["error"]), text(record["code"]));
  }
  return record;
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** unwrap takes options with or without the outer {"publicKey": …}. */
function unwrap<T extends { challenge: string }>(options: unknown): T {
  const outer = options as { publicKey?: T } & T;
  return outer.publicKey ?? outer;
}

function supported(): boolean {
  return "credentials" in navigator && typeof PublicKeyCredential === "function" && "parseRequestOptionsFromJSON" in PublicKeyCredential;
}

async function assertWithPasskey(options: PublicKeyCredentialRequestOptionsJSON): Promise<object> {
  if (!supported()) throw new DOMException("no passkeys", "NotSupportedError");
  const credential = await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
  if (!(credential instanceof PublicKeyCredential)) throw new DOMException("no credential", "NotAllowedError");
  return credential.toJSON();
}

/**
 * signDocument makes an assertion with the person's own passkey, or with the
 * demonstration key of this browser where that is what the person enrolled. The
 * answer is the JSON of a PublicKeyCredential.
 */
export async function signDocument(options: unknown): Promise<object> {
  const request = unwrap<PublicKeyCredentialRequestOptionsJSON & demokey.RequestJSON>(options);
  const key = await demokey.find(request);
  if (key && request.allowCredentials?.length && (!supported() || (await demokey.only(request)))) return demokey.get(key, request);
  try {
    return await assertWithPasskey(request);
  } catch (error) {
    if (key && request.allowCredentials?.length) return demokey.get(key, request);
    throw error;
  }
}

/** confirm makes the login fresh again, which some commands ask for. */
export async function confirm(): Promise<void> {
  const begun = await post("/step-up/begin", {});
  await post("/step-up/finish", { ceremony: begun["ceremony"], response: await signDocument(begun["options"]) });
}

/** confirmed does the work, and once more after a confirmation when the server asks. */
async function confirmed<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ServerError) || error.code !== "error.step_up") throw error;
    await confirm();
    return work();
  }
}

/**
 * enroll adds a passkey of the browser or a demonstration key, to the person signed
 * in or, with a token, to the one invited. It says where to go next.
 */
export async function enroll(kind: "passkey" | "demonstration", label: string, token?: string): Promise<string> {
  const at = token === undefined ? "/profile/passkeys" : "/enroll";
  const begun = await confirmed(() => post(`${at}/begin`, token === undefined ? {} : { token }));
  let response: object;
  if (kind === "demonstration") {
    response = await demokey.create(unwrap<demokey.CreationJSON>(begun["options"]));
  } else {
    if (!supported()) throw new DOMException("no passkeys", "NotSupportedError");
    const options = PublicKeyCredential.parseCreationOptionsFromJSON(unwrap<PublicKeyCredentialCreationOptionsJSON>(begun["options"]));
    const credential = await navigator.credentials.create({ publicKey: options });
    if (!(credential instanceof PublicKeyCredential)) throw new DOMException("no credential", "NotAllowedError");
    response = credential.toJSON();
  }
  const answer = await post(`${at}/finish`, { ceremony: begun["ceremony"], response, label, ...(token === undefined ? {} : { token }) });
  return text(answer["to"]) || "/profile";
}

async function signIn(next: string): Promise<string> {
  const begun = await post("/sign-in/begin", {});
  const options = unwrap<PublicKeyCredentialRequestOptionsJSON & demokey.RequestJSON>(begun["options"]);
  const key = supported() ? undefined : await demokey.find(options);
  const response = key ? await demokey.get(key, options) : await assertWithPasskey(options);
  const answer = await post("/sign-in/finish", { ceremony: begun["ceremony"], response, next });
  return typeof answer["to"] === "string" ? answer["to"] : "/";
}

function speaker(root: HTMLElement): Say {
  const status = root.querySelector<HTMLElement>("[data-passkey-status]");
  return (what, detail) => {
    if (!status) return;
    const text = status.dataset[what] ?? "";
    status.textContent = detail ? `${detail}` : text;
    status.classList.toggle("field-error", what !== "working");
  };
}

async function attempt(say: Say, work: () => Promise<void>): Promise<void> {
  say("working");
  try {
    await work();
  } catch (error) {
    if (error instanceof ServerError) say("failed", error.message);
    else if (error instanceof DOMException && error.name === "NotAllowedError") say("canceled");
    else if (error instanceof DOMException && error.name === "NotSupportedError") say("unsupported");
    else say("failed");
  }
}

function start(): void {
  for (const root of document.querySelectorAll<HTMLElement>("[data-passkey='sign-in']")) {
    const say = speaker(root);
    root.querySelector("[data-passkey-start]")?.addEventListener("click", () => {
      void attempt(say, async () => location.assign(await signIn(root.dataset["next"] ?? "/")));
    });
  }
  for (const form of document.querySelectorAll<HTMLFormElement>("form[data-passkey='enroll']")) {
    const say = speaker(form);
    // The token of an invitation stays in the page, not in the browser's history.
    if (form.dataset["token"] !== undefined) history.replaceState(null, "", "/enroll");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const button = event.submitter instanceof HTMLButtonElement ? event.submitter.value : "passkey";
      const label = new FormData(form).get("label");
      void attempt(say, async () => {
        const to = await enroll(button === "demonstration" ? "demonstration" : "passkey", text(label), form.dataset["token"]);
        location.assign(form.dataset["next"] ?? to); // a page that asked for a key goes on
      });
    });
  }
  for (const form of document.querySelectorAll<HTMLFormElement>("form[data-passkey='confirm']")) {
    const say = speaker(form);
    let fresh = false;
    form.addEventListener(
      "submit",
      (event) => {
        if (fresh) return;
        event.preventDefault();
        event.stopPropagation();
        const button = event.submitter instanceof HTMLElement ? event.submitter : null;
        void attempt(say, async () => {
          await confirm();
          fresh = true;
          form.requestSubmit(button);
        });
      },
      { capture: true },
    );
  }
  for (const form of document.querySelectorAll<HTMLFormElement>("form[data-passkey='sign']")) {
    const say = speaker(form);
    form.addEventListener(
      "submit",
      (event) => {
        const field = form.elements.namedItem("assertion");
        if (!(field instanceof HTMLInputElement) || field.value !== "") return;
        event.preventDefault();
        event.stopPropagation();
        const button = event.submitter instanceof HTMLElement ? event.submitter : null;
        void attempt(say, async () => {
          field.value = JSON.stringify(await signDocument(JSON.parse(form.dataset["options"] ?? "{}")));
          form.requestSubmit(button);
        });
      },
      { capture: true },
    );
  }
}

start();
