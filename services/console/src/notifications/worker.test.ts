import { beforeEach, expect, test, vi } from "vitest";
import code from "../../public/push-worker.js?raw";

/** The service worker as a browser would run it, with what it calls written down. */
type Handler = (event: Record<string, unknown>) => void;
const handlers: Record<string, Handler> = {};
const shown: [string, Record<string, unknown>][] = [];
const opened: string[] = [];
const calls: [string, RequestInit][] = [];
let answers = true;

beforeEach(() => {
  for (const list of [shown, opened, calls]) list.length = 0;
  answers = true;
  const self = {
    location: { origin: "https://runs.example" },
    addEventListener: (name: string, handler: Handler) => (handlers[name] = handler),
    registration: { showNotification: async (title: string, options: Record<string, unknown>) => void shown.push([title, options]) },
    clients: { matchAll: async () => [], openWindow: async (url: string) => void opened.push(url) },
  };
  const fetched = async (path: string, init: RequestInit) => {
    calls.push([path, init]);
    return { ok: answers };
  };
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- a worker is a script, and no module
  const run = new Function("self", "fetch", code) as (self: unknown, fetch: unknown) => void;
  run(self, fetched);
});

const told = {
  title: "Permission: Bash",
  body: "login",
  tag: "t",
  url: "https://inside.example/ui/runs/1",
  quiet: false,
  buttons: [{ action: "allow", title: "Allow", path: "/a/ra_x" }],
};

async function happen(name: string, event: Record<string, unknown>): Promise<void> {
  const waited: Promise<unknown>[] = [];
  handlers[name]?.({ ...event, waitUntil: (work: Promise<unknown>) => waited.push(work) });
  await Promise.all(waited);
}

const press = (action: string) =>
  happen("notificationclick", { action, notification: { data: told, close: vi.fn() } });

test("shows what was pushed, with its buttons; what replaces it makes no sound", async () => {
  await happen("push", { data: { json: () => told } });
  await happen("push", { data: { json: () => ({ ...told, quiet: true, buttons: [] }) } });
  await happen("push", { data: null });
  expect(shown.map(([title]) => title)).toEqual([told.title, told.title, "Runcast"]);
  expect(shown[0]?.[1]).toMatchObject({ tag: "t", actions: [{ action: "allow", title: "Allow" }], silent: false });
  expect(shown[1]?.[1]).toMatchObject({ silent: true, renotify: false, actions: [] });
});

test("a button posts to its link, and opens the run where that answers nothing", async () => {
  await press("allow");
  expect(calls).toEqual([["/a/ra_x", { method: "POST", credentials: "omit" }]]);
  expect(opened).toEqual([]);
  answers = false;
  await press("allow");
  expect(opened).toEqual(["https://runs.example/ui/runs/1"]);
});

test("a press on the message opens the run, by the name that this browser knows the server by", async () => {
  await press("");
  expect(calls).toEqual([]);
  expect(opened).toEqual(["https://runs.example/ui/runs/1"]);
});
