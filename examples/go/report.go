// Command report reports a run with steps, lines and a result from Go, and reads it back. It needs the standard
// library alone: RUNCAST_URL and RUNCAST_TOKEN say where and who.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
)

const project = "examples-go"

// call sends one request and decodes the answer into out, unless that is nil. A status of 400 or more is an
// error with the problem's detail.
func call(method, path string, body, out any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(method, os.Getenv("RUNCAST_URL")+path, bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+os.Getenv("RUNCAST_TOKEN"))
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 400 {
		text, _ := io.ReadAll(answer.Body)
		return fmt.Errorf("%s %s: %s %s", method, path, answer.Status, text)
	}
	if out == nil {
		_, err = io.Copy(io.Discard, answer.Body)
		return err
	}
	return json.NewDecoder(answer.Body).Decode(out)
}

// follow prints the log lines of a run's stream until the run is over, and says how many events came.
func follow(run string) (int, error) {
	request, err := http.NewRequest("GET", os.Getenv("RUNCAST_URL")+"/runs/"+run+"/stream", nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+os.Getenv("RUNCAST_TOKEN"))
	request.Header.Set("Last-Event-ID", "0")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	events, kind := 0, ""
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case name == "event":
			kind = value
			events++
		case name == "data" && kind == "agent:log":
			var data struct{ Line string }
			if err := json.Unmarshal([]byte(value), &data); err != nil {
				return events, err
			}
			fmt.Println("line:", data.Line)
		}
	}
	return events, lines.Err()
}

func main() {
	type object map[string]any
	var run struct {
		ID, Status string
		Result     any
	}
	must(call("POST", "/projects", object{"name": "Examples in Go", "slug": project}, nil))
	steps := []string{"fetch", "count"}
	must(call("POST", "/projects/"+project+"/runs", object{"status": "running", "steps": steps}, &run))
	at := "/runs/" + run.ID
	must(call("POST", at+"/logs", object{"message": "fetching 3 pages"}, nil))
	must(call("POST", at+"/progress", object{"stage": "fetch", "message": "page 3 of 3", "percent": 100}, nil))
	must(call("PATCH", at, object{"current_step": "count"}, nil))
	must(call("POST", at+"/logs", object{"message": "counting words", "level": "debug"}, nil))
	must(call("PATCH", at, object{"status": "completed", "result": object{"words": 1204}}, nil))

	events, err := follow(run.ID)
	must(err)
	must(call("GET", at, nil, &run))
	fmt.Println("status:", run.Status, run.Result)
	fmt.Println("events:", events)
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
