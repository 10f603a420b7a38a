// What a framework in JavaScript does with the official SDK: traces as JSON, records as protobuf, both gzipped.
// Arguments: the server's URL, a reporter's key.
import { SpanStatusCode, context, trace } from "@opentelemetry/api";
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-proto";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
import { TracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace";

const [url, token] = process.argv.slice(2);
const options = { headers: { Authorization: `Bearer ${token}` }, compression: "gzip" };
const resource = resourceFromAttributes({ "service.name": "graph-js" });

const traces = new TracerProvider({
  resource,
  spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter({ ...options, url: `${url}/v1/traces` }) })],
});
const tracer = traces.getTracer("graph-js");
const root = tracer.startSpan("graph-js", { attributes: { "gen_ai.operation.name": "invoke_agent" } });
const within = trace.setSpan(context.active(), root);
const chat = tracer.startSpan(
  "chat claude-sonnet-4-5",
  {
    attributes: {
      "gen_ai.operation.name": "chat",
      "gen_ai.request.model": "claude-sonnet-4-5",
      "gen_ai.usage.input_tokens": 1000,
      "gen_ai.usage.output_tokens": 50,
    },
  },
  within,
);
chat.end();
const look = tracer.startSpan(
  "execute_tool look",
  { attributes: { "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look" } },
  within,
);
look.recordException(new Error("not there"));
look.setStatus({ code: SpanStatusCode.ERROR, message: "not there" });
look.end();
root.end();
await traces.shutdown();

const records = new LoggerProvider({
  resource,
  processors: [new BatchLogRecordProcessor({ exporter: new OTLPLogExporter({ ...options, url: `${url}/v1/logs` }) })],
});
records.getLogger("graph-js").emit({ body: "done", severityNumber: 13, eventName: "end" });
await records.shutdown();
