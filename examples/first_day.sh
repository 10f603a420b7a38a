#!/bin/sh
# A first day with the API, with curl alone: create, label, find, compare, page, resume, export, delete.
# RUNCAST_URL and RUNCAST_TOKEN say where and who; `runcast token` prints the local server's.
set -eu

api() { # api METHOD PATH [more of curl]
    method=$1 path=$2
    shift 2
    curl --silent --show-error --fail-with-body --globoff --request "$method" \
        --header "Authorization: Bearer $RUNCAST_TOKEN" --header "Content-Type: application/json" \
        "$RUNCAST_URL$path" "$@"
}

project=first-day-curl
api POST /projects --data "{\"name\": \"First day\", \"slug\": \"$project\"}" >/dev/null

# Create two runs; number 1 and 2 stand for their ids from now on.
api POST "/projects/$project/runs" --data '{"status": "running", "input": {"temperature": 0.2}}' >/dev/null
api POST "/projects/$project/runs" --data '{"status": "running", "input": {"temperature": 0.9}}' >/dev/null

# Label them, say something, measure something.
api PATCH "/runs/1?project=$project" --data '{"labels": {"model": "small"}}' >/dev/null
api PATCH "/runs/2?project=$project" --data '{"labels": {"model": "large"}}' >/dev/null
api POST "/runs/2/logs?project=$project" --data '{"message": "hello"}' >/dev/null
api POST "/runs/2/metrics?project=$project" --data '{"metrics": {"loss": 0.5}, "step": 1}' >/dev/null

# Find one, and compare both.
echo "found: $(api GET "/projects/$project/runs?label=model=large&fields=number,status")"
echo "compared: $(api GET "/runs/compare?ids=1,2&project=$project" | tr ',' '\n' | grep -c '"member"') members differ"

# Page through all of them, one at a time.
cursor=$(api GET "/projects/$project/runs?limit=1" | sed -n 's/.*"next_cursor":"\([^"]*\)".*/\1/p')
echo "second page: $(api GET "/projects/$project/runs?limit=1&fields=number&cursor=$cursor")"

# Complete them; the stream of a run ends with it. Resume it after event 0, which is from the beginning.
api POST "/projects/$project/runs/bulk" --data '{"items": [
    {"op": "patch", "run": "1", "body": {"status": "failed"}},
    {"op": "patch", "run": "2", "body": {"status": "completed"}}]}' >/dev/null
echo "events of the second run: $(curl --silent --no-buffer --max-time 60 --globoff \
    --header "Authorization: Bearer $RUNCAST_TOKEN" --header "Last-Event-ID: 0" \
    "$RUNCAST_URL/runs/2/stream?project=$project" | grep -c '^event: ')"

# Export it, read its log, and delete it all.
echo "exported: $(api GET "/runs/2/export?project=$project&format=ndjson" | wc -l | tr -d ' ') lines"
echo "log: $(api GET "/runs/2/logs?project=$project" --header "Accept: text/plain")"
echo "deleted: $(api DELETE "/runs/1?project=$project" | grep -c '"deleted":true')"
api DELETE "/projects/$project"
