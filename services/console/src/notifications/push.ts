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
  // One of another key belongs to a server that was here before.
  await (await pushManager.getSubscription())?.unsubscribe();
  const made = await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytesOf(key) });
  const { endpoint, keys } = made.toJSON();
  return {
    endpoint: endpoint ?? "",
    keys: { p256dh: keys?.p256dh ?? "", auth: keys?.auth ?? "" },
    expirationTime: null,
  };
}

/** The bytes of base64url. */
export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  const found = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(found, (character) => character.charCodeAt(0));
}
