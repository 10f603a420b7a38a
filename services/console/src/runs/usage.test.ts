import { expect, it } from "vitest";
import { compact, dollars, tokensOf, usageText } from "./usage";

const usage = {
  by_model: {},
  requests: 4,
  input_tokens: 16,
  output_tokens: 180,
  cache_read_tokens: 76_200,
  cache_write_tokens: 2_100,
  reasoning_tokens: 0,
};

it("says tokens and money in few characters", () => {
  expect([999, 1_000, 12_440, 250_400, 1_340_000].map(compact)).toEqual(["999", "1k", "12.4k", "250k", "1.3M"]);
  expect([0, 0.0004, 0.0421, 1.2, 340.4].map(dollars)).toEqual(["$0", "<$0.001", "$0.042", "$1.20", "$340"]);
});

it("says what a run used, and that a cost is an estimate", () => {
  expect(usageText(null)).toBeNull();
  expect(usageText({ ...usage, cost_usd: 0.0421, cost_by: "agent" })).toBe("78.5k tokens · $0.042");
  expect(usageText({ ...usage, cost_usd: 0.0421, cost_by: "estimate" })).toBe("78.5k tokens · ~$0.042");
  expect(usageText({ ...usage, cost_usd: null })).toBe("78.5k tokens");
});

it("counts reasoning once, as the part of the output that it is", () => {
  expect(tokensOf({ ...usage, cost_usd: null, reasoning_tokens: 150 })).toBe(16 + 180 + 76_200 + 2_100);
});
