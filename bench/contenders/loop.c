/* The least that a server can do: for each event one loop over its subscribers, with one send each.
 *
 *   loop PORT [together]
 *
 * "GET /3,7" subscribes to the channels 3 and 7. A connection whose first bytes are no GET publishes: lines
 * of "channel payload". There is no history, no filter, no authentication, and a full socket is waited for.
 * With "together" the lines that arrived together leave in one send, to the subscribers of channel 0: that is
 * as fast as a client can be fed, and shows what the load client takes.
 * Build: cc -O3 -o loop loop.c
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHANNELS = 2048, BUFFER = 1 << 17, EVENTS = 256 };

struct channel {
    int *subscribers, count, room;
};

struct connection {
    int fd, publishes, length;
    char *buffer; /* what a publisher sent and is not yet a line */
};

static struct channel channels[CHANNELS];
static unsigned long number;
static char input[BUFFER], frames[4 * BUFFER];
static int together, filled;

static void subscribe(int number, int fd) {
    struct channel *c = &channels[number % CHANNELS];
    if (c->count == c->room) {
        c->room = c->room ? 2 * c->room : 16;
        c->subscribers = realloc(c->subscribers, c->room * sizeof *c->subscribers);
    }
    c->subscribers[c->count++] = fd;
}

static void forget(int fd) {
    for (int i = 0; i < CHANNELS; i++)
        for (int j = 0; j < channels[i].count; j++)
            if (channels[i].subscribers[j] == fd)
                channels[i].subscribers[j--] = channels[i].subscribers[--channels[i].count];
}

static void send_all(int fd, const char *data, int length) {
    while (length > 0) {
        ssize_t sent = send(fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            data += sent;
            length -= sent;
        } else if (errno == EAGAIN) {
            struct pollfd full = {.fd = fd, .events = POLLOUT};
            poll(&full, 1, -1);
        } else {
            return;
        }
    }
}

static void deliver(struct channel *c) {
    for (int i = 0; i < c->count; i++) send_all(c->subscribers[i], frames, filled);
    filled = 0;
}

static void publish(const char *line, int length) {
    char *payload;
    struct channel *c = &channels[strtoul(line, &payload, 10) % CHANNELS];
    payload++;
    filled += snprintf(frames + filled, sizeof frames - filled, "id: %lu\ndata: %.*s\n\n", ++number,
                       (int)(line + length - payload), payload);
    if (!together) deliver(c);
}

static void take(struct connection *c, const char *data, int length) {
    if (c->length + length > BUFFER) exit(1);
    memcpy(c->buffer + c->length, data, length);
    c->length += length;
    char *line = c->buffer, *end;
    while ((end = memchr(line, '\n', c->buffer + c->length - line)) != NULL) {
        publish(line, end - line);
        line = end + 1;
    }
    c->length -= line - c->buffer;
    memmove(c->buffer, line, c->length);
    if (together) deliver(&channels[0]);
}

static void welcome(struct connection *c, char *request) {
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                               "Cache-Control: no-store\r\nConnection: close\r\n\r\n";
    send_all(c->fd, head, sizeof head - 1);
    for (char *next = request + 5;; next++) {
        subscribe(strtoul(next, &next, 10), c->fd);
        if (*next != ',') break;
    }
}

static int heed(struct connection *c) {
    ssize_t length = recv(c->fd, input, c->publishes ? BUFFER / 2 : BUFFER - 1, 0);
    if (length <= 0) return 0;
    if (!c->publishes && strncmp(input, "GET ", 4) == 0) {
        input[length] = 0;
        welcome(c, input);
        return 1;
    }
    if (!c->publishes) {
        c->publishes = 1;
        c->buffer = malloc(BUFFER);
    }
    take(c, input, length);
    return 1;
}

int main(int argc, char **argv) {
    together = argc > 2;
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1, epoll = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0) return 1;
    struct epoll_event event = {.events = EPOLLIN}, ready[EVENTS];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(epoll, ready, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct connection *c = ready[i].data.ptr;
            if (c == NULL) {
                c = calloc(1, sizeof *c);
                c->fd = accept(listener, NULL, NULL);
                setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                event = (struct epoll_event){.events = EPOLLIN, .data.ptr = c};
                epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
            } else if (!heed(c)) {
                forget(c->fd);
                close(c->fd);
                free(c->buffer);
                free(c);
            }
        }
    }
}
