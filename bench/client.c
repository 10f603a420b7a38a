/* A load client for event streams: opens many connections, reads as fast as it can, counts frames.
 *
 *   client [-s] [-m] [-z] [-i MS] HOST PORT[,PORT...] N TOKEN PATH [PATH ...]
 *
 *   -s     every connection stalls: it reads the head of its answer and then nothing more
 *   -m     count marked events, and how old they are: each carries once, in its payload,
 *          "~" and 20 digits, the nanoseconds of CLOCK_MONOTONIC when it was published
 *   -z     ask for gzip; nothing is decompressed, so only the bytes count
 *   -i MS  how often to report, 50 ms unless told
 *
 * The connections take the ports and the paths in turn; a TOKEN of "-" is none. The reports are JSON lines on standard
 * output:
 *   {"connected": n, "closed": n, "frames": n, "bytes": n}
 * and with -m also "latency": [p50, p99, p99.9, most], in microseconds, since the last "r" on standard
 * input. A frame is counted where two line feeds meet, which happens once in each; with -m it is the
 * marks that are counted, so that heartbeats and comments don't count. Reading stops at the end of
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

enum { BUFFER = 1 << 18, AT_ONCE = 64, MAX_EVENTS = 1024, MAX_PORTS = 16, MARK = '~', DIGITS = 20 };

/* A logarithmic histogram of nanoseconds: 32 steps for each power of two, so within 3 %. */
enum { STEP_BITS = 5, STEPS = 1 << STEP_BITS, CLASSES = 64 * STEPS };
static uint64_t ages[CLASSES], aged, oldest;

struct connection {
    int fd;
    char last;      /* the last byte read, for a pair that is split over two reads */
    char is_open;   /* the head of the answer was seen */
};

static uint64_t frames, bytes;
static const char *coding = "";
static int connected, closed_count, stalls, marked, interval_ms = 50;
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
    char request[8192], authorization[1024] = "";
    if (strcmp(token, "-") != 0)
        snprintf(authorization, sizeof authorization, "Authorization: Bearer %s\r\n", token);
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n%s%s\r\n",
                          path, host, coding, authorization);
    if (write(fd, request, length) != length) die("write");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void note_age(uint64_t age) {
    int class = age < STEPS ? (int)age : 0;
    if (age >= STEPS) {
        int power = 63 - __builtin_clzll(age);
        class = (power - STEP_BITS + 1) * STEPS + (int)(age >> (power - STEP_BITS)) % STEPS;
    }
    ages[class]++;
    aged++;
    if (age > oldest) oldest = age;
}

/* The lower end of a class of the histogram, in nanoseconds. */
static uint64_t age_of(int class) {
    if (class < STEPS) return class;
    int power = class / STEPS + STEP_BITS - 1;
    return (1ull << power) + ((uint64_t)(class % STEPS) << (power - STEP_BITS));
}

static double quantile_us(double part) {
    uint64_t seen = 0;
    for (int class = 0; class < CLASSES; class++) {
        seen += ages[class];
        if (seen > 0 && seen >= part * aged) return age_of(class) / 1e3;
    }
    return 0;
}

static uint64_t nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* How old the first event of what was read is: of a burst, the one that waited longest. */
static void age(const char *data, ssize_t length) {
    const char *mark = memchr(data, MARK, length);
    if (mark == NULL || data + length - mark <= DIGITS) return;
    uint64_t published = 0;
    for (int i = 1; i <= DIGITS; i++) {
        if (mark[i] < '0' || mark[i] > '9') return;
        published = published * 10 + (mark[i] - '0');
    }
    uint64_t received = nanoseconds();
    if (published > 0 && received > published) note_age(received - published);
}

static void count_marks(const char *data, ssize_t length) {
    uint64_t found = 0;
    for (ssize_t i = 0; i < length; i++) found += data[i] == MARK;
    frames += found;
    bytes += length;
    if (found > 0) age(data, length);
}

static void count(struct connection *c, const char *data, ssize_t length) {
    if (marked) {
        count_marks(data, length);
        return;
    }
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
    printf("{\"connected\": %d, \"closed\": %d, \"frames\": %llu, \"bytes\": %llu", connected, closed_count,
           (unsigned long long)frames, (unsigned long long)bytes);
    if (marked)
        printf(", \"latency\": [%.1f, %.1f, %.1f, %.1f]", quantile_us(0.5), quantile_us(0.99),
               quantile_us(0.999), oldest / 1e3);
    printf("}\n");
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

/* Reads what is asked on standard input; whether to go on. */
static int heed(void) {
    struct pollfd input = {.fd = 0, .events = POLLIN};
    char asked;
    while (poll(&input, 1, 0) > 0) {
        if (read(0, &asked, 1) <= 0) return 0;
        if (asked != 'r') continue;
        memset(ages, 0, sizeof ages);
        aged = oldest = 0;
    }
    return 1;
}

static void allow_many_files(void) {
    struct rlimit files = {1 << 20, 1 << 20};
    if (setrlimit(RLIMIT_NOFILE, &files) < 0 && getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

int main(int argc, char **argv) {
    for (int option; (option = getopt(argc, argv, "smzi:")) != -1;) {
        if (option == 's') stalls = 1;
        if (option == 'm') marked = 1;
        if (option == 'z') coding = "Accept-Encoding: gzip\r\n";
        if (option == 'i') interval_ms = atoi(optarg);
    }
    argc -= optind - 1;
    argv += optind - 1;
    if (argc < 6) {
        fprintf(stderr, "usage: client [-s] [-m] [-z] [-i MS] HOST PORT[,PORT...] N TOKEN PATH [PATH ...]\n");
        return 2;
    }
    allow_many_files();
    int number = atoi(argv[3]), paths = argc - 5;
    struct sockaddr_in address = {.sin_family = AF_INET};
    inet_pton(AF_INET, argv[1], &address.sin_addr);
    int ports[MAX_PORTS], port_count = 0;
    for (char *port = strtok(argv[2], ","); port && port_count < MAX_PORTS; port = strtok(NULL, ","))
        ports[port_count++] = atoi(port);
    struct connection *all = calloc(number, sizeof *all);
    int epoll = epoll_create1(0), started = 0;
    double next = now();
    do {
        /* A bounded number on the way at once: the server's backlog is not what is measured. */
        while (started < number && started - connected - closed_count < AT_ONCE) {
            struct connection *c = &all[started];
            address.sin_port = htons(ports[started % port_count]);
            c->fd = start(&address, argv[1], argv[5 + started % paths], argv[4]);
            struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
            epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
            started++;
        }
        turn(epoll, interval_ms < 20 ? interval_ms : 20);
        if (now() < next) continue;
        report();
        next = now() + interval_ms / 1e3;
    } while (heed());
    report();
    return 0;
}
