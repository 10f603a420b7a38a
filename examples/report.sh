#!/bin/sh
# Reports a run with steps, lines and a result with curl, and reads it back.
# RUNCAST_URL and RUNCAST_TOKEN say where and who; `runcast token` prints the local server's.
set -eu

api() { # api METHOD PATH [more of curl]
    method=$1 path=$2
    shift 2
    curl --silent --show-error --fail-with-body --request "$method" \
        --header "Authorization: Bearer $RUNCAST_TOKEN" --header "Content-Type: application/json" \
        "$RUNCAST_URL$path" "$@"
}

project=examples-shell
run="report?project=$project"
api POST /projects --data "{\"name\": \"Examples in shell\", \"slug\": \"$project\"}" >/dev/null
api POST "/projects/$project/runs" \
    --data '{"key": "report", "status": "running", "steps": ["fetch", "count"]}' >/dev/null
api POST "/runs/report/logs?project=$project" --data '{"message": "fetching 3 pages"}' >/dev/null
api POST "/runs/report/progress?project=$project" \
    --data '{"stage": "fetch", "message": "page 3 of 3", "percent": 100}' >/dev/null
api PATCH "/runs/$run" --data '{"current_step": "count"}' >/dev/null

# Whole lines of any command, a stream of them: each line is sent as it comes.
printf 'counting words\n' | sed 's/.*/{"message": "&", "level": "debug"}/' |
    api POST "/runs/report/logs?project=$project" \
        --header "Content-Type: application/x-ndjson" --upload-file - >/dev/null
api PATCH "/runs/$run" --data '{"status": "completed", "result": {"words": 1204}}' >/dev/null

echo "status: $(api GET "/runs/$run" | sed 's/.*"status":"\([a-z]*\)".*/\1/')"
api GET "/runs/report/logs?project=$project" --header "Accept: text/plain" | sed 's/^/line: /'
