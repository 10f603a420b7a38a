/* A load client for requests: repeats one request over kept connections and times the answers.
 *
 *   poster HOST PORT CONNECTIONS RATE SECONDS [again] < request
 *
 * With a RATE the requests are due at fixed times, and an answer's time counts from when its request was
 * due: a server that stands still is charged for those that had to wait ("coordinated omission"). With a
 * RATE of 0 each connection sends its next request when it has its answer. With `again`, a connection that the
 * server closes is made again, as an attacker would. At the end, one JSON line:
 *   {"requests": n, "refused": n, "seconds": s, "latency_ms": [p50, p99, p99.9, most]}
 * Build: cc -O3 -o poster poster.c -lm
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST = 1 << 20, ANSWER = 1 << 16, MOST = 1 << 22, EVENTS = 256 };

struct connection {
    int fd, busy, length;
    double due;
    char answer[ANSWER];
};

static char request[REQUEST];
static double times[MOST];
static int request_length, count, refused, again, epoll;
static struct sockaddr_in address = {.sin_family = AF_INET};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void open_one(struct connection *c) {
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
}

/* Takes the place of a connection that the server has closed. */
static void close_one(struct connection *c) {
    if (!again) die("the server closed a connection");
    if (c->busy && count < MOST) {
        refused++;
        times[count++] = now() - c->due;
    }
    close(c->fd);
    c->length = c->busy = 0;
    open_one(c);
}

static void post(struct connection *c, double due) {
    c->busy = 1;
    c->due = due;
    ssize_t written = write(c->fd, request, request_length);
    if (written < 0) close_one(c);
    else if (written != request_length && !again) die("write");
}

/* The length of the answer that begins the buffer, or 0 while it isn't whole. */
static int whole(struct connection *c) {
    c->answer[c->length] = 0;
    char *end = strstr(c->answer, "\r\n\r\n");
    if (end == NULL) return 0;
    char *field = strcasestr(c->answer, "\r\ncontent-length:");
    int length = end + 4 - c->answer + (field != NULL && field < end ? atoi(field + 17) : 0);
    return c->length >= length ? length : 0;
}

static void take(struct connection *c) {
    ssize_t got = read(c->fd, c->answer + c->length, ANSWER - 1 - c->length);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        close_one(c);
        return;
    }
    c->length += got;
    if (whole(c) == 0) return;
    if (c->answer[9] != '2') {
        if (refused++ == 0) fprintf(stderr, "%.400s\n", c->answer);
    }
    if (count < MOST) times[count++] = now() - c->due;
    c->length = 0;
    c->busy = 0;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double share(double part) {
    int place = count * part;
    return count ? times[place < count ? place : count - 1] * 1e3 : 0;
}

int main(int argc, char **argv) {
    if (argc != 6 && argc != 7) return 2;
    int number = atoi(argv[3]), next = 0;
    again = argc == 7;
    epoll = epoll_create1(0);
    signal(SIGPIPE, SIG_IGN);
    double rate = atof(argv[4]), seconds = atof(argv[5]);
    request_length = fread(request, 1, REQUEST, stdin);
    address.sin_port = htons(atoi(argv[2]));
    inet_pton(AF_INET, argv[1], &address.sin_addr);
    struct connection *all = calloc(number, sizeof *all);
    for (int i = 0; i < number; i++) open_one(&all[i]);
    double begin = now(), due = begin, end = begin + seconds;
    int busy = 0;
    for (;;) {
        double moment = now();
        busy = 0;
        for (int i = 0; i < number; i++) {
            struct connection *c = &all[(next + i) % number];
            if (!c->busy && moment < end && (rate == 0 || due <= moment)) {
                post(c, rate == 0 ? moment : due);
                if (rate != 0) due += 1 / rate;
            }
            busy += c->busy;
        }
        next = (next + 1) % number;
        if (moment >= end && busy == 0) break;
        if (moment >= end + 30) die("answers are missing");
        int wait = rate == 0 || moment >= end ? 1000 : (int)((due - moment) * 1e3);
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(epoll, events, EVENTS, wait < 0 ? 0 : wait > 1000 ? 1000 : wait);
        for (int i = 0; i < ready; i++) take(events[i].data.ptr);
    }
    seconds = now() - begin;
    qsort(times, count, sizeof *times, ascending);
    printf("{\"requests\": %d, \"refused\": %d, \"seconds\": %.3f, \"latency_ms\": [%.3f, %.3f, %.3f, %.3f]}\n",
           count, refused, seconds, share(0.5), share(0.99), share(0.999), share(1));
    return 0;
}
