"""OpenTelemetry in: logs and traces over OTLP/HTTP become runs, entries, usage.

`json_form` and `protobuf_form` read a body into the shapes of `wire`; `logs` and `spans` say what each record
and span means; `taking` stores it, once; `silence` ends runs of which nothing comes any more.
"""
