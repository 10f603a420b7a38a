import type { AnyRouter } from "@tanstack/react-router";
import { expect, it, vi } from "vitest";
import { keepPlaceOverReloads } from "./places";

it("brings a list back to its place though another isn't on the page", async () => {
  vi.useFakeTimers();
  const places = [["gone", 40], ["runs", 70], ["late", 90]];
  sessionStorage.setItem("runcast.places", JSON.stringify(["visit", places]));
  document.body.innerHTML = '<div data-place="runs"></div>';
  const router = { latestLocation: { state: { __TSR_key: "visit" }, href: "/" } };
  keepPlaceOverReloads(router as unknown as AnyRouter);
  await vi.advanceTimersByTimeAsync(200);
  expect(document.querySelector("[data-place=runs]")?.scrollTop).toBe(70);
  document.body.insertAdjacentHTML("beforeend", '<div data-place="late"></div>');
  await vi.advanceTimersByTimeAsync(200);
  expect(document.querySelector("[data-place=late]")?.scrollTop).toBe(90);
  await vi.advanceTimersByTimeAsync(11_000);
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});
