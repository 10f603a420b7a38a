// The Mercure hub as its library documents it: an HTTP handler in Go's own server, without Caddy before it,
// so that nothing but the hub is measured. With a file it keeps history in Bolt, its own persistent store.
//
//	mercure ADDRESS HEARTBEAT [BOLT_FILE]
package main

import (
	"context"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/dunglas/mercure"
)

func main() {
	heartbeat, err := time.ParseDuration(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError}))
	subscribers := mercure.NewSubscriberList(mercure.DefaultSubscriberListCacheSize)
	var transport mercure.Transport = mercure.NewLocalTransport(subscribers)
	if len(os.Args) > 3 {
		bolt, err := mercure.NewBoltTransport(subscribers, quiet, os.Args[3], "", 0, mercure.BoltDefaultCleanupFrequency)
		if err != nil {
			log.Fatal(err)
		}
		transport = bolt
	}
	key := []byte("a-key-of-the-benchmark-32-bytes!")
	hub, err := mercure.NewHub(context.Background(), mercure.WithLogger(quiet), mercure.WithAnonymous(),
		mercure.WithTransport(transport), mercure.WithHeartbeat(heartbeat), mercure.WithWriteTimeout(0),
		mercure.WithPublisherJWT(key, "HS256"), mercure.WithSubscriberJWT(key, "HS256"))
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/.well-known/mercure", hub)
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
