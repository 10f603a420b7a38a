import { afterEach, expect, test, vi } from "vitest";
import { bytesOf, subscribe, unsubscribe } from "./push";

const KEY = "BAEC";
afterEach(() => vi.unstubAllGlobals());

/** A browser's push manager, with a subscription of a key or none; what is done to it is written down. */
function browser(held: string | null): string[] {
  const done: string[] = [];
  const subscription = (key: string) => ({
    options: { applicationServerKey: bytesOf(key).buffer },
    unsubscribe: async () => void done.push("unsubscribed"),
    toJSON: () => ({ endpoint: `https://push.example/${key}`, keys: { p256dh: "p", auth: "a" } }),
  });
  const pushManager = {
    getSubscription: async () => (held === null ? null : subscription(held)),
    subscribe: async () => {
      done.push("subscribed");
      return subscription(KEY);
    },
  };
  const registration = { pushManager };
  const serviceWorker = {
    register: async () => registration,
    ready: Promise.resolve(registration),
    getRegistration: async () => registration,
  };
  vi.stubGlobal("Notification", { requestPermission: async () => "granted" });
  vi.stubGlobal("navigator", { serviceWorker });
  return done;
}

test("a subscription of this server's key stays, for it may be a target already", async () => {
  const kept = browser(KEY);
  expect((await subscribe(KEY)).endpoint).toBe(`https://push.example/${KEY}`);
  expect(kept).toEqual([]);
  const replaced = browser("BAED");
  await subscribe(KEY);
  expect(replaced).toEqual(["unsubscribed", "subscribed"]);
});

test("who signs out leaves no subscription behind, nor waits for one", async () => {
  const done = browser(KEY);
  await unsubscribe();
  expect(done).toEqual(["unsubscribed"]);
  vi.stubGlobal("navigator", {});
  await unsubscribe();
});
