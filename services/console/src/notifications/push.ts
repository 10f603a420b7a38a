import type { Schema } from "../session/schemas";

const WORKER = "/ui/push-worker.js";

/** Whether this browser can be told, and if not, why. */
export function whyNot(): string | null {
  if (!window.isSecureContext) return "Browsers are told over https only.";
  if (!("serviceWorker" in navigator) || !("PushManager" in window)) return "This browser takes no push messages.";
  return Notification.permission === "denied" ? "Notifications of this page are blocked in the browser." : null;
}

/** Subscribes this browser at its push service. Rejects where the person doesn't allow it. */
export async function subscribe(key: string): Promise<Schema<"Subscription">> {
  if ((await Notification.requestPermission()) !== "granted") throw new Error("The browser doesn't allow notifications.");
  await navigator.serviceWorker.register(WORKER, { scope: "/ui/" });
  const { pushManager } = await navigator.serviceWorker.ready;
  const wanted = bytesOf(key);
  const there = await pushManager.getSubscription();
  // One of another key belongs to a server that was here before. One of this key may be a target already: it stays.
  const fits = there !== null && isSame(there.options.applicationServerKey, wanted);
  if (there && !fits) await there.unsubscribe();
  const made = fits ? there : await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: wanted });
  const { endpoint, keys } = made.toJSON();
  return {
    endpoint: endpoint ?? "",
    keys: { p256dh: keys?.p256dh ?? "", auth: keys?.auth ?? "" },
    expirationTime: null,
  };
}

const PATIENCE_MS = 2000;

/** Ends this browser's subscription, so that it shows nothing more to who uses it next. Never rejects, and takes 2 s at
 * most: the push service may be away. */
export async function unsubscribe(): Promise<void> {
  if (!("serviceWorker" in navigator)) return;
  const ended = async (): Promise<void> => {
    const registration = await navigator.serviceWorker.getRegistration("/ui/");
    await (await registration?.pushManager?.getSubscription())?.unsubscribe();
  };
  const patience = new Promise<void>((done) => setTimeout(done, PATIENCE_MS));
  await Promise.race([ended().catch(() => undefined), patience]);
}

function isSame(held: ArrayBuffer | null, wanted: Uint8Array): boolean {
  const bytes = new Uint8Array(held ?? new ArrayBuffer(0));
  return bytes.length === wanted.length && bytes.every((byte, place) => byte === wanted[place]);
}

/** The bytes of base64url. */
export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  const found = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(found, (character) => character.charCodeAt(0));
}
