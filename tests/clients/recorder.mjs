// Reports runs with the JavaScript client, as the test that starts it asks: node recorder.mjs <client> <part>

const { RuncastClient, recorded } = await import(process.argv[2]);
const client = new RuncastClient({ baseUrl: process.env.RUNCAST_URL, token: process.env.RUNCAST_TOKEN });
const warnings = [];
const record = (options = {}) =>
  client.record(process.env.PROJECT, { onWarning: (text) => warnings.push(text), ...options });
const print = (made) => console.log(JSON.stringify(made));

const circle = { name: "circle" };
circle.self = circle;
const ODD = [
  "plain", "", "\0 and \ud800", "é".repeat(100_000), 17n, NaN, Infinity, null, undefined, Symbol("s"), circle,
  { toJSON() { throw new Error("no"); } }, { get bad() { throw new Error("no"); } }, new Error("an error"),
  new Date(NaN), new Map([["a", 1]]), new Set([1]), () => 1, new Uint8Array(3), Object.create(null),
  JSON.parse('{"__proto__": {"a": 1}}'), "x".repeat(300_000), Array.from({ length: 200 }).reduce((inner) => [inner], 0),
];

const PARTS = {
  async odd() {
    const run = record({ key: "a/../b", name: "n".repeat(5_000), steps: ["one", "one", "two"], labels: { "a b": "é", n: 5 } });
    for (const value of ODD) {
      run.log(value, { payload: value, level: value, agentName: value, eventType: value });
      run.progress(value, value, { percent: value, step: value, totalSteps: value });
      run.emit(value, value);
      run.update({ labels: value, metadata: value, pr_url: value });
      run.usage(value);
      run.usage([value, { id: value, model: value, input_tokens: value, cost_usd: value }]);
      run.artifact(value, value);
    }
    print({ id: run.id, sent: await run.complete(circle), warnings });
  },
  async many() {
    const run = record({ key: "many" });
    for (let number = 0; number < 3_000; number += 1) {
      run.log(`line ${number}`);
      if (number % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
      if (number === 1_500) run.artifact("bytes", new Uint8Array(100_000), "image/png");
    }
    run.artifact("large", { text: "y".repeat(200_000) });
    print({ id: run.id, sent: await run.complete("done"), warnings });
  },
  async cancelled() {
    const run = record();
    await run.flush();
    print({ id: run.id });
    const work = new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, 60_000);
      run.signal.addEventListener("abort", () => (clearTimeout(timer), reject(run.signal.reason)));
    });
    await recorded(run, () => work).catch((error) => print({ thrown: error.name }));
  },
  async asks() {
    const run = record();
    const question = await run.ask({ title: "Which?", options: [{ id: "a", label: "A" }, { id: "b", label: "B" }] });
    await run.complete();
    print({ id: run.id, state: question.state, option: question.answer.option });
  },
  async leaves() {
    const run = record();
    run.log("the last word");
    print({ id: run.id });
  },
  async exits() {
    const run = record();
    print({ id: run.id });
    for (let number = 0; number < 600; number += 1) run.log(`line ${number}`);
    process.exit(3);
  },
  async throws() {
    const run = record();
    print({ id: run.id });
    await run.flush();
    run.log("the last word");
    setTimeout(() => { throw new Error("nobody catches me"); }, 0);
    await new Promise(() => setInterval(() => undefined, 1_000));
  },
  async signalled() {
    const run = record({ handleSignals: true });
    run.log("the last word");
    print({ id: run.id });
    setInterval(() => undefined, 1_000);
  },
  async refused() {
    const run = client.record(process.env.PROJECT, { onWarning: (text) => warnings.push(text), bufferBytes: 10_000 });
    for (let number = 0; number < 1_000; number += 1) run.log(`line ${number}`);
    const sent = await run.fail(new Error("why"));
    print({ id: run.id, sent, dropped: run.dropped, warnings });
  },
};

await PARTS[process.argv[3]]();
