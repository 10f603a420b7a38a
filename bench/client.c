/* A load client for event streams: opens many connections, reads as fast as it can, counts frames.
 *
 *   client [-s] HOST PORT N TOKEN PATH [PATH ...]
 *
 * With -s every connection stalls: it reads the head of its answer and then nothing more.
 * The connections take the paths in turn. Every 50 ms one JSON line on standard output:
 *   {"connected": n, "closed": n, "frames": n, "bytes": n}
 * A frame is counted where two line feeds meet, which happens once in each. Reading stops at the end of
 * standard input. Build: cc -O3 -march=native -o client client.c
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 20, AT_ONCE = 64, MAX_EVENTS = 1024 };

struct connection {
    int fd;
    char last;      /* the last byte read, for a pair that is split over two reads */
    char is_open;   /* the head of the answer was seen */
};

static uint64_t frames, bytes;
static int connected, closed_count, stalls;
static char buffer[BUFFER + 1];

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static int start(struct sockaddr_in *address, const char *host, const char *path, const char *token) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) die("socket");
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)address, sizeof *address) < 0) die("connect");
    char request[4096];
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n"
                          "Authorization: Bearer %s\r\n\r\n", path, host, token);
    if (write(fd, request, length) != length) die("write");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void count(struct connection *c, const char *data, ssize_t length) {
    uint64_t found = c->last == '\n' && data[0] == '\n';
    for (ssize_t i = 1; i < length; i++) found += (data[i] == '\n') & (data[i - 1] == '\n');
    frames += found;
    bytes += length;
    c->last = data[length - 1];
}

static int drain(struct connection *c) {
    for (;;) {
        ssize_t length = read(c->fd, buffer, BUFFER);
        if (length > 0) {
            if (!c->is_open) {
                buffer[length] = 0;
                if (strncmp(buffer, "HTTP/1.1 200", 12) != 0) {
                    fprintf(stderr, "%.300s\n", buffer);
                    return -1;
                }
                c->is_open = 1;
                connected++;
            }
            count(c, buffer, length);
            if (stalls && c->is_open) return 1;
            if (length < BUFFER) return 0;
        } else if (length < 0 && errno == EAGAIN) {
            return 0;
        } else {
            return -1;
        }
    }
}

static void report(void) {
    printf("{\"connected\": %d, \"closed\": %d, \"frames\": %llu, \"bytes\": %llu}\n", connected, closed_count,
           (unsigned long long)frames, (unsigned long long)bytes);
    fflush(stdout);
}

static int turn(int epoll, int timeout_ms) {
    struct epoll_event events[MAX_EVENTS];
    int ready = epoll_wait(epoll, events, MAX_EVENTS, timeout_ms);
    for (int i = 0; i < ready; i++) {
        struct connection *c = events[i].data.ptr;
        int outcome = drain(c);
        if (outcome != 0) epoll_ctl(epoll, EPOLL_CTL_DEL, c->fd, NULL);
        if (outcome < 0) {
            close(c->fd);
            closed_count++;
        }
    }
    return ready;
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "-s") == 0) {
        stalls = 1;
        argc--;
        argv++;
    }
    if (argc < 6) {
        fprintf(stderr, "usage: client [-s] HOST PORT N TOKEN PATH [PATH ...]\n");
        return 2;
    }
    struct rlimit files = {1 << 20, 1 << 20};
    if (setrlimit(RLIMIT_NOFILE, &files) < 0 && getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    int number = atoi(argv[3]), paths = argc - 5;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &address.sin_addr);
    struct connection *all = calloc(number, sizeof *all);
    int epoll = epoll_create1(0), started = 0;
    double next = now();
    for (;;) {
        /* A bounded number on the way at once: the server's backlog is not what is measured. */
        while (started < number && started - connected - closed_count < AT_ONCE) {
            struct connection *c = &all[started];
            c->fd = start(&address, argv[1], argv[5 + started % paths], argv[4]);
            struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
            epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
            started++;
        }
        turn(epoll, 20);
        if (now() >= next) {
            report();
            next = now() + 0.05;
            struct pollfd input = {.fd = 0, .events = POLLIN};
            char byte;
            if (poll(&input, 1, 0) > 0 && read(0, &byte, 1) == 0) break;
        }
    }
    report();
    return 0;
}
